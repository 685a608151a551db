/** The room log on Redis: the contract on a real server, then what is its own: the fence, repair, and Redis going away. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { cpSync, rmSync } from "node:fs";
import { type RedisServer, startRedis } from "../../../test/harness/redis.ts";
import { waitFor } from "../../../test/harness/wait-for.ts";
import { ChatDatabase } from "../../chat-database.ts";
import { type HistoryStore, HistoryUnavailableError } from "../../history/history-store.ts";
import { SqliteHistoryStore } from "../../history/sqlite-history-store.ts";
import { comparePositions, formatPosition, type Position } from "../../position.ts";
import { RoomLogFullError, RoomLogUnavailableError } from "../errors.ts";
import { decodeEntry, endBefore } from "../log-event.ts";
import { roomLogContract } from "../room-log.contract.ts";
import type { Appended, Delivery, LogConsumer, LogEntry, LostRange, RoomFollower, RoomLog } from "../room-log.ts";
import { RedisKeys } from "./redis-keys.ts";
import { redisLogFixture } from "./redis-log-fixture.ts";
import { openRedisRoomLog, type RedisRoomLogOptions } from "./redis-room-log.ts";
import takeSource from "./take.lua" with { type: "text" };

// Longer than any wait below: a condition that does not come says itself what it was.
setDefaultTimeout(30_000);

let redis: RedisServer;

beforeAll(async () => {
  redis = await startRedis();
});

afterAll(async () => {
  await redis?.stop();
});

roomLogContract("Redis", (bounds) => redisLogFixture(bounds, { url: redis.url }, [redis]));

// What the tests below share ------------------------------------------------------------------------------------------

const small = (n: number) => new Uint8Array([n]);
const never = () => new AbortController().signal;
const range = (first: number, last: number) => Array.from({ length: last - first + 1 }, (_, i) => first + i);
const isUnavailable = (error: unknown) => error instanceof RoomLogUnavailableError;
const failure = (promise: Promise<unknown>) =>
  promise.then(
    () => undefined,
    (error) => error,
  );

let prefixes = 0;

/** What happened to a log, in order, for tests that wait for it. */
class Story {
  readonly lines: string[] = [];
  has(line: string | RegExp): boolean {
    return this.lines.some((one) => (typeof line === "string" ? one === line : line.test(one)));
  }
}

/** A log of its own; keys of a prefix of its own. */
async function openLog(server: RedisServer, options: Partial<RedisRoomLogOptions> = {}) {
  prefixes += 1;
  const prefix = options.prefix ?? `own-${prefixes}`;
  const story = new Story();
  const log = await openRedisRoomLog({
    endpoint: { url: server.url },
    prefix,
    lookIntervalMs: 20,
    answerTimeoutMs: 1_000,
    // Comparing is asked for where it is meant.
    compareIntervalMs: 3_600_000,
    observer: {
      up: (connection) => story.lines.push(`up ${connection}`),
      down: (connection) => story.lines.push(`down ${connection}`),
      repaired: (roomId, entries) => story.lines.push(`repaired ${roomId} ${entries}`),
      deaf: (roomId) => story.lines.push(`deaf ${roomId}`),
      foreign: (roomId) => story.lines.push(`foreign ${roomId}`),
      leaseLost: (group, entries) => story.lines.push(`lease lost ${group} ${entries}`),
      dropped: (group, entries) => story.lines.push(`dropped ${group} ${entries}`),
    },
    ...options,
  });
  const keys = new RedisKeys(prefix, options.shards ?? 64);
  return { log, prefix, keys, story, [Symbol.asyncDispose]: () => log.close() };
}

/** A server of its own. */
async function ownRedis(settings: Record<string, string> = {}) {
  const server = await startRedis({ settings });
  return Object.assign(server, { [Symbol.asyncDispose]: () => server.stop() });
}

class Collector implements RoomFollower {
  readonly seen: (LogEntry | LostRange)[] = [];
  entry(entry: LogEntry): void {
    this.seen.push(entry);
  }
  lost(lost: LostRange): void {
    this.seen.push(lost);
  }
  get entries(): LogEntry[] {
    return this.seen.filter((one): one is LogEntry => "position" in one);
  }
  get losses(): LostRange[] {
    return this.seen.filter((one): one is LostRange => "through" in one);
  }
  /** The bytes of what came, a loss as the word. */
  get order(): (number | "lost")[] {
    return this.seen.map((one) => ("position" in one ? (one.event[0] as number) : "lost"));
  }
  until(count: number): Promise<unknown> {
    return waitFor(`the follower has ${count} entries`, () => this.entries.length >= count);
  }
}

async function appendAll(log: RoomLog, roomId: string, first: number, last: number): Promise<Appended[]> {
  const appended: Appended[] = [];
  for (const n of range(first, last)) {
    appended.push(await log.append({ roomId, event: small(n) }));
  }
  return appended;
}

