/**
 * Tells readers how a room's hot words change: one look a second at each watched room, one message for all who watch.
 *
 * State: the readers who watch, by room and by how many words they want, and what they were told last.
 */
import { create } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import type { Logger } from "pino";
import { EndReason } from "../../gen/chat/v1/event_pb.ts";
import {
  type HotWord,
  HotWordSchema,
  type WatchHotWordsResponse,
  WatchHotWordsResponseSchema,
} from "../../gen/chat/v1/hot_word_pb.ts";
import { RoomStatus } from "../../gen/chat/v1/room_pb.ts";
import type { HotWordCount, HotWords } from "../../storage/hot-words/hot-words.ts";
import { OutgoingMessage } from "./outgoing.ts";
import type { Reader } from "./reader.ts";
import type { RoomCatalog } from "./room-catalog.ts";

const lookIntervalMs = 1_000;

interface Watched {
  readers: Set<Reader>;
  /** The list as it was last told, in a form that is equal where the lists are. */
  told: string;
}

export class HotWordFeed {
  readonly #hotWords: HotWords;
  readonly #catalog: RoomCatalog;
  readonly #now: () => number;
  readonly #logger: Logger;
  /** By room, then by number of words. Bounded by the streams that a gateway may have open. */
  readonly #rooms = new Map<string, Map<number, Watched>>();
  readonly #timer: ReturnType<typeof setInterval>;
  #isLooking = false;

  constructor(hotWords: HotWords, catalog: RoomCatalog, logger: Logger, now: () => number = Date.now) {
    this.#hotWords = hotWords;
    this.#catalog = catalog;
    this.#logger = logger;
    this.#now = now;
    this.#timer = setInterval(() => void this.#look(), lookIntervalMs);
  }

  /** The list as it is now. */
  async list(roomId: string, wordsMax: number): Promise<WatchHotWordsResponse> {
    return this.#response(await this.#hotWords.top(roomId, wordsMax, this.#now()));
  }

  /** Tells the reader from now on, until `unwatch`. @param known what the reader was told already */
  watch(roomId: string, wordsMax: number, reader: Reader, known: readonly HotWord[]): void {
    const room = this.#rooms.get(roomId) ?? new Map<number, Watched>();
    this.#rooms.set(roomId, room);
    const watched = room.get(wordsMax) ?? { readers: new Set(), told: fingerprint(known) };
    room.set(wordsMax, watched);
    watched.readers.add(reader);
    // Those who watched before may have been told something else than this one was.
    if (watched.told !== fingerprint(known)) {
      watched.told = "";
    }
  }

  unwatch(roomId: string, wordsMax: number, reader: Reader): void {
    const room = this.#rooms.get(roomId);
    const watched = room?.get(wordsMax);
    watched?.readers.delete(reader);
    if (watched?.readers.size === 0) {
      room?.delete(wordsMax);
    }
    if (room?.size === 0) {
      this.#rooms.delete(roomId);
    }
  }

  close(): void {
    clearInterval(this.#timer);
  }

  async #look(): Promise<void> {
    if (this.#isLooking) {
      return;
    }
    this.#isLooking = true;
    for (const [roomId, watched] of [...this.#rooms]) {
      try {
        await this.#lookAt(roomId, watched);
      } catch (error) {
        this.#logger.warn({ err: error, roomId }, "the hot words could not be read; the next look is in a second");
      }
    }
    this.#isLooking = false;
  }

  async #lookAt(roomId: string, room: Map<number, Watched>): Promise<void> {
    const counts = await this.#hotWords.top(roomId, Math.max(...room.keys()), this.#now());
    for (const [wordsMax, watched] of room) {
      const response = this.#response(counts.slice(0, wordsMax));
      const now = fingerprint(response.words);
      if (now === watched.told) {
        continue;
      }
      watched.told = now;
      const outgoing = new OutgoingMessage(WatchHotWordsResponseSchema, response);
      for (const reader of watched.readers) {
        reader.send(outgoing);
      }
    }
    if ((await this.#catalog.get(roomId)).status === RoomStatus.CLOSED) {
      for (const { readers } of room.values()) {
        for (const reader of readers) {
          reader.finish(EndReason.ROOM_CLOSED);
        }
      }
    }
  }

  #response(counts: readonly HotWordCount[]): WatchHotWordsResponse {
    const words = counts.map((count) => create(HotWordSchema, count));
    return create(WatchHotWordsResponseSchema, { words, window: durationFromMs(this.#hotWords.windowMs) });
  }
}

function fingerprint(words: readonly HotWord[]): string {
  return words.map(({ word, users }) => `${word}\t${users}`).join("\n");
}
