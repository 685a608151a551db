/** Two gateway processes on one port, as `bun start --processes 2` runs them, on a real Redis and a real Cassandra. */
import { beforeAll, expect, test } from "bun:test";
import { ChatClient } from "../client/chat-client.ts";
import { createNodeTransport } from "../client/node-transports.ts";
import { type CassandraNode, cassandraStartTimeoutMs, sharedCassandra } from "../test/harness/cassandra.ts";
import { type Gateway, startGateway } from "../test/harness/gateway.ts";
import { type RedisServer, startRedis } from "../test/harness/redis.ts";
import { waitFor } from "../test/harness/wait-for.ts";

const roomId = "lobby";
/** Each with a connection of its own: that all are with one process happens once in 2^23 runs. */
const readersCount = 24;

let node: CassandraNode;

beforeAll(async () => {
  node = await sharedCassandra();
}, cassandraStartTimeoutMs);

function startTwo(redis: RedisServer, settings: Readonly<Record<string, string>> = {}): Promise<Gateway> {
  return startGateway({
    PROCESSES: "2",
    REDIS_URL: redis.url,
    CASSANDRA_CONTACT_POINTS: node.contactPoint,
    CASSANDRA_KEYSPACE: node.freshKeyspace().keyspace,
    CASSANDRA_REPLICATION: "datacenter1:1",
    INITIAL_ROOMS: roomId,
    DRAIN_TIMEOUT_MS: "1000",
    ...settings,
  });
}

/** The processes that have served so far. */
function served({ log }: Gateway): number[] {
  return [...log.matchAll(/"gatewayPid":(\d+),"msg":"a process serves"/g)].map(([, pid]) => Number(pid));
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

test("two processes share one port: one is killed and replaced, readers go on at the other, and all drain", async () => {
  const redis = await startRedis();
  const gateway = await startTwo(redis);
  const { url: baseUrl } = gateway;
  const retry = { baseMs: 50, maxMs: 500, sendAttemptsMax: 100, sendTimeoutMs: 30_000 };
  const texts: string[][] = [];
  const breaks: number[] = Array(readersCount).fill(0);
  const readers = Array.from({ length: readersCount }, (_, reader) => {
    const seen: string[] = [];
    texts.push(seen);
    return new ChatClient({ transport: createNodeTransport({ baseUrl }), retry }).subscribe(roomId, {
      start: { tail: 100 },
      onMessage: ({ text }) => seen.push(text),
      onState: (state) => {
        if (state.kind === "live" && state.resumedInMs !== undefined) {
          breaks[reader] = (breaks[reader] as number) + 1;
        }
      },
    });
  });
  const allLive = () => readers.every(({ state }) => state.kind === "live");
  const chat = new ChatClient({ transport: createNodeTransport({ baseUrl }), retry });
  const said: string[] = [];
  const say = async (text: string) => {
    await chat.send({ roomId, text, author: { name: "하나" } });
    said.push(text);
  };
  const everyoneSaw = () => texts.every((seen) => seen.length >= said.length);
  try {
    await waitFor("every reader is live", allLive);
    const [first, second] = served(gateway) as [number, number];
    await say("to both");
    await waitFor("both processes have told their readers", everyoneSaw);

    process.kill(first, "SIGKILL");
    await say("while one is gone");
    await waitFor("everyone has it, also who was at the first", () => allLive() && everyoneSaw(), 30_000);
    const broken = breaks.filter((count) => count > 0).length;
    expect(broken).toBeGreaterThan(0);
    expect(broken).toBeLessThan(readersCount);
    await waitFor("a third process serves", () => served(gateway).length === 3, 30_000);
    expect(isRunning(second)).toBe(true);

    await say("to the third, too");
    await waitFor("everyone has everything", everyoneSaw);
    expect(texts).toEqual(Array(readersCount).fill(said));

    expect(await gateway.stop()).toBe(0);
    expect(served(gateway).filter(isRunning)).toEqual([]);
  } finally {
    for (const reader of readers) {
      reader.stop();
    }
    await gateway.stop("SIGKILL");
    await redis.stop();
  }
});

test("processes whose parent is killed end by themselves", async () => {
  const redis = await startRedis();
  const gateway = await startTwo(redis);
  try {
    await gateway.stop("SIGKILL");
    await waitFor("none runs", () => !served(gateway).some(isRunning), 20_000);
  } finally {
    await redis.stop();
  }
});

test("a second signal ends all at once", async () => {
  const redis = await startRedis();
  const gateway = await startTwo(redis, { DRAIN_TIMEOUT_MS: "600000" });
  const reader = new ChatClient({ transport: createNodeTransport({ baseUrl: gateway.url }) }).subscribe(roomId, {
    onMessage: () => {},
  });
  try {
    await waitFor("somebody reads", () => reader.state.kind === "live");
    process.kill(gateway.pid, "SIGTERM");
    await waitFor("they stop in order", () => gateway.log.includes("stopping in order"));
    expect(await gateway.stop()).toBe(1);
    await waitFor("none runs", () => !served(gateway).some(isRunning));
  } finally {
    reader.stop();
    await redis.stop();
  }
});
