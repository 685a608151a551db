/** Bun's own WebSocket server, with its publish: C++ does the fan-out. `bun bench/peers/bun-websocket.ts BYTES` prints its two ports. */
import { markedMessage } from "../wire/publication.ts";
import { listenForPublisher } from "../wire/publisher-port.ts";

const messageBytes = Number(process.argv[2]);
const server = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  fetch: (request, self) => (self.upgrade(request) ? undefined : new Response("a WebSocket, please", { status: 426 })),
  websocket: {
    // What waits for one reader is bounded by the run: nothing may be dropped, as every reader's messages are counted.
    backpressureLimit: 256 * 1024 * 1024,
    open: (socket) => {
      socket.subscribe("bench");
      socket.send("+");
    },
    message: () => {},
  },
});

await listenForPublisher(server.port as number, (stamp) => server.publish("bench", markedMessage(stamp, messageBytes)));
