/**
 * The room log on Redis: one order for many gateways and workers.
 *
 * It stands between SendMessage and everything that shows or stores a message, in every process the same. Redis gives the
 * order and holds the entries until they are stored; what happens to one is one script (append.lua), one round trip:
 *
 *     append ─► checks · repetition · position ─► room's log, shard's log ─► channel
 *                                                    │          │              │
 *     readAfter, readBefore ◄────────────────────────┘          ▼              ▼
 *                                             consumers (redis-consumer.ts)   followers (redis-followings.ts)
 *
 * It owns three connections and one more for each consumer. Everything else is in Redis (redis-keys.ts), so opening and
 * closing it loses nothing. Where an entry is:
 *
 *     room ────── floor ──────────── persisted ─────── top
 *      in the history │ in the log and in the history │ in the log, and in its shard's log
 */
import type { HistoryStore } from "../../history/history-store.ts";
import { HistoryUnavailableError } from "../../history/history-store.ts";
import { comparePositions, formatPosition, type Position, parsePosition } from "../../position.ts";
import { ClientMessageIdReusedError, RoomClosedError, RoomLogFullError, RoomLogUnavailableError } from "../errors.ts";
import type {
  Appended,
  ConsumerGroup,
  Following,
  LogConsumer,
  LogEntry,
  LogPage,
  NewEntry,
  RoomFollower,
  RoomLog,
} from "../room-log.ts";
import appendSource from "./append.lua" with { type: "text" };
import { openRedisLink, type RedisEndpoint } from "./open-redis-link.ts";
import readSource from "./read.lua" with { type: "text" };
import { RedisConsumer } from "./redis-consumer.ts";
import { parseOptionalPosition, parseRoomEntry } from "./redis-entries.ts";
import { type FollowingsObserver, RedisFollowings } from "./redis-followings.ts";
import { RedisKeys, shardsDefault } from "./redis-keys.ts";
import { type RedisLink, type RedisLinkOptions, RedisReplyError } from "./redis-link.ts";
import { RedisScript } from "./redis-script.ts";
import { type RedisTrimResult, trimShard } from "./redis-trim.ts";

/** Told what happens between the log and Redis. Synchronous; must not throw. */
export interface RedisRoomLogObserver extends FollowingsObserver {
  /** A connection is open, or open again. */
  up?(connection: string): void;
  /** A connection broke, or could not be made. */
  down?(connection: string, error: unknown): void;
  /** A consumer was away for longer than its lease; what it had in hand goes to others too. */
  leaseLost?(group: ConsumerGroup, entries: number): void;
  /** Group hot-words was too far behind: so many entries left the log before it read them. */
  dropped?(group: ConsumerGroup, entries: number): void;
}

export interface RedisRoomLogBounds {
  /** How long a repetition is recognised. Default 5 minutes. */
  dedupeWindowMs: number;
  /** Entries that a room keeps in Redis once they are in the history. Default 1,000. */
  roomLogEntriesMax: number;
  /** Entries of a shard that `persist` has not done with; beyond it appends to its rooms are refused. Default 20,000. */
  persistLogEntriesMax: number;
  /** Entries in a shard's log, whoever is behind; beyond it appends are refused too. Default 60,000. */
  shardLogEntriesMax: number;
  /** A stored entry stays in its shard's log for so long, against a store that loses its last seconds. Default 30,000. */
  trimMarginMs: number;
  /** An entry stays in its shard's log for `hot-words` for so long at most: counting words must not stop the chat. Default 120,000. */
  hotWordsKeepMs: number;
  /** A room whose newest entry was stored this long ago gives back all it has in Redis but its state. Default 10 minutes. */
  roomIdleMs: number;
  /** A server that does not answer for so long is away. Default 2,000. */
  answerTimeoutMs: number;
  /** Commands that may wait for their answer, for each connection. Default 20,000. */
  commandsMax: number;
  /** How often followed rooms are compared with Redis. Default 5,000. */
  compareIntervalMs: number;
  /** What a consumer holds goes to another when it was silent for so long. Default 15,000. */
  leaseMs: number;
  /** How often a waiting consumer looks for what others let go. Default 200. */
  lookIntervalMs: number;
  /** What errors tell callers to wait. Default 1,000. */
  retryAfterMs: number;
}

