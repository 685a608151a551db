/**
 * Everything that is kept in Redis, on a real Redis Cluster: the contracts, then what only a cluster does: slots that move,
 * replicas that take over, masters that are in doubt whether they are.
 */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import type { RedisServer } from "../../../test/harness/redis.ts";
import { type RedisCluster, startRedisCluster } from "../../../test/harness/redis-cluster.ts";
import { waitFor } from "../../../test/harness/wait-for.ts";
import { deadLettersContract } from "../../dead-letters/dead-letters.contract.ts";
import { RedisDeadLetters } from "../../dead-letters/redis-dead-letters.ts";
import { hotWordsContract } from "../../hot-words/hot-words.contract.ts";
import { openRedisHotWords } from "../../hot-words/redis/redis-hot-words.ts";
import { comparePositions } from "../../position.ts";
import { RoomLogUnavailableError } from "../errors.ts";
import { roomLogContract } from "../room-log.contract.ts";
import type { LogEntry, LostRange } from "../room-log.ts";
import { clusterSlot } from "./cluster-slot.ts";
import { RedisKeys } from "./redis-keys.ts";
import { redisLogFixture } from "./redis-log-fixture.ts";
import { openRedisRoomLog, type RedisRoomLog, type RedisRoomLogOptions } from "./redis-room-log.ts";

// Longer than any wait below: a condition that does not come says itself what it was.
setDefaultTimeout(60_000);

/** A replica of this cluster takes over after three to five seconds; rooms on it talk again soon after. */
const takenOverTimeoutMs = 20_000;

let cluster: RedisCluster;
let prefixes = 0;

beforeAll(async () => {
  cluster = await startRedisCluster({ masters: 3, replicasEach: 1 });
});

afterAll(async () => {
  await cluster?.stop();
});

const endpoint = () => ({ cluster: cluster.urls });
const freshPrefix = () => `own-${++prefixes}`;

// The model opens a log for each list of commands, with connections to all masters.
roomLogContract("Redis Cluster", async (bounds) => redisLogFixture(bounds, endpoint(), await cluster.masters()), {
  modelRuns: 20,
});

hotWordsContract("Redis Cluster", (options) =>
  openRedisHotWords({ ...options, clock: "caller", endpoint: endpoint(), prefix: freshPrefix() }),
);

deadLettersContract("Redis Cluster", async (now) => {
  const deadLetters = new RedisDeadLetters({ endpoint: endpoint(), prefix: freshPrefix(), now });
  await deadLetters.opened(10_000);
  return { deadLetters, cleanup: () => deadLetters.close() };
});

test("keys are in the slots that Redis says they are in", async () => {
  const keys = ["", "chat", "{chat:17}:log", "{chat:17}:state:방", "a{}b", "{}", "{a}{b}", "a{b", "a}b{c}", "{{a}}"];
  const told = await Promise.all(keys.map((key) => cluster.slotOf(key)));
  expect(keys.map(clusterSlot)).toEqual(told);
});

describe("rooms of a cluster that talk", () => {
  test("go on while the slots of all of them move, and move back", async () => {
    await using talk = await startTalk();
    for (const round of [1, 2]) {
      for (const roomId of talk.rooms) {
        const slot = clusterSlot(talk.keys.state(roomId));
        const source = await cluster.masterOf(slot);
        const target = (await cluster.masters()).find((node) => node !== source) as RedisServer;
        await cluster.moveSlot(slot, target);
      }
      await talk.goOn(round * 30);
    }
    await talk.isWhole();
  });

  test("go on when their connections are cut, on all nodes", async () => {
    await using talk = await startTalk();
    for (const type of ["pubsub", "normal", "pubsub"]) {
      await Promise.all(cluster.nodes.map((node) => node.command("CLIENT", "KILL", "TYPE", type, "SKIPME", "yes")));
      await talk.goOn(10);
    }
    await talk.isWhole();
  });

  test("go on when replicas take over as planned, on all masters, and lose nothing", async () => {
    await using talk = await startTalk();
    for (const master of await cluster.masters()) {
      await cluster.failover(await cluster.replicaOf(master));
      await talk.goOn(10);
      await cluster.inStep(master);
    }
    await talk.isWhole();
  });

  test("go on when a master is killed and its replica takes over", async () => {
    await using talk = await startTalk();
    const { master, replica } = await talk.pair();
    await master.kill();
    await cluster.promoted(replica);
    await talk.goOn(20);
    await master.start();
    await cluster.inStep(master);
    // A replica may lack what its master accepted last. Under this load it has it.
    await talk.isWhole();
  });

  test("leave a master that is frozen when its replica has taken over, and what was accepted then is still there when it thaws", async () => {
    await using talk = await startTalk();
    const { master, replica } = await talk.pair();
    master.freeze();
    try {
      await cluster.promoted(replica, [master]);
      await talk.goOn(20);
    } finally {
      master.thaw();
    }
    await cluster.inStep(master);
    await talk.goOn(20);
    await talk.isWhole();
  });
});