/** Repeats a send until Redis takes it. */
function insist<T>(send: () => Promise<T>): Promise<NonNullable<Exclude<T, false>>> {
  return waitFor("the log takes it", () =>
    send().catch((error) => {
      expect(error).toBeInstanceOf(RoomLogUnavailableError);
      return undefined as T;
    }),
  );
}

async function takeAll(consumer: LogConsumer, count: number): Promise<Delivery[]> {
  const deliveries: Delivery[] = [];
  while (deliveries.length < count) {
    deliveries.push(...(await consumer.take(count, never())));
  }
  expect(deliveries).toHaveLength(count);
  return deliveries;
}

/** Takes, writes into a history where there is one, and acknowledges. */
async function persist(log: RoomLog, count: number, history?: HistoryStore): Promise<void> {
  const consumer = await log.consumer("persist", "persist");
  const deliveries = await takeAll(consumer, count);
  await history?.write(deliveries.map(({ entry }) => entry));
  await consumer.ack(deliveries);
  await consumer.close();
}

function openHistory() {
  const database = new ChatDatabase({ directory: ":memory:" });
  const history = new SqliteHistoryStore(database);
  return Object.assign(history, { [Symbol.dispose]: () => database.close() });
}

/** Puts an entry into a room's log as a script would whose message on the channel was lost. */
async function appendUnheard(server: RedisServer, keys: RedisKeys, roomId: string, position: Position, n: number) {
  const id = formatPosition(position);
  await server.command("XADD", keys.roomLog(roomId), id, "t", "1", "e", String.fromCharCode(n));
  await server.command("HSET", keys.state(roomId), "top", id);
}

const next = ({ epoch, seq }: Position, by = 1): Position => ({ epoch, seq: seq + by });