export interface RedisRoomLogOptions extends Partial<RedisRoomLogBounds> {
  endpoint: RedisEndpoint;
  /** Before every key and channel. Default "chat". */
  prefix?: string;
  /** Into how many parts the rooms fall. Must be the same in all processes and must not change. Default 64. */
  shards?: number;
  /**
   * The history that the persistence worker fills. It is asked where Redis knows nothing of a room (it came back empty, or
   * the room is new) and where a follower missed what the log has let go. Undefined: such rooms count as new.
   */
  history?: Pick<HistoryStore, "page" | "get">;
  observer?: RedisRoomLogObserver;
}

const boundsDefault: RedisRoomLogBounds = {
  dedupeWindowMs: 5 * 60_000,
  roomLogEntriesMax: 1_000,
  persistLogEntriesMax: 20_000,
  shardLogEntriesMax: 60_000,
  trimMarginMs: 30_000,
  hotWordsKeepMs: 120_000,
  roomIdleMs: 10 * 60_000,
  answerTimeoutMs: 2_000,
  commandsMax: 20_000,
  compareIntervalMs: 5_000,
  leaseMs: 15_000,
  lookIntervalMs: 200,
  retryAfterMs: 1_000,
};

/** The most entries that one read asks Redis for: a script that returns more holds up everybody for milliseconds. */
const readEntriesMax = 1_000;

/** Rooms whose newest position is remembered although nobody here follows them. */
const appendedRoomsMax = 10_000;

/** Whose entries in take.lua and let-go.lua those are that were let go. */
const nobody = "-";

const appendScript = new RedisScript(appendSource);
const readScript = new RedisScript(readSource);

/**
 * Opens the log and waits until Redis answers.
 * @throws {RoomLogUnavailableError} Redis did not answer within `openTimeoutMs`, by default 10 s
 */
export async function openRedisRoomLog(options: RedisRoomLogOptions, openTimeoutMs = 10_000): Promise<RedisRoomLog> {
  const log = new RedisRoomLog(options);
  try {
    await log.opened(openTimeoutMs);
  } catch (error) {
    await log.close();
    throw error;
  }
  return log;
}

export class RedisRoomLog implements RoomLog {
  readonly #bounds: RedisRoomLogBounds;
  readonly #endpoint: RedisEndpoint;
  readonly #keys: RedisKeys;
  readonly #history: RedisRoomLogOptions["history"];
  readonly #observer: RedisRoomLogObserver;
  /** Scripts that write. */
  readonly #writes: RedisLink;
  /** Reading, so that a long page holds up no append. */
  readonly #reads: RedisLink;
  readonly #channels: RedisLink;
  readonly #followings: RedisFollowings;
  readonly #consumers = new Map<string, RedisConsumer>();
  /** The newest position of rooms that entries were appended to here: the last ones. */
  readonly #appended = new Map<string, Position>();
  /** The greatest epoch that any room was seen in: a later one must be greater, also where a clock goes back. */
  #epochMax = 0;
  #closed = false;

