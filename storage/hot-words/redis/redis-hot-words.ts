/**
 * Hot words in Redis: the same exact counts as in one process, fed by any worker and read by any gateway.
 *
 * It stands behind the room log, beside the history: the consumer `worker/hot-words/count-hot-words.ts` observes, the
 * HotWordService reads. A message is one script (hot-words.lua), a ranking is one, and nothing is ever scanned: uses leave
 * through sorted sets by time, the board is one more. It owns its connection; all counts are in Redis, in keys of the
 * room's shard that vanish when a room falls silent.
 */
import { RoomLogUnavailableError } from "../../log/errors.ts";
import { openRedisLink, type RedisEndpoint } from "../../log/redis/open-redis-link.ts";
import { RedisKeys, shardsDefault } from "../../log/redis/redis-keys.ts";
import { type RedisLink, RedisReplyError } from "../../log/redis/redis-link.ts";
import { RedisScript } from "../../log/redis/redis-script.ts";
import type { HotWordCount, HotWords, WordUse } from "../hot-words.ts";
import source from "./hot-words.lua" with { type: "text" };

export interface RedisHotWordsOptions {
  endpoint: RedisEndpoint;
  /** Before every key; as the room log's. Default "chat". */
  prefix?: string;
  /** As the room log's. Default 64. */
  shards?: number;
  /** Default 60,000. */
  windowMs?: number;
  /**
   * Uses a room, about 300 bytes each. Above it the oldest use of the room is forgotten: its window shortens. Default
   * 100,000.
   */
  usesPerRoomMax?: number;
  /**
   * Whose clock says what now is when a ranking is asked for. "redis", the default: the one that gave the observations their
   * times; a gateway whose clock is ahead would otherwise forget words for all. "caller": the `nowMs` of the call.
   */
  clock?: "redis" | "caller";
  /** A server that does not answer for so long is away. Default 2,000. */
  answerTimeoutMs?: number;
  /** Told that so many uses of a room were forgotten before their time, or never counted. Must not throw. */
  onDropped?: (roomId: string, uses: number) => void;
}

/** Uses that one script forgets, some 10 µs each. */
const expireMax = 500;
/** A ranking whose uses do not end leaving is not a ranking. */
const topTriesMax = 10_000;

const observeScript = new RedisScript(`#!lua\n${source}`);
const topScript = new RedisScript(`#!lua flags=allow-oom\n${source}`);

/**
 * Opens the counts and waits until Redis answers.
 * @throws {RoomLogUnavailableError} Redis did not answer within `openTimeoutMs`, by default 10 s
 */
export async function openRedisHotWords(options: RedisHotWordsOptions, openTimeoutMs = 10_000): Promise<HotWords> {
  const hotWords = new RedisHotWords(options);
  try {
    await hotWords.opened(openTimeoutMs);
  } catch (error) {
    await hotWords.close();
    throw error;
  }
  return hotWords;
}

class RedisHotWords implements HotWords {
  readonly windowMs: number;
  readonly #usesPerRoomMax: number;
  readonly #clock: "redis" | "caller";
  readonly #onDropped: RedisHotWordsOptions["onDropped"];
  readonly #keys: RedisKeys;
  readonly #link: RedisLink;
  /** Uses that Redis had no memory for and that nobody was told of yet, and when they may be told. */
  #uncounted = 0;
  #tellUncountedMs = 0;

  constructor({
    endpoint,
    prefix = "chat",
    shards = shardsDefault,
    windowMs = 60_000,
    usesPerRoomMax = 100_000,
    clock = "redis",
    answerTimeoutMs = 2_000,
    onDropped,
  }: RedisHotWordsOptions) {
    this.windowMs = atLeastOne("windowMs", windowMs);
    this.#usesPerRoomMax = atLeastOne("usesPerRoomMax", usesPerRoomMax);
    this.#clock = clock;
    this.#onDropped = onDropped;
    this.#keys = new RedisKeys(prefix, shards);
    this.#link = openRedisLink(endpoint, {
      name: "hot words",
      answerTimeoutMs,
      commandsMax: 10_000,
      retryAfterMs: 1_000,
    });
  }

  opened(timeoutMs: number): Promise<void> {
    return this.#link.opened(timeoutMs);
  }

  /**
   * Where Redis has no memory left the uses are dropped: to try again would keep what they are counted from in the log, and
   * with it the memory that Redis is out of.
   * @throws {RoomLogUnavailableError} Redis is away @throws {RedisReplyError} Redis refuses
   */
  async observe(roomId: string, userKey: string, uses: readonly WordUse[], atMs: number): Promise<void> {
    if (uses.length === 0) {
      return;
    }
    const words = uses.flatMap(({ word, stem = "" }) => [word, stem]);
    // Twice the window, so that what is in the window is never gone.
    const numbers = [this.#usesPerRoomMax, 2 * this.windowMs].map(String);
    const args = ["observe", String(atMs), String(this.windowMs), String(expireMax), userKey, ...numbers, ...words];
    try {
      const dropped = Number(await observeScript.run(this.#link, this.#roomKeys(roomId), args));
      if (dropped > 0) {
        this.#onDropped?.(roomId, dropped);
      }
    } catch (error) {
      if (!(error instanceof RedisReplyError && error.code === "OOM")) {
        throw error;
      }
      this.#dropUncounted(roomId, uses.length);
    }
  }

  /** Every message meets a Redis without memory: told at most once a second, with the room of the latest. */
  #dropUncounted(roomId: string, uses: number): void {
    this.#uncounted += uses;
    const nowMs = performance.now();
    if (nowMs >= this.#tellUncountedMs) {
      this.#onDropped?.(roomId, this.#uncounted);
      this.#uncounted = 0;
      this.#tellUncountedMs = nowMs + 1_000;
    }
  }

  /** @throws {RoomLogUnavailableError} Redis is away */
  async top(roomId: string, wordsMax: number, nowMs: number): Promise<HotWordCount[]> {
    atLeastOne("wordsMax", wordsMax);
    const at = this.#clock === "caller" ? String(nowMs) : "";
    const args = ["top", at, String(this.windowMs), String(expireMax), String(wordsMax)];
    for (let tries = 0; tries < topTriesMax; tries += 1) {
      const reply = await topScript.run(this.#link, this.#roomKeys(roomId), args);
      const [more, flat] = reply as [number, string[]];
      if (more === 0) {
        const counts: HotWordCount[] = [];
        for (let index = 0; index + 1 < flat.length; index += 2) {
          counts.push({ word: flat[index] as string, users: -Number(flat[index + 1]) });
        }
        return counts;
      }
    }
    throw new RoomLogUnavailableError(`the hot words of room ${roomId} leave the window without end`, 1_000);
  }

  async close(): Promise<void> {
    await this.#link.close();
  }

  #roomKeys(roomId: string): [string, ...string[]] {
    const base = `${this.#keys.tag(this.#keys.shardOf(roomId))}:words:${roomId}`;
    const [own, ...others] = ["own", "all", "owners", "users", "stems", "forms", "rank"].map(
      (part) => `${base}:${part}`,
    );
    return [own as string, ...others];
  }
}

function atLeastOne(name: string, value: number): number {
  if (!(Number.isInteger(value) && value >= 1)) {
    throw new RangeError(`${name} is ${value}, it must be a whole number of at least 1`);
  }
  return value;
}