describe("the fence", () => {
  test("a server started again gives later positions, and followers miss nothing and hear of no loss", async () => {
    await using server = await ownRedis({ appendonly: "yes" });
    await using opened = await openLog(server);
    const { log } = opened;
    const collector = new Collector();
    await log.follow("a", collector);
    const before = await appendAll(log, "a", 1, 3);
    await collector.until(3);
    await server.kill("SIGTERM");
    await server.start();
    const after = await insist(() => log.append({ roomId: "a", event: small(4) }));
    expect(after.position.epoch).toBeGreaterThan(before[2]?.position.epoch as number);
    expect(after.position.seq).toBe(0);
    await appendAll(log, "a", 5, 6);
    await collector.until(6);
    expect(collector.order).toEqual([1, 2, 3, 4, 5, 6]);
    expect((await log.readAfter("a", undefined, 10)).entries.map(({ event }) => event[0])).toEqual(range(1, 6));
  });

  test("a server that came back without its last entries never gives their positions again, and followers are told", async () => {
    await using server = await ownRedis({ appendonly: "yes", appendfsync: "always" });
    await using opened = await openLog(server);
    const { log } = opened;
    const collector = new Collector();
    await log.follow("a", collector);
    const kept = await appendAll(log, "a", 1, 3);
    const older = `${server.directory}-older`;
    cpSync(server.directory, older, { recursive: true });
    const acked = await appendAll(log, "a", 4, 6);
    await collector.until(6);
    await server.kill();
    rmSync(server.directory, { recursive: true });
    cpSync(older, server.directory, { recursive: true });
    rmSync(older, { recursive: true });
    await server.start();

    const again = await insist(() => log.append({ roomId: "a", event: small(7) }));
    const given = [...kept, ...acked, again].map(({ position }) => formatPosition(position));
    expect(new Set(given).size).toBe(7);
    expect(comparePositions(again.position, acked[2]?.position as Position)).toBeGreaterThan(0);
    await collector.until(7);
    expect(collector.order).toEqual([1, 2, 3, 4, 5, 6, "lost", 7]);
    expect(collector.losses).toEqual([{ after: acked[2]?.position, through: undefined }]);
    // For those who come later it is written down with the first entry that follows.
    const entries = (await log.readAfter("a", undefined, 10)).entries;
    expect(entries.map((entry) => endBefore(entry))).toEqual([undefined, undefined, undefined, acked[2]?.position]);
  });

  test("a follower that did not see what was lost is told by the entry that follows, also where the server came back empty", async () => {
    await using server = await ownRedis();
    await using writing = await openLog(server);
    await using reading = await openLog(server, { prefix: writing.prefix });
    const [, second] = await appendAll(writing.log, "a", 1, 2);
    await server.kill();
    await server.start();
    const collector = new Collector();
    await insist(() => reading.log.follow("a", collector));
    const after = await insist(() => writing.log.append({ roomId: "a", event: small(3) }));
    await collector.until(1);
    expect(collector.order).toEqual(["lost", 3]);
    expect(collector.losses).toEqual([{ after: undefined, through: undefined }]);
    expect(endBefore(collector.entries[0] as LogEntry)).toEqual(second?.position);
    expect(comparePositions(after.position, second?.position as Position)).toBeGreaterThan(0);
  });

  test("a server that was a replica in between, and lost what it alone had, never gives those positions again", async () => {
    // By default a replica waits 5 s before it copies.
    await using server = await ownRedis({ "repl-diskless-sync-delay": "0" });
    await using other = await ownRedis({ "repl-diskless-sync-delay": "0" });
    await using opened = await openLog(server);
    const { log, story } = opened;
    const replicates = async (replica: RedisServer, state: string) =>
      String(await replica.command("INFO", "replication")).includes(`master_link_status:${state}`);
    await appendAll(log, "a", 1, 3);
    await other.command("REPLICAOF", "127.0.0.1", String(server.port));
    await waitFor("the other has a copy", () => replicates(other, "up"));
    await other.command("REPLICAOF", "NO", "ONE");
    const [, lost] = await appendAll(log, "a", 4, 5);
    await server.command("REPLICAOF", "127.0.0.1", String(other.port));
    await waitFor("it has the copy of the other", () => replicates(server, "up"));
    await waitFor("the log notices", () => story.has("down scripts"));
    await server.command("REPLICAOF", "NO", "ONE");
    const again = await insist(() => log.append({ roomId: "a", event: small(6) }));
    expect(comparePositions(again.position, lost?.position as Position)).toBeGreaterThan(0);
    // Reads have a connection of their own, which opens again when it will.
    const { entries } = await insist(() => log.readAfter("a", undefined, 10));
    expect(entries.map(({ event }) => event[0])).toEqual([1, 2, 3, 6]);
  });

  test("a server that came back empty begins a later epoch, and what is stored is found in the history", async () => {
    await using server = await ownRedis();
    using history = openHistory();
    await using opened = await openLog(server, { history });
    const { log } = opened;
    const before = await appendAll(log, "a", 1, 3);
    await persist(log, 3, history);
    const collector = new Collector();
    await log.follow("a", collector);
    await server.kill();
    await server.start();
    const top = before[2]?.position as Position;
    expect(await insist(() => log.readAfter("a", undefined, 10))).toEqual({ entries: [], floor: top, top });
    const after = await insist(() => log.append({ roomId: "a", event: small(4) }));
    expect(comparePositions(after.position, top)).toBeGreaterThan(0);
    expect((await log.readAfter("a", undefined, 10)).floor).toEqual(top);
    await collector.until(1);
    expect(collector.order).toEqual([4]);
  });

  test("a clock that went back makes no earlier epoch: not before the room's newest, nor the newest seen, nor the stored", async () => {
    using history = openHistory();
    await using opened = await openLog(redis, { history });
    const { log, keys } = opened;
    const futureMs = Date.now() + 10 ** 9;
    await log.append({ roomId: "a", event: small(1) });
    await redis.command("HSET", keys.state("a"), "run", "another", "top", `${futureMs}-7`);
    expect((await log.append({ roomId: "a", event: small(2) })).position).toEqual({ epoch: futureMs + 1, seq: 0 });
    expect((await log.append({ roomId: "b", event: small(1) })).position).toEqual({ epoch: futureMs + 2, seq: 0 });
    const stored = { epoch: futureMs + 10, seq: 3 };
    await history.write([{ roomId: "c", position: stored, acceptedMs: 1, event: small(1) }]);
    expect((await log.append({ roomId: "c", event: small(2) })).position).toEqual({ epoch: futureMs + 11, seq: 0 });
  });

  test("a room that nobody can tell from a forgotten one is refused", async () => {
    const away = new HistoryUnavailableError("away", 1_000);
    const history = { page: () => Promise.reject(away), get: () => Promise.reject(away) };
    await using opened = await openLog(redis, { history });
    const { log } = opened;
    expect(await failure(log.append({ roomId: "a", event: small(1) }))).toBeInstanceOf(RoomLogUnavailableError);
    expect(await failure(log.readAfter("a", undefined, 1))).toBeInstanceOf(RoomLogUnavailableError);
    expect(await failure(log.follow("a", new Collector()))).toBeInstanceOf(RoomLogUnavailableError);
  });

  test("entries that somebody deleted from a room's log do not make it count from 0 again", async () => {
    await using opened = await openLog(redis);
    const { log, keys } = opened;
    const [, , third] = await appendAll(log, "a", 1, 3);
    await redis.command("DEL", keys.roomLog("a"));
    expect(await log.readAfter("a", undefined, 10)).toEqual({
      entries: [],
      floor: third?.position,
      top: third?.position,
    });
    expect((await log.append({ roomId: "a", event: small(4) })).position).toEqual(next(third?.position as Position));
  });
});

