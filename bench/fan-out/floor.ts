/**
 * The floor: what a delivery costs a Bun process that does nothing else. A TCP server that writes one shared buffer to
 * every socket, once for each stamp that the publisher's socket sends it. No protocol, no order, no memory of anything.
 *
 * `bun bench/fan-out/floor.ts BYTES` prints its two ports as JSON: one for readers, one for the publisher.
 */
import net, { type AddressInfo, type Socket } from "node:net";
import { markedMessage, stampReader } from "../wire/publication.ts";

const messageBytes = Number(process.argv[2]);
const readers = new Set<Socket>();

const readersServer = net.createServer({ noDelay: true }, (socket) => {
  readers.add(socket);
  // The publisher's first message must not overtake the last reader: each is told that it is in.
  socket.write("+");
  socket.on("error", () => {});
  socket.on("close", () => readers.delete(socket));
});
const publisherServer = net.createServer({ noDelay: true }, (socket) => {
  socket.on("error", () => {});
  const read = stampReader((stamp) => {
    const message = Buffer.from(markedMessage(stamp, messageBytes));
    for (const reader of readers) {
      reader.write(message);
    }
  });
  socket.on("data", read);
});

await Promise.all([listen(readersServer), listen(publisherServer)]);
console.log(JSON.stringify({ readersPort: port(readersServer), publisherPort: port(publisherServer) }));

function listen(server: net.Server): Promise<void> {
  return new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
}

function port(server: net.Server): number {
  return (server.address() as AddressInfo).port;
}
