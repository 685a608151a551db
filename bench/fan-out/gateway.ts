/**
 * The gateway of the benchmark: everything between the room's log and the readers' sockets is the real thing; the log is
 * none. An entry comes into being for each byte that the publisher's socket sends, so that what is measured is delivering,
 * and not SendMessage, SQLite or the workers.
 *
 * `bun bench/fan-out/gateway.ts TEXT LINGER_MS_MAX` prints its two ports as JSON: one for readers, one for the publisher.
 */
import net, { type AddressInfo } from "node:net";
import { create } from "@bufbuild/protobuf";
import pino from "pino";
import { MessageSchema } from "../../gen/chat/v1/message_pb.ts";
import { startServer } from "../../server/server.ts";
import { gatewaySettings } from "../../server/settings.ts";
import { openEmbeddedStorage } from "../../storage/embedded.ts";
import { EmbeddedHotWords } from "../../storage/hot-words/embedded-hot-words.ts";
import { encodeMessage } from "../../storage/log/log-event.ts";
import type { LogConsumer, RoomFollower, RoomLog } from "../../storage/log/room-log.ts";

const roomId = "bench";
const text = process.argv[2] ?? "";

/** A log that holds nothing and has nothing for consumers: it only hands on. */
class PassingLog implements RoomLog {
  #follower: RoomFollower | undefined;
  readonly #epoch = Date.now();
  #seq = 0;
  /** What a sender's gateway would have encoded. */
  readonly #event = encodeMessage(
    create(MessageSchema, {
      text,
      author: { userId: "bench", name: "벤치마크" },
      clientMessageId: crypto.randomUUID(),
    }),
  );

  /** One entry, as if somebody had just said something. */
  pass(): void {
    const position = { epoch: this.#epoch, seq: this.#seq++ };
    this.#follower?.entry({ roomId, position, acceptedMs: Date.now(), event: this.#event });
  }

  async follow(_roomId: string, follower: RoomFollower) {
    this.#follower = follower;
    return { top: undefined, stop: () => {} };
  }

  async readAfter() {
    return { entries: [], floor: undefined, top: undefined };
  }

  readBefore() {
    return this.readAfter();
  }

  append(): Promise<never> {
    throw new Error("the benchmark's log takes nothing");
  }

  async consumer(): Promise<LogConsumer> {
    return {
      take: (_entriesMax, signal) => new Promise((resolve) => signal.addEventListener("abort", () => resolve([]))),
      ack: async () => {},
      release: async () => {},
      close: async () => {},
    };
  }

  async close(): Promise<void> {}
}

const settings = gatewaySettings.read(
  ["--port", "0", "--demo", "false", "--initial-rooms", roomId, "--room-linger-ms-max", process.argv[3] ?? "0"],
  {},
);
if (settings === "help") {
  throw new Error("these are no words for help");
}
const log = new PassingLog();
const embedded = openEmbeddedStorage({ directory: ":memory:" });
const storage = { ...embedded, log, hotWords: new EmbeddedHotWords() };
const gateway = await startServer(settings, pino({ level: "warn" }, pino.destination(2)), storage);

const publisherServer = net.createServer({ noDelay: true }, (socket) => {
  socket.on("error", () => {});
  socket.on("data", (data) => {
    for (let count = data.length; count > 0; count--) {
      log.pass();
    }
  });
});
await new Promise<void>((resolve) => publisherServer.listen(0, "127.0.0.1", resolve));
const { port: publisherPort } = publisherServer.address() as AddressInfo;
console.log(JSON.stringify({ readersPort: gateway.port, publisherPort }));