describe("a follower", () => {
  test("gets what its channel did not bring before what it brought then", async () => {
    await using opened = await openLog(redis);
    const { log, keys, story } = opened;
    const collector = new Collector();
    await log.follow("a", collector);
    const first = await log.append({ roomId: "a", event: small(1) });
    await appendUnheard(redis, keys, "a", next(first.position), 2);
    await appendUnheard(redis, keys, "a", next(first.position, 2), 3);
    await log.append({ roomId: "a", event: small(4) });
    await collector.until(4);
    expect(collector.order).toEqual([1, 2, 3, 4]);
    expect(story.has(/^repaired a /)).toBe(true);
  });

  test("gets a last entry that its channel did not bring, by comparing", async () => {
    await using opened = await openLog(redis, { compareIntervalMs: 20 });
    const { log, keys, story } = opened;
    const collector = new Collector();
    await log.follow("a", collector);
    const first = await log.append({ roomId: "a", event: small(1) });
    await collector.until(1);
    await appendUnheard(redis, keys, "a", next(first.position), 2);
    await collector.until(2);
    expect(collector.order).toEqual([1, 2]);
    expect(story.has("deaf a")).toBe(true);
  });

  test("gets a connection of its own anew when comparing finds it deaf again and again", async () => {
    await using opened = await openLog(redis, { compareIntervalMs: 20 });
    const { log, keys, story } = opened;
    const collector = new Collector();
    await log.follow("a", collector);
    const first = await log.append({ roomId: "a", event: small(1) });
    // Without a pause, so that every look finds something new that the channel did not bring.
    let length = 1;
    while (!story.has("down channels")) {
      expect(length).toBeLessThan(50_000);
      await appendUnheard(redis, keys, "a", next(first.position, length), length + 1);
      length += 1;
    }
    await collector.until(length);
    await waitFor("the connection is back", () => story.lines.filter((line) => line === "up channels").length === 2);
    await log.append({ roomId: "a", event: small(99) });
    await collector.until(length + 1);
    // By position: a byte of text is too small for so many.
    const { seq } = first.position;
    expect(collector.seen).toHaveLength(length + 1);
    expect(collector.entries.map(({ position }) => position.seq)).toEqual(range(seq, seq + length));
  });

  test("misses nothing when its connection is cut again and again while others send", async () => {
    await using opened = await openLog(redis);
    const { log, story } = opened;
    const collectors = { a: new Collector(), b: new Collector() };
    await log.follow("a", collectors.a);
    await log.follow("b", collectors.b);
    for (const n of range(1, 60)) {
      if (n % 15 === 0) {
        await redis.command("CLIENT", "KILL", "TYPE", "pubsub");
      }
      await Promise.all([appendAll(log, "a", n, n), appendAll(log, "b", n, n)]);
    }
    await collectors.a.until(60);
    await collectors.b.until(60);
    expect(collectors.a.order).toEqual(range(1, 60));
    expect(collectors.b.order).toEqual(range(1, 60));
    expect(story.has("down channels")).toBe(true);
  });

  test("gets from the history what it missed and the log has let go", async () => {
    using history = openHistory();
    await using opened = await openLog(redis, { history, roomLogEntriesMax: 2, trimMarginMs: 0 });
    const { log, keys } = opened;
    const collector = new Collector();
    await log.follow("a", collector);
    const first = await log.append({ roomId: "a", event: small(1) });
    await collector.until(1);
    for (const n of range(2, 10)) {
      const position = next(first.position, n - 1);
      await appendUnheard(redis, keys, "a", position, n);
      await history.write([{ roomId: "a", position, acceptedMs: 1, event: small(n) }]);
    }
    await redis.command("XTRIM", keys.roomLog("a"), "MAXLEN", "3");
    await log.append({ roomId: "a", event: small(11) });
    await collector.until(11);
    expect(collector.order).toEqual(range(1, 11));
  });

  test("is told exactly what nobody has any more", async () => {
    await using opened = await openLog(redis);
    const { log, keys } = opened;
    const collector = new Collector();
    await log.follow("a", collector);
    const { position } = await log.append({ roomId: "a", event: small(1) });
    await collector.until(1);
    for (const n of range(2, 5)) {
      await appendUnheard(redis, keys, "a", next(position, n - 1), n);
    }
    await redis.command("XDEL", keys.roomLog("a"), formatPosition(next(position)), formatPosition(next(position, 2)));
    await log.append({ roomId: "a", event: small(6) });
    await collector.until(4);
    expect(collector.order).toEqual([1, "lost", 4, 5, 6]);
    expect(collector.losses).toEqual([{ after: position, through: next(position, 2) }]);
  });

  test("is not misled by what others publish on its channel", async () => {
    await using opened = await openLog(redis);
    const { log, keys, story } = opened;
    const collector = new Collector();
    await log.follow("a", collector);
    const { position } = await log.append({ roomId: "a", event: small(1) });
    await redis.command("SPUBLISH", keys.channel("a"), "garbage");
    await redis.command("SPUBLISH", keys.channel("a"), `${formatPosition(next(position, 5))} 1 x`);
    await redis.command("SPUBLISH", keys.channel("a"), `${formatPosition(position)} 1 x`);
    await waitFor("it saw them", () => story.lines.filter((line) => line === "foreign a").length === 2);
    await appendAll(log, "a", 2, 3);
    await collector.until(3);
    expect(collector.order).toEqual([1, 2, 3]);
  });

  test("that stops leaves the channel, and one that comes back is subscribed again", async () => {
    await using opened = await openLog(redis);
    const { log, keys } = opened;
    const subscribers = async () => {
      const reply = (await redis.command("PUBSUB", "SHARDNUMSUB", keys.channel("a"))) as [string, number];
      return reply[1];
    };
    for (const round of range(1, 20)) {
      const collector = new Collector();
      const following = await log.follow("a", collector);
      await log.append({ roomId: "a", event: small(round) });
      await collector.until(1);
      following.stop();
    }
    await waitFor("nobody is subscribed", async () => (await subscribers()) === 0);
  });
});

