/** Socket.IO on Node, over WebSocket alone, with a room for all. Bundled for Node by the bench; it prints its two ports. */
import { createServer } from "node:http";
import { Server } from "socket.io";
import { markedMessage } from "../wire/publication.ts";
import { listen, listenForPublisher } from "../wire/publisher-port.ts";

const messageBytes = Number(process.argv[2]);
const http = createServer();
const server = new Server(http, { transports: ["websocket"] });

await listenForPublisher(await listen(http), (stamp) => server.emit("m", markedMessage(stamp, messageBytes)));
