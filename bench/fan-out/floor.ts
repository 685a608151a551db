/**
 * The floor: what a delivery costs a Bun process that does nothing else. A TCP server that writes one shared buffer to
 * every socket, once for each stamp that the publisher's socket sends it. No protocol, no order, no memory of anything.
 *
 * `bun bench/fan-out/floor.ts BYTES` prints its two ports as JSON: one for readers, one for the publisher.
 */
import net, { type Socket } from "node:net";
import { markedMessage } from "../wire/publication.ts";
import { listen, listenForPublisher } from "../wire/publisher-port.ts";

const messageBytes = Number(process.argv[2]);
const readers = new Set<Socket>();

const server = net.createServer({ noDelay: true }, (socket) => {
  readers.add(socket);
  // The publisher's first message must not overtake the last reader: each is told that it is in.
  socket.write("+");
  socket.on("error", () => {});
  socket.on("close", () => readers.delete(socket));
});

await listenForPublisher(await listen(server), (stamp) => {
  const message = Buffer.from(markedMessage(stamp, messageBytes));
  for (const reader of readers) {
    reader.write(message);
  }
});