describe("a send", () => {
  test("goes on when Redis forgets its scripts", async () => {
    await using opened = await openLog(redis);
    for (const n of range(1, 20)) {
      await redis.command("SCRIPT", "FLUSH");
      expect((await opened.log.append({ roomId: "a", event: small(n) })).position.seq).toBe(n - 1);
    }
  });

  test("to a frozen server is refused, all of them, and repeated it is there once", async () => {
    await using server = await ownRedis();
    await using opened = await openLog(server);
    const { log } = opened;
    await log.append({ roomId: "a", event: small(0) });
    server.freeze();
    const send = (n: number) => log.append({ roomId: "a", event: small(n), dedupe: { key: `k${n}`, digest: "" } });
    const refused: unknown[] = [];
    // Sends that keep coming do not keep a dead connection alive.
    const deaf = (async () => {
      for (let n = 1; refused.length < 20 && n <= 200; n += 1) {
        void send(n).catch((error) => refused.push(error));
        await Bun.sleep(50);
      }
    })();
    await deaf;
    expect(refused.length).toBeGreaterThanOrEqual(20);
    expect(refused.every(isUnavailable)).toBe(true);
    expect(await failure(log.readAfter("a", undefined, 1))).toBeInstanceOf(RoomLogUnavailableError);
    server.thaw();
    const first = await insist(() => send(1));
    expect((await insist(() => send(1))).position).toEqual(first.position);
    const { entries } = await insist(() => log.readAfter("a", undefined, 1_000));
    expect(entries.filter(({ event }) => event[0] === 1)).toHaveLength(1);
    expect(entries.map(({ position }) => position.seq)).toEqual(range(0, entries.length - 1));
  });

  test("that fails in the middle for a damaged key leaves neither a hole nor half an entry", async () => {
    await using opened = await openLog(redis);
    const { log, keys } = opened;
    const shardLog = keys.shardLog(keys.shardOf("a"));
    const send = (n: number) => log.append({ roomId: "a", event: small(n), dedupe: { key: `k${n}`, digest: "" } });
    for (const [n, key] of [keys.roomLog("a"), keys.state("a"), shardLog].entries()) {
      await redis.command("SET", key, "damaged");
      expect(await failure(send(n))).toBeInstanceOf(RoomLogUnavailableError);
      await redis.command("DEL", key);
      expect((await log.readAfter("a", undefined, 10)).entries).toEqual([]);
    }
    await redis.command("LPUSH", keys.once("a", "k9"), "damaged");
    expect(await failure(send(9))).toBeInstanceOf(RoomLogUnavailableError);
    expect((await send(0)).position.seq).toBe(0);
    expect(await redis.command("XLEN", shardLog)).toBe(1);
  });

  test("that may not write all that belongs to it writes nothing, and goes on when it may", async () => {
    await using server = await ownRedis();
    await using opened = await openLog(server);
    const { log } = opened;
    const [, second] = await appendAll(log, "a", 1, 2);
    for (const command of ["xadd", "hset", "set"]) {
      await server.command("ACL", "SETUSER", "default", `-${command}`);
      const refused = await failure(log.append({ roomId: "a", event: small(9), dedupe: { key: "k", digest: "9" } }));
      expect(refused).toBeInstanceOf(RoomLogUnavailableError);
      expect(String(refused)).toContain("NOPERM");
      await server.command("ACL", "SETUSER", "default", "+@all");
    }
    const third = await log.append({ roomId: "a", event: small(3) });
    expect(third.position).toEqual(next(second?.position as Position));
    expect((await log.readAfter("a", undefined, 10)).entries.map(({ event }) => event[0])).toEqual([1, 2, 3]);
  });

  test("is refused when Redis is out of memory; reading, storing and trimming go on and make room", async () => {
    await using server = await ownRedis();
    await using opened = await openLog(server, { trimMarginMs: 0, roomLogEntriesMax: 1 });
    const { log } = opened;
    const appended = await appendAll(log, "a", 1, 5);
    await server.command("CONFIG", "SET", "maxmemory", "1");
    const error = await failure(log.append({ roomId: "a", event: small(6) }));
    expect(error).toBeInstanceOf(RoomLogFullError);
    expect(error).toMatchObject({ retryable: true });
    expect((await log.readAfter("a", undefined, 10)).entries).toHaveLength(5);
    const consumer = await log.consumer("persist", "one");
    const deliveries = await takeAll(consumer, 5);
    await consumer.release(deliveries.slice(3));
    await consumer.ack(deliveries.slice(0, 3));
    await consumer.ack(await takeAll(consumer, 2));
    expect(await log.trim()).toMatchObject({ shardEntries: 5, roomEntries: 4 });
    await server.command("CONFIG", "SET", "maxmemory", "0");
    expect((await log.append({ roomId: "a", event: small(6) })).position).toEqual(
      next(appended[4]?.position as Position),
    );
  });

  test("is refused when a shard's log is too long, whoever is behind", async () => {
    await using opened = await openLog(redis, { shards: 1, persistLogEntriesMax: 3, shardLogEntriesMax: 6 });
    const { log } = opened;
    for (const round of [0, 1]) {
      await appendAll(log, "a", 3 * round, 3 * round + 2);
      await persist(log, 3);
    }
    expect(await failure(log.append({ roomId: "a", event: small(7) }))).toBeInstanceOf(RoomLogFullError);
  });

  test("is refused beyond the number that may wait for Redis", async () => {
    await using opened = await openLog(redis, { commandsMax: 10 });
    const sends = range(1, 30).map((n) => failure(opened.log.append({ roomId: "a", event: small(n) })));
    const refused = (await Promise.all(sends)).filter((error) => error !== undefined);
    expect(refused).toHaveLength(20);
    expect(refused.every((error) => error instanceof RoomLogFullError)).toBe(true);
  });

  test("that waits for Redis with as many as may is answered, however long the connection has been full", async () => {
    await using server = await ownRedis();
    // Every second it is looked whether it is still the same server, and that needs a place among the commands.
    await using opened = await openLog(server, { commandsMax: 10, answerTimeoutMs: 4_000 });
    const { log, story } = opened;
    await log.append({ roomId: "a", event: small(0) });
    await server.command("CLIENT", "PAUSE", "1500", "ALL");
    const sends = range(1, 20).map((n) => failure(log.append({ roomId: "a", event: small(n) })));
    const failures = await Promise.all(sends);
    expect(failures.slice(0, 9)).toEqual(Array(9).fill(undefined));
    expect(failures.slice(10).every((error) => error instanceof RoomLogFullError)).toBe(true);
    expect(story.has("down scripts")).toBe(false);
  });

  test("to a server that is not there is refused at once, and goes on when it is back", async () => {
    await using server = await ownRedis();
    await using opened = await openLog(server);
    const { log, story } = opened;
    await server.kill();
    await waitFor("it is noticed", () => story.has("down scripts") && story.has("down reads"));
    expect(await failure(log.append({ roomId: "a", event: small(1) }))).toBeInstanceOf(RoomLogUnavailableError);
    expect(await failure(log.readAfter("a", undefined, 1))).toBeInstanceOf(RoomLogUnavailableError);
    expect(log.isUp).toBe(false);
    await server.start();
    await insist(() => log.append({ roomId: "a", event: small(1) }));
    await waitFor("all is up", () => log.isUp);
  });

  test("opening fails where no Redis is, and says so", async () => {
    await using server = await ownRedis();
    await server.kill();
    expect(await failure(openRedisRoomLog({ endpoint: { url: server.url } }, 300))).toBeInstanceOf(
      RoomLogUnavailableError,
    );
  });
});

