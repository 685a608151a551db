/**
 * The gateway of the benchmark: everything between the room's log and the readers' sockets is the real thing; the log is
 * none. An entry comes into being for each stamp that the publisher's socket sends, so that what is measured is delivering,
 * and not SendMessage, SQLite or the workers.
 *
 * `bun bench/fan-out/gateway.ts [LINGER_MS_MAX]` prints its two ports as JSON: one for readers, one for the publisher. Rooms gather
 * as they do by default (`--room-linger-ms-max`), or at most so long; 0: each message is a write.
 */
import pino from "pino";
import { startServer } from "../../server/server.ts";
import { gatewaySettings } from "../../server/settings.ts";
import { openEmbeddedStorage } from "../../storage/embedded.ts";
import { EmbeddedHotWords } from "../../storage/hot-words/embedded-hot-words.ts";
import type { LogConsumer, RoomFollower, RoomLog } from "../../storage/log/room-log.ts";
import { listenForPublisher } from "../wire/publisher-port.ts";
import { benchRoomId, loggedMessage } from "./bench-message.ts";

const roomId = benchRoomId;

/** A log that holds nothing and has nothing for consumers: it only hands on. */
class PassingLog implements RoomLog {
  #follower: RoomFollower | undefined;
  readonly #epoch = Date.now();
  #seq = 0;

  /** One entry, as if somebody had just said something. @param stamp see `loggedMessage` */
  pass(stamp: string): void {
    const position = { epoch: this.#epoch, seq: this.#seq++ };
    this.#follower?.entry({ roomId, position, acceptedMs: Date.now(), event: loggedMessage(stamp) });
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

const [lingerMsMax] = process.argv.slice(2);
const settings = gatewaySettings.read(
  [
    ...["--port", "0", "--demo", "false", "--initial-rooms", roomId],
    ...(lingerMsMax === undefined ? [] : ["--room-linger-ms-max", lingerMsMax]),
  ],
  {},
);
if (settings === "help") {
  throw new Error("these are no words for help");
}
const log = new PassingLog();
const embedded = openEmbeddedStorage({ directory: ":memory:" });
const storage = { ...embedded, log, hotWords: new EmbeddedHotWords() };
const gateway = await startServer(settings, pino({ level: "warn" }, pino.destination(2)), storage);

await listenForPublisher(gateway.port, (stamp) => log.pass(stamp));
