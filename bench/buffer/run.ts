/**
 * `bun run experiment:buffer`: at what traffic does the database fail, and is the buffer needed? Messages come at rising
 * rates and go into Cassandra either directly, one insert each, or through the log in Redis and the worker.
 *
 *     bun run experiment:buffer                                     10 s at each rate
 *     bun run experiment:buffer --rates 1000,4000 --seconds 5
 *
 * Cassandra has half of the cores for itself and everything else (arrivals, Redis, worker) the other half, so that the
 * database's limit is its own. The worker stores and does not count words, as the direct way does not either. Every rate begins with empty logs
 * and an empty table. Results: bench/results/buffer.json; `bun run generate` makes chart and table of
 * docs/experiments/buffered-or-direct.md from it.
 */
import { cpus } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { openCassandra } from "../../storage/cassandra/open-cassandra.ts";
import { type CassandraNode, type FreshKeyspace, startCassandra } from "../../test/harness/cassandra.ts";
import { type RedisServer, startRedis } from "../../test/harness/redis.ts";
import { waitFor } from "../../test/harness/wait-for.ts";
import { AskedProcess } from "../measuring/asked-process.ts";
import { freshRooms } from "../measuring/chat-messages.ts";
import { CpuMeter } from "../measuring/cpu-time.ts";
import { HistoryTable } from "../measuring/history-table.ts";
import { thisMachine, writeResult } from "../measuring/result-file.ts";
import { entriesWaiting } from "../measuring/shard-progress.ts";
import type { StoredReport, WorkerCommand } from "../store/worker.ts";
import { workerArgs } from "../store/worker-args.ts";
import type { ArrivalsCommand, ArrivalsReport } from "./arrivals.ts";

const { values: flags } = parseArgs({
  args: process.argv.slice(2),
  options: {
    rates: { type: "string", default: "1000,2000,4000,6000,8000,12000,16000" },
    seconds: { type: "string", default: "10" },
    rooms: { type: "string", default: "64" },
    ways: { type: "string", default: "direct,buffered" },
  },
});
const rates = flags.rates.split(",").map(Number);
const seconds = Number(flags.seconds);
const ways = flags.ways.split(",") as ArrivalsCommand["way"][];
/** As many as the log's connection to Redis admits. At 5,000 a second four seconds of messages: twice Cassandra's own timeout. */
const inFlightMax = 20_000;
/** So that Cassandra and the others have compiled what they do often. */
const warmUp = { ratePerSecond: 3_000, seconds: 10 };
/** After the last message, for what is still in the log. */
const catchUpMaxSeconds = 60;
const backlogLookMs = 100;
const heapMegabytes = 1_024;

interface Parts {
  redis: RedisServer;
  cassandra: CassandraNode & { pid: number };
  keyspace: FreshKeyspace;
  table: HistoryTable;
  arrivals: AskedProcess<ArrivalsCommand, ArrivalsReport>;
  worker: AskedProcess<WorkerCommand, StoredReport>;
}

/** What came of one rate in one way. */
interface Step extends ArrivalsReport {
  way: ArrivalsCommand["way"];
  ratePerSecond: number;
  /** Rows in Cassandra at the end. */
  stored: number;
  /** From acceptance to the answer of Cassandra; directly that is the same as the sender's. */
  storedP99Ms: number | null;
  /** The most entries that were in the log and not yet stored. */
  backlogMost: number;
  /** From the last message's answer until the log was empty. */
  catchUpSeconds: number;
  /** Cores used, on average until everything is stored. */
  busy: { cassandra: number; arrivals: number; redis: number; worker: number };
}

async function step(parts: Parts, way: ArrivalsCommand["way"], ratePerSecond: number, forSeconds: number) {
  const { redis, cassandra, keyspace, table, arrivals, worker } = parts;
  await redis.command("FLUSHALL", "SYNC");
  await table.empty();
  if (way === "buffered") {
    const args = workerArgs(redis, cassandra, keyspace, "worker");
    await worker.ask({ do: "start", what: "persist", args });
  }
  const meter = new CpuMeter({
    cassandra: cassandra.pid,
    arrivals: arrivals.pid,
    redis: redis.pid,
    worker: worker.pid,
  });
  const startedMs = performance.now();
  const arriving = arrivals.ask({
    way,
    ratePerSecond,
    seconds: forSeconds,
    roomIds: freshRooms(Number(flags.rooms)),
    inFlightMax,
    redisUrl: redis.url,
    contactPoint: cassandra.contactPoint,
    localDataCenter: keyspace.localDataCenter,
    keyspace: keyspace.keyspace,
  });
  const backlog = watchBacklog(redis);
  const report = await arriving;
  const answeredMs = performance.now();
  await waitFor(
    "the log is empty",
    async () => (await entriesWaiting(redis, "persist")) === 0,
    catchUpMaxSeconds * 1_000,
  );
  const endedMs = performance.now();
  const backlogMost = await backlog.stop();
  const spent = meter.spent();
  const stored = way === "buffered" ? await worker.ask({ do: "stop" }) : undefined;
  const busy = (ms: number) => ms / (endedMs - startedMs);
  const result: Step = {
    way,
    ratePerSecond,
    ...report,
    stored: await table.rows(),
    storedP99Ms: stored ? stored.p99Ms : report.p99Ms,
    backlogMost,
    catchUpSeconds: way === "buffered" ? (endedMs - answeredMs) / 1_000 : 0,
    busy: {
      cassandra: busy(spent.cassandra),
      arrivals: busy(spent.arrivals),
      redis: busy(spent.redis),
      worker: busy(spent.worker),
    },
  };
  if (result.stored < result.accepted) {
    throw new Error(`${result.accepted} messages were accepted, Cassandra has ${result.stored}`);
  }
  return result;
}