describe("a consumer", () => {
  test("takes over what a member held that is gone, when its lease has run out", async () => {
    await using opened = await openLog(redis, { shards: 1 });
    const { log, keys } = opened;
    await appendAll(log, "a", 1, 5);
    const shard = [keys.shardLog(0), keys.lease(0, "persist")];
    await redis.command("EVAL", takeSource, "2", ...shard, "persist", "gone", "token", "300", "3", "0");
    const consumer = await log.consumer("persist", "one");
    const deliveries = await takeAll(consumer, 5);
    expect(deliveries.map(({ entry }) => entry.event[0])).toEqual(range(1, 5));
    expect(deliveries.map(({ attempts }) => attempts)).toEqual([2, 2, 2, 1, 1]);
  });

  test("that was started again need not wait for the lease of its former life", async () => {
    await using opened = await openLog(redis, { shards: 1 });
    const { log, keys } = opened;
    await appendAll(log, "a", 1, 3);
    const shard = [keys.shardLog(0), keys.lease(0, "persist")];
    const token = `one/${crypto.randomUUID()}`;
    await redis.command("EVAL", takeSource, "2", ...shard, "persist", "one", token, "3600000", "3", "0");
    const other = await log.consumer("persist", "on");
    expect(await other.take(3, AbortSignal.timeout(50))).toEqual([]);
    const consumer = await log.consumer("persist", "one");
    expect((await takeAll(consumer, 3)).map(({ attempts }) => attempts)).toEqual([2, 2, 2]);
  });

  test("keeps what it holds for longer than a lease", async () => {
    await using opened = await openLog(redis, { shards: 1, leaseMs: 300 });
    const { log, keys, story } = opened;
    await appendAll(log, "a", 1, 2);
    const [one, two] = [await log.consumer("persist", "one"), await log.consumer("persist", "two")];
    const deliveries = await takeAll(one, 2);
    const lease = keys.lease(0, "persist");
    // Twice it was made longer again.
    for (const _ of range(1, 2)) {
      await waitFor("the lease runs", async () => Number(await redis.command("PTTL", lease)) < 220);
      await waitFor("the lease is longer again", async () => Number(await redis.command("PTTL", lease)) > 220);
    }
    const waits = two.take(1, AbortSignal.timeout(50));
    expect(await waits).toEqual([]);
    await one.ack(deliveries);
    expect(story.has(/^lease lost/)).toBe(false);
  });

  test("that was away for too long is told, and its late acknowledgement still counts", async () => {
    await using opened = await openLog(redis, { shards: 1, leaseMs: 300 });
    const { log, keys, story } = opened;
    await appendAll(log, "a", 1, 2);
    const consumer = await log.consumer("persist", "one");
    const deliveries = await takeAll(consumer, 2);
    await redis.command("SET", keys.lease(0, "persist"), "somebody-else", "PX", "400");
    await waitFor("it is told", () => story.has("lease lost persist 2"));
    await consumer.ack(deliveries);
    await appendAll(log, "a", 3, 3);
    expect((await takeAll(consumer, 1)).map(({ entry }) => entry.event[0])).toEqual([3]);
  });

  test("goes on after its connections were cut, and is handed again what the answer was lost of", async () => {
    await using opened = await openLog(redis);
    const { log } = opened;
    await appendAll(log, "a", 1, 30);
    const consumer = await log.consumer("persist", "one");
    const got = new Map<string, number>();
    const orLost = async <T>(call: Promise<T>): Promise<T | undefined> => {
      try {
        return await call;
      } catch (error) {
        expect(error).toBeInstanceOf(RoomLogUnavailableError);
        await waitFor("the connections are back", () => log.isUp);
        return undefined;
      }
    };
    for (let round = 0; got.size < 30; round += 1) {
      expect(round).toBeLessThan(100);
      const taking = orLost(consumer.take(7, AbortSignal.timeout(1_000)));
      if (round % 3 === 0) {
        await redis.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
      }
      const deliveries = (await taking) ?? [];
      await orLost(consumer.ack(deliveries));
      for (const { entry } of deliveries) {
        got.set(formatPosition(entry.position), entry.event[0] as number);
      }
    }
    expect([...got.values()].sort((a, b) => a - b)).toEqual(range(1, 30));
  });

  test("goes on with a server that came back empty", async () => {
    await using opened = await openLog(redis);
    const { log } = opened;
    const consumer = await log.consumer("persist", "one");
    await appendAll(log, "a", 1, 2);
    const deliveries = await takeAll(consumer, 2);
    await redis.command("FLUSHALL");
    await consumer.release(deliveries);
    await consumer.ack(deliveries);
    await appendAll(log, "a", 3, 4);
    expect((await takeAll(consumer, 2)).map(({ entry }) => entry.event[0])).toEqual([3, 4]);
  });

  test("is handed what is no entry as one that is no event", async () => {
    await using opened = await openLog(redis, { shards: 1 });
    const { log, keys } = opened;
    await redis.command("XADD", keys.shardLog(0), "*", "garbage", "in");
    await redis.command("XADD", keys.shardLog(0), "*", "r", "a", "p", "nowhere", "t", "1", "e", "x");
    await appendAll(log, "a", 1, 1);
    const consumer = await log.consumer("persist", "one");
    const [garbage, nowhere, good] = await takeAll(consumer, 3);
    for (const poison of [garbage, nowhere]) {
      expect(() => decodeEntry(poison?.entry as LogEntry)).toThrow();
    }
    expect(Buffer.from(garbage?.entry.event ?? []).toString()).toContain("garbage in");
    expect(good?.entry.event[0]).toBe(1);
  });

  test("leaves no trace in its group when it leaves", async () => {
    await using opened = await openLog(redis, { shards: 1 });
    const { log, keys } = opened;
    await appendAll(log, "a", 1, 3);
    const consumer = await log.consumer("persist", "one");
    await takeAll(consumer, 3);
    await consumer.close();
    const consumers = (await redis.command("XINFO", "CONSUMERS", keys.shardLog(0), "persist")) as { name: string }[];
    // What was let go belongs to nobody.
    expect(consumers.map(({ name }) => name)).toEqual(["-"]);
    expect(await redis.command("GET", keys.lease(0, "persist"))).toBeNull();
  });

  test("two members of a group in one process cannot have one name, and whoever waits is refused when the log closes", async () => {
    await using opened = await openLog(redis);
    const consumer = await opened.log.consumer("persist", "one");
    expect(String(await failure(opened.log.consumer("persist", "one")))).toContain("has a member called one already");
    const waiting = failure(consumer.take(1, never()));
    await opened.log.close();
    expect(await waiting).toBeInstanceOf(RoomLogUnavailableError);
    expect(await failure(opened.log.append({ roomId: "a", event: small(1) }))).toBeInstanceOf(RoomLogUnavailableError);
  });
});

