/** The `ws` package on Node: one loop over all clients. Bundled for Node by the bench; it prints its two ports. */
import { createServer } from "node:http";
import { WebSocketServer } from "ws";
import { markedMessage } from "../wire/publication.ts";
import { listen, listenForPublisher } from "../wire/publisher-port.ts";

const messageBytes = Number(process.argv[2]);
const http = createServer();
const server = new WebSocketServer({ server: http });
server.on("connection", (socket) => {
  socket.on("error", () => {});
  socket.send("+");
});

await listenForPublisher(await listen(http), (stamp) => {
  const message = Buffer.from(markedMessage(stamp, messageBytes));
  for (const client of server.clients) {
    client.send(message, { binary: false });
  }
});