  constructor({
    endpoint,
    prefix = "chat",
    shards = shardsDefault,
    history,
    observer = {},
    ...bounds
  }: RedisRoomLogOptions) {
    this.#bounds = { ...boundsDefault, ...withoutUndefined(bounds) };
    this.#endpoint = endpoint;
    this.#keys = new RedisKeys(prefix, shards);
    this.#history = history;
    this.#observer = observer;
    this.#writes = this.#link("scripts");
    this.#reads = this.#link("reads", () => void this.#followings.readable());
    this.#channels = this.#link("channels", () => void this.#followings.reconnected());
    const reader = {
      readAfter: this.readAfter.bind(this),
      top: (roomId: string) => this.#top(roomId),
      has: (roomId: string, position: Position) => this.#has(roomId, position),
      stored: this.#stored.bind(this),
    };
    this.#followings = new RedisFollowings(
      this.#channels,
      this.#keys,
      reader,
      this.#bounds.compareIntervalMs,
      this.#observer,
    );
  }

  /** Resolves when all connections are open. @throws {RoomLogUnavailableError} after `timeoutMs` */
  async opened(timeoutMs: number): Promise<void> {
    await Promise.all([this.#writes, this.#reads, this.#channels].map((link) => link.opened(timeoutMs)));
  }

  /** Whether Redis answers. */
  get isUp(): boolean {
    return [this.#writes, this.#reads, this.#channels].every((link) => link.incarnation !== undefined);
  }

  async append(entry: NewEntry): Promise<Appended> {
    this.#checkOpen();
    let stored = this.#history ? "?" : "";
    for (;;) {
      const reply = await this.#appendOnce(entry, stored);
      switch (reply[0]) {
        case "ok":
        case "duplicate": {
          const position = parsePosition(String(reply[1]));
          this.#epochMax = Math.max(this.#epochMax, position.epoch);
          this.#noteAppended(entry.roomId, position);
          return { position, acceptedMs: Number(reply[2]), duplicate: reply[0] === "duplicate" };
        }
        case "reused":
          throw new ClientMessageIdReusedError(entry.roomId);
        case "closed":
          throw new RoomClosedError(entry.roomId);
        case "full":
          throw new RoomLogFullError(Number(reply[1]), this.#bounds.persistLogEntriesMax, this.#bounds.retryAfterMs);
        case "unknown": {
          const newest = await this.#newestStored(entry.roomId);
          stored = newest ? formatPosition(newest) : "";
          break;
        }
        default:
          throw new Error(`append.lua answered ${JSON.stringify(reply)}`);
      }
    }
  }

  async follow(roomId: string, follower: RoomFollower): Promise<Following> {
    this.#checkOpen();
    return this.#followings.follow(roomId, follower).catch((error) => {
      throw this.#refusal(error);
    });
  }

  async readAfter(roomId: string, after: Position | undefined, entriesMax: number): Promise<LogPage> {
    return this.#read(roomId, "after", after, entriesMax);
  }

  async readBefore(roomId: string, before: Position | undefined, entriesMax: number): Promise<LogPage> {
    return this.#read(roomId, "before", before, entriesMax);
  }

  /** @throws {Error} the group has a member of this name in this process */
  async consumer(group: ConsumerGroup, name: string): Promise<LogConsumer> {
    this.#checkOpen();
    const key = `${group}/${name}`;
    if (name === nobody) {
      throw new RangeError(`a member may not be called ${nobody}: that name stands for nobody`);
    }
    if (this.#consumers.has(key)) {
      throw new Error(`group ${group} has a member called ${name} already`);
    }
    const { leaseMs, lookIntervalMs, retryAfterMs } = this.#bounds;
    const consumer = new RedisConsumer({
      group,
      name,
      link: this.#writes,
      waitLink: "url" in this.#endpoint ? this.#link(`waits of ${key}`) : undefined,
      keys: this.#keys,
      leaseMs,
      lookIntervalMs,
      retryAfterMs,
      letGo: () => {
        for (const [other, member] of this.#consumers) {
          if (other.startsWith(`${group}/`)) {
            member.wake();
          }
        }
      },
      left: () => {
        this.#consumers.delete(key);
      },
      leaseLost: (entries) => this.#observer.leaseLost?.(group, entries),
    });
    this.#consumers.set(key, consumer);
    return consumer;
  }

  /**
   * Takes out of Redis what is stored and not needed any more: for the worker to call every few seconds. Nothing that
   * `persist` has not acknowledged goes. Several workers may do it at once.
   * @throws {RoomLogUnavailableError} some shards could not be trimmed; the others were
   */
  async trim(): Promise<RedisTrimResult> {
    this.#checkOpen();
    const total: RedisTrimResult = { shardEntries: 0, roomEntries: 0, hotWordsDropped: 0 };
    let failure: unknown;
    for (let shard = 0; shard < this.#keys.shards && !this.#closed; shard += 1) {
      try {
        const trimmed = await trimShard(this.#writes, this.#keys, shard, this.#bounds);
        total.shardEntries += trimmed.shardEntries;
        total.roomEntries += trimmed.roomEntries;
        total.hotWordsDropped += trimmed.hotWordsDropped;
      } catch (error) {
        // Of a cluster, one node may be away.
        failure = error;
      }
    }
    if (total.hotWordsDropped > 0) {
      this.#observer.dropped?.("hot-words", total.hotWordsDropped);
    }
    if (failure) {
      throw this.#refusal(failure);
    }
    return total;
  }

  /** Consumers leave their groups; everything later is refused. */
  async close(): Promise<void> {
    if (this.#closed) {
      return;
    }
    this.#closed = true;
    this.#followings.close();
    const closed = this.#unavailable("the room log is closed");
    const consumers = [...this.#consumers.values()];
    for (const consumer of consumers) {
      consumer.refuse(closed);
    }
    // Where Redis is away their leases run out by themselves.
    await Promise.allSettled(consumers.map((consumer) => consumer.close()));
    await Promise.all([this.#writes.close(), this.#reads.close(), this.#channels.close()]);
  }

  async #appendOnce({ roomId, event, dedupe, final }: NewEntry, stored: string): Promise<unknown[]> {
    const { persistLogEntriesMax, shardLogEntriesMax, dedupeWindowMs } = this.#bounds;
    const keys: [string, ...string[]] = [
      this.#keys.roomLog(roomId),
      this.#keys.state(roomId),
      this.#keys.shardLog(this.#keys.shardOf(roomId)),
    ];
    const { incarnation } = this.#writes;
    const args = [
      incarnation ?? "",
      roomId,
      this.#keys.channel(roomId),
      Buffer.from(event.buffer, event.byteOffset, event.byteLength),
      final ? "1" : "",
      String(persistLogEntriesMax),
      String(Math.max(persistLogEntriesMax, shardLogEntriesMax)),
      stored,
      String(this.#epochMax),
      this.#newestSeen(roomId),
    ];
    if (dedupe) {
      keys.push(this.#keys.once(roomId, dedupe.key));
      args.push(dedupe.digest, String(dedupeWindowMs));
    }
    try {
      return (await appendScript.run(this.#writes, keys, args)) as unknown[];
    } catch (error) {
      throw this.#refusal(error);
    }
  }

  /** The newest position of a room that this process knows of, from followers or by having appended it; "": none. */
  #newestSeen(roomId: string): string {
    const delivered = this.#followings.delivered(roomId);
    const appended = this.#appended.get(roomId);
    const newest =
      delivered && appended && comparePositions(appended, delivered) > 0 ? appended : (delivered ?? appended);
    return newest ? formatPosition(newest) : "";
  }

  #noteAppended(roomId: string, position: Position): void {
    const known = this.#appended.get(roomId);
    if (known && comparePositions(known, position) >= 0) {
      return;
    }
    // The last again, so that the first is the one that has been silent for longest.
    this.#appended.delete(roomId);
    this.#appended.set(roomId, position);
    if (this.#appended.size > appendedRoomsMax) {
      this.#appended.delete(this.#appended.keys().next().value as string);
    }
  }

  async #read(
    roomId: string,
    direction: "after" | "before",
    limit: Position | undefined,
    entriesMax: number,
  ): Promise<LogPage> {
    this.#checkOpen();
    if (!Number.isInteger(entriesMax) || entriesMax < 1) {
      throw new RangeError(`entriesMax is ${entriesMax}, it must be at least 1`);
    }
    const args = [direction, limit ? formatPosition(limit) : "", String(Math.min(entriesMax, readEntriesMax))];
    try {
      const reply = await readScript.run(
        this.#reads,
        [this.#keys.roomLog(roomId), this.#keys.state(roomId)],
        args,
        "bytes",
      );
      const [topText, floorText, found] = reply as [Buffer | null, Buffer | null, [Buffer, Buffer[]][]];
      const top = parseOptionalPosition(topText);
      if (!top) {
        const newest = await this.#newestStored(roomId);
        return { entries: [], floor: newest, top: newest };
      }
      this.#epochMax = Math.max(this.#epochMax, top.epoch);
      const entries = found.map((entry) => parseRoomEntry(roomId, entry));
      return {
        entries: direction === "after" ? entries : entries.reverse(),
        floor: parseOptionalPosition(floorText),
        top,
      };
    } catch (error) {
      throw this.#refusal(error);
    }
  }

  async #top(roomId: string): Promise<Position | undefined> {
    const key = this.#keys.state(roomId);
    const top = parseOptionalPosition(await this.#reads.send(key, ["HGET", key, "top"]));
    return top ?? this.#newestStored(roomId);
  }

  async #has(roomId: string, position: Position): Promise<boolean> {
    const after = { epoch: position.epoch, seq: position.seq - 1 };
    const page = await (position.seq === 0
      ? this.readBefore(roomId, { epoch: position.epoch, seq: 1 }, 1)
      : this.readAfter(roomId, after, 1));
    if (page.entries.some((entry) => comparePositions(entry.position, position) === 0)) {
      return true;
    }
    if (!this.#history) {
      return page.floor !== undefined && comparePositions(page.floor, position) >= 0;
    }
    try {
      return (await this.#history.get(roomId, position)) !== undefined;
    } catch (error) {
      if (error instanceof HistoryUnavailableError) {
        return false;
      }
      throw error;
    }
  }

  /** None also where the history is out of reach: followers are told of a gap then and need not wait for it. */
  async #stored(
    roomId: string,
    after: Position | undefined,
    before: Position,
    entriesMax: number,
  ): Promise<LogEntry[]> {
    try {
      return (await this.#history?.page(roomId, { after, before, entriesMax, from: "oldest" })) ?? [];
    } catch (error) {
      if (error instanceof HistoryUnavailableError) {
        return [];
      }
      throw error;
    }
  }

  /** @throws {RoomLogUnavailableError} nobody can say whether the room has been there before */
  async #newestStored(roomId: string): Promise<Position | undefined> {
    try {
      const [entry] = (await this.#history?.page(roomId, { entriesMax: 1, from: "newest" })) ?? [];
      return entry?.position;
    } catch (error) {
      throw this.#unavailable(`Redis does not know room ${roomId} and the history is out of reach`, error);
    }
  }

  #link(name: string, up?: () => void): RedisLink {
    const { answerTimeoutMs, commandsMax, retryAfterMs } = this.#bounds;
    const options: RedisLinkOptions = {
      name,
      answerTimeoutMs,
      commandsMax,
      retryAfterMs,
      up: () => {
        this.#observer.up?.(name);
        up?.();
      },
      down: (error) => this.#observer.down?.(name, error),
      missed: (channels) => void this.#followings.missed(channels),
    };
    return openRedisLink(this.#endpoint, options);
  }

  #checkOpen(): void {
    if (this.#closed) {
      throw this.#unavailable("the room log is closed");
    }
  }

  #refusal(error: unknown): unknown {
    const { retryAfterMs } = this.#bounds;
    if (!(error instanceof RedisReplyError)) {
      return error;
    }
    return error.code === "OOM"
      ? new RoomLogFullError(0, 0, retryAfterMs, "Redis has no memory left for more entries")
      : new RoomLogUnavailableError(`Redis refuses: ${error.message}`, retryAfterMs, { cause: error });
  }

  #unavailable(message: string, cause?: unknown): RoomLogUnavailableError {
    return new RoomLogUnavailableError(message, this.#bounds.retryAfterMs, { cause });
  }
}

function withoutUndefined<T extends object>(options: T): Partial<T> {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as Partial<T>;
}