test("a subscription that the server ended is made again, also where the client took that for an answer", async () => {
  const lonely = await startRedisCluster({ masters: 1 });
  const [node] = lonely.nodes as [RedisServer];
  const log = await openRedisRoomLog({ ...quick, endpoint: { cluster: lonely.urls } });
  try {
    const collector = new Collector();
    await log.follow("a", collector);
    const slot = String(clusterSlot(new RedisKeys("chat", 64).channel("a")));
    for (let round = 1; round <= 6; round += 1) {
      node.freeze();
      const end = () => Promise.all(["DELSLOTS", "ADDSLOTS"].map((how) => node.command("CLUSTER", how, slot)));
      // In the order in which they come: the word about the channel is there before the answer that the client waits for, or after.
      const isBefore = round % 2 === 0;
      const early = isBefore ? end() : undefined;
      await Bun.sleep(quick.answerTimeoutMs / 2);
      const ended = early ?? end();
      node.thaw();
      await ended;
      await insist(() => log.append({ roomId: "a", event: small(round) }));
      await waitFor(`message ${round} is there`, () => collector.entries.length === round, takenOverTimeoutMs);
    }
    expect(collector.losses).toEqual([]);
  } finally {
    await log.close();
    await lonely.stop();
  }
});

test("a member takes again what it has done with, where the replica that took over does not know that", async () => {
  const prefix = freshPrefix();
  const log = await openRedisRoomLog({ ...quick, endpoint: endpoint(), prefix, shards: 1 });
  try {
    const keys = new RedisKeys(prefix, 1);
    const consumer = await log.consumer("persist", "one");
    await log.append({ roomId: "a", event: small(1) });
    const held = await consumer.take(1, AbortSignal.timeout(10_000));
    const master = await cluster.masterOf(clusterSlot(keys.shardLog(0)));
    await log.append({ roomId: "a", event: small(2) });
    // As it is where an acknowledgement has not reached the replica: pending, and the member does not have it in hand.
    const read = ["GROUP", "persist", "one", "COUNT", "1", "STREAMS", keys.shardLog(0), ">"];
    await master.command("XREADGROUP", ...read);
    await cluster.failover(await cluster.replicaOf(master));
    const taken: number[] = [];
    await waitFor("the member has it again", async () => {
      const deliveries = await consumer.take(10, AbortSignal.timeout(200)).catch(() => []);
      taken.push(...deliveries.map(({ entry }) => entry.event[0] as number));
      return taken.includes(2);
    });
    await consumer.ack(held);
    await cluster.inStep(master);
  } finally {
    await log.close();
  }
});

// What the tests share ------------------------------------------------------------------------------------------------

/** No comparing: what it would mend has to be right without it. */
const quick = { answerTimeoutMs: 1_000, lookIntervalMs: 50, compareIntervalMs: 3_600_000 };

const small = (n: number) => new Uint8Array([n % 256]);

class Collector {
  readonly entries: LogEntry[] = [];
  readonly losses: LostRange[] = [];
  entry(entry: LogEntry): void {
    this.entries.push(entry);
  }
  lost(range: LostRange): void {
    this.losses.push(range);
  }
}

/** Repeats a call until Redis takes it. */
function insist<T>(call: () => Promise<T>) {
  return waitFor("Redis takes it", () =>
    call().catch((error) => {
      expect(error).toBeInstanceOf(RoomLogUnavailableError);
      return undefined as T;
    }),
  );
}

/** Rooms on every master, in which somebody says one thing after the other, and insists; and somebody who follows. */
async function startTalk(options: Partial<RedisRoomLogOptions> = {}) {
  const prefix = freshPrefix();
  const keys = new RedisKeys(prefix, 64);
  const log: RedisRoomLog = await openRedisRoomLog({ ...quick, endpoint: endpoint(), prefix, ...options });
  const rooms = Array.from({ length: 9 }, (_, n) => `room-${n}`);
  const followers = new Map(rooms.map((roomId) => [roomId, new Collector()]));
  const accepted = new Map(rooms.map((roomId) => [roomId, 0]));
  const stop = new AbortController();
  for (const [roomId, follower] of followers) {
    await log.follow(roomId, follower);
  }
  const talking = rooms.map(async (roomId) => {
    for (let n = 1; !stop.signal.aborted; n += 1) {
      await insist(() => log.append({ roomId, event: small(n), dedupe: { key: `k${n}`, digest: "" } }));
      accepted.set(roomId, n);
      await Bun.sleep(5);
    }
  });
  const goOn = async (more: number) => {
    const least = Math.max(...accepted.values()) + more;
    await waitFor(
      `every room has ${more} more`,
      () => [...accepted.values()].every((count) => count >= least),
      takenOverTimeoutMs,
    );
  };
  await goOn(10);
  return {
    keys,
    rooms,
    /** Resolves when so many more were accepted in every room. */
    goOn,
    /** The master of a room, and its replica. */
    async pair() {
      const master = await cluster.masterOf(clusterSlot(keys.state("room-0")));
      const replica = await cluster.replicaOf(master);
      await cluster.inStep(replica);
      await cluster.rested(replica);
      return { master, replica };
    },
    /** Ends the talk, and checks that the followers and the log have each thing once, in order, and that nobody heard of a loss. */
    async isWhole() {
      stop.abort();
      await Promise.all(talking);
      for (const [roomId, { entries, losses }] of followers) {
        const count = accepted.get(roomId) as number;
        await waitFor(`${roomId} has ${count} messages`, () => entries.length >= count);
        expect(entries.map(({ event }) => event[0])).toEqual(Array.from({ length: count }, (_, n) => (n + 1) % 256));
        const positions = entries.map(({ position }) => position);
        expect(positions).toEqual([...positions].sort(comparePositions));
        expect(losses).toEqual([]);
        const page = await insist(() => log.readAfter(roomId, undefined, 1_000));
        expect(page.entries.map(({ position }) => position)).toEqual(positions.slice(0, 1_000));
      }
    },
    async [Symbol.asyncDispose]() {
      stop.abort();
      await Promise.allSettled(talking);
      await log.close();
    },
  };
}