describe("trimming", () => {
  test("takes what all groups have done with, and keeps what is younger than the margin", async () => {
    await using opened = await openLog(redis, { trimMarginMs: 3_600_000, roomLogEntriesMax: 2 });
    await using eager = await openLog(redis, { prefix: opened.prefix, trimMarginMs: 0, roomLogEntriesMax: 2 });
    const { log } = opened;
    await appendAll(log, "a", 1, 10);
    const words = await log.consumer("hot-words", "one");
    const deliveries = await takeAll(words, 10);
    await words.ack(deliveries.slice(0, 4));
    expect(await eager.log.trim()).toEqual({ shardEntries: 0, roomEntries: 0, hotWordsDropped: 0 });
    await persist(log, 10);
    expect(await log.trim()).toMatchObject({ shardEntries: 0, roomEntries: 0 });
    expect(await eager.log.trim()).toEqual({ shardEntries: 4, roomEntries: 4, hotWordsDropped: 0 });
    await words.ack(deliveries.slice(4));
    expect(await eager.log.trim()).toEqual({ shardEntries: 6, roomEntries: 4, hotWordsDropped: 0 });
    const page = await log.readAfter("a", undefined, 10);
    expect(page.entries.map(({ event }) => event[0])).toEqual([9, 10]);
    expect(page.floor).toEqual(deliveries[7]?.entry.position);
  });

  test("does not wait for hot words that nobody counts", async () => {
    await using opened = await openLog(redis, { trimMarginMs: 0, hotWordsKeepMs: 0 });
    const { log, story } = opened;
    const words = await log.consumer("hot-words", "one");
    await appendAll(log, "a", 1, 1);
    const held = await takeAll(words, 1);
    await appendAll(log, "a", 2, 3);
    await persist(log, 3);
    // Entries of this millisecond are young still.
    await waitFor("all are trimmed", async () => {
      await log.trim();
      return story.lines.filter((line) => line.startsWith("dropped hot-words")).length > 0;
    });
    await words.release(held);
    await waitFor("nothing is left", async () => (await log.trim()).shardEntries === 0);
    expect(await words.take(10, AbortSignal.timeout(50))).toEqual([]);
  });

  test("lets rooms rest in which nothing happens, and they go on where they stood", async () => {
    await using opened = await openLog(redis, { trimMarginMs: 0, roomIdleMs: 0 });
    const { log, keys } = opened;
    const [, second] = await appendAll(log, "a", 1, 2);
    const top = second?.position as Position;
    await log.trim();
    expect((await log.readAfter("a", undefined, 10)).entries).toHaveLength(2);
    await persist(log, 2);
    await waitFor("the room rests", async () => {
      await log.trim();
      return (await redis.command("EXISTS", keys.roomLog("a"))) === 0;
    });
    expect(await log.readAfter("a", undefined, 10)).toEqual({ entries: [], floor: top, top });
    expect((await log.append({ roomId: "a", event: small(3) })).position).toEqual(next(top));
    await log.trim();
    expect((await log.readAfter("a", undefined, 10)).entries).toHaveLength(1);
  });

  test("goes through more than one look can hold", async () => {
    await using opened = await openLog(redis, { shards: 1, trimMarginMs: 0, roomLogEntriesMax: 10 });
    const { log } = opened;
    await Promise.all(range(1, 1_300).map((n) => log.append({ roomId: `room-${n % 3}`, event: small(n % 256) })));
    await persist(log, 1_300);
    await waitFor("the shard's log is empty", async () => {
      await log.trim();
      return (await redis.command("XLEN", opened.keys.shardLog(0))) === 0;
    });
    const { entries, floor, top } = await log.readAfter("room-0", undefined, 100);
    expect(entries).toHaveLength(10);
    expect(floor?.seq).toBe((top?.seq as number) - 10);
  });
});