/** Looks at how much is in the logs and not stored. `stop` resolves with the most that was seen. */
function watchBacklog(redis: RedisServer): { stop(): Promise<number> } {
  let most = 0;
  let stopped = false;
  const watching = (async () => {
    while (!stopped) {
      most = Math.max(most, await entriesWaiting(redis, "persist"));
      await Bun.sleep(backlogLookMs);
    }
  })();
  return {
    stop: async () => {
      stopped = true;
      await watching;
      return most;
    },
  };
}

/** Half of the cores for the database and half for everything else: as taskset takes them. */
function splitCores(): { cassandra: string; others: string } | undefined {
  const cores = cpus().length;
  const half = Math.floor(cores / 2);
  return half === 0 ? undefined : { cassandra: `0-${half - 1}`, others: `${half}-${cores - 1}` };
}

const machine = thisMachine();
const steps: Step[] = [];
const ends: (() => Promise<unknown>)[] = [];
const split = splitCores();
try {
  if (split) {
    // What this process starts from here on has the same cores.
    Bun.spawnSync(["taskset", "-a", "-p", "-c", split.others, String(process.pid)]);
  }
  const redis = await startRedis({ settings: { appendonly: "yes", appendfsync: "everysec" } });
  ends.push(() => redis.stop());
  const cassandra = await startCassandra({
    commitlogSync: "periodic",
    compiler: "full",
    heapMegabytes,
    ...(split && { cores: split.cassandra }),
  });
  ends.push(() => cassandra.remove());
  const keyspace = cassandra.freshKeyspace();
  const storage = openCassandra(keyspace);
  await storage.ready();
  await storage.close();
  const table = new HistoryTable(keyspace);
  ends.push(() => table.close());
  const arrivals = new AskedProcess<ArrivalsCommand, ArrivalsReport>(join(import.meta.dir, "arrivals.ts"));
  ends.push(() => arrivals.stop());
  const worker = new AskedProcess<WorkerCommand, StoredReport>(join(import.meta.dir, "../store/worker.ts"));
  ends.push(() => worker.stop());
  const parts = { redis, cassandra: cassandra as Parts["cassandra"], keyspace, table, arrivals, worker };
  for (const way of ways) {
    await step(parts, way, warmUp.ratePerSecond, warmUp.seconds);
  }
  for (const ratePerSecond of rates) {
    for (const way of ways) {
      const result = await step(parts, way, ratePerSecond, seconds);
      steps.push(result);
      const { accepted, arrived, p50Ms, p99Ms, storedP99Ms, busy } = result;
      const ms = (value: number | null) => (value === null ? "–" : value.toFixed(0));
      console.log(
        `${String(ratePerSecond).padStart(6)}/s ${way.padEnd(8)} stored ${((result.stored * 100) / arrived).toFixed(1)} %, accepted ${((accepted * 100) / arrived).toFixed(1)} %, ` +
          `answer p50 ${ms(p50Ms)} p99 ${ms(p99Ms)} ms, stored p99 ${ms(storedP99Ms)} ms, late p99 ${ms(result.lateP99Ms)} ms, ` +
          `backlog ${result.backlogMost}, catch-up ${result.catchUpSeconds.toFixed(1)} s, in flight ${result.mostInFlight}, ` +
          `cores: Cassandra ${busy.cassandra.toFixed(2)} arrivals ${busy.arrivals.toFixed(2)} Redis ${busy.redis.toFixed(2)} worker ${busy.worker.toFixed(2)} ${JSON.stringify(result.failed)}`,
      );
    }
  }
} finally {
  for (const end of ends.reverse()) {
    await end();
  }
}
writeResult("buffer", { ...machine, seconds, rooms: Number(flags.rooms), inFlightMax, heapMegabytes, split, steps });
