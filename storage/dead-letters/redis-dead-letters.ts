/**
 * The dead letters in Redis: a hash of them and a sorted set of their order, in one slot.
 *
 * It stands behind the persistence worker. It owns its connection. Redis is where the entry was, so nothing is less safe
 * here than it was before.
 *
 *     {chat:dead}:letters   hash  "<room> <position>" → acceptedMs, attempts, length of the error, error, event
 *     {chat:dead}:order     zset  the same names by the time they came, Unix ms
 */

import { openRedisLink, type RedisEndpoint } from "../log/redis/open-redis-link.ts";
import type { RedisLink } from "../log/redis/redis-link.ts";
import { RedisScript } from "../log/redis/redis-script.ts";
import type { Delivery, LogEntry } from "../log/room-log.ts";
import { formatPosition, parsePosition } from "../position.ts";
import type { DeadLetter, DeadLetters } from "./dead-letters.ts";

export interface RedisDeadLettersOptions {
  endpoint: RedisEndpoint;
  /** Before every key; as the room log's. */
  prefix: string;
  /** The clock of the order, Unix ms. */
  now?: (() => number) | undefined;
}

/** KEYS letters, order. ARGV name, letter, now. Reply 1: kept; 0: it was there. */
const addScript = new RedisScript(`#!lua
if redis.call('HSETNX', KEYS[1], ARGV[1], ARGV[2]) == 0 then return 0 end
redis.call('ZADD', KEYS[2], ARGV[3], ARGV[1])
return 1`);

/** KEYS letters, order. ARGV most. Reply name, letter, name, letter, … */
const listScript = new RedisScript(`#!lua flags=no-writes
local reply = {}
for _, name in ipairs(redis.call('ZRANGE', KEYS[2], 0, ARGV[1] - 1)) do
  reply[#reply + 1] = name
  reply[#reply + 1] = redis.call('HGET', KEYS[1], name)
end
return reply`);

/** KEYS letters, order. ARGV name. */
const removeScript = new RedisScript(`#!lua
redis.call('HDEL', KEYS[1], ARGV[1])
return redis.call('ZREM', KEYS[2], ARGV[1])`);

const errorBytesMax = 2_000;

export class RedisDeadLetters implements DeadLetters {
  readonly #link: RedisLink;
  readonly #keys: [string, string];
  readonly #now: () => number;

  constructor({ endpoint, prefix, now = Date.now }: RedisDeadLettersOptions) {
    this.#now = now;
    this.#keys = [`{${prefix}:dead}:letters`, `{${prefix}:dead}:order`];
    this.#link = openRedisLink(endpoint, {
      name: "dead letters",
      answerTimeoutMs: 2_000,
      commandsMax: 1_000,
      retryAfterMs: 1_000,
    });
  }

  /** Resolves when Redis answers. @throws {RoomLogUnavailableError} after `timeoutMs` */
  opened(timeoutMs: number): Promise<void> {
    return this.#link.opened(timeoutMs);
  }

  async add({ entry, attempts }: Delivery, error: unknown): Promise<void> {
    const why = new Uint8Array(errorBytesMax);
    // As many whole characters as fit.
    const { written } = new TextEncoder().encodeInto(String(error), why);
    const head = Buffer.from(`${entry.acceptedMs} ${attempts} ${written}\n`);
    const letter = Buffer.concat([head, why.subarray(0, written), entry.event]);
    await addScript.run(this.#link, this.#keys, [nameOf(entry), letter, String(this.#now())]);
  }

  async list(lettersMax: number): Promise<DeadLetter[]> {
    const reply = (await listScript.run(this.#link, this.#keys, [String(lettersMax)], "bytes")) as Buffer[];
    const letters: DeadLetter[] = [];
    for (let index = 0; index + 1 < reply.length; index += 2) {
      letters.push(parseLetter(reply[index] as Buffer, reply[index + 1] as Buffer));
    }
    return letters;
  }

  async remove(entry: Pick<LogEntry, "roomId" | "position">): Promise<void> {
    await removeScript.run(this.#link, this.#keys, [nameOf(entry)]);
  }

  async close(): Promise<void> {
    await this.#link.close();
  }
}

function nameOf({ roomId, position }: Pick<LogEntry, "roomId" | "position">): string {
  return `${roomId} ${formatPosition(position)}`;
}

function parseLetter(name: Buffer, letter: Buffer): DeadLetter {
  const [roomId, position] = name.toString().split(" ") as [string, string];
  const headEnd = letter.indexOf("\n");
  const [acceptedMs, attempts, errorBytes] = letter.toString("latin1", 0, headEnd).split(" ").map(Number) as [
    number,
    number,
    number,
  ];
  const errorEnd = headEnd + 1 + errorBytes;
  const error = letter.toString("utf8", headEnd + 1, errorEnd);
  const event = new Uint8Array(letter.subarray(errorEnd));
  return { entry: { roomId, position: parsePosition(position), acceptedMs, event }, attempts, error };
}
