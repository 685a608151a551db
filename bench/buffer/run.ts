/**
 * `bun run experiment:buffer`: at what traffic does the database fail, and is the buffer needed? Messages come at rising
 * rates and go into Cassandra either directly, one insert each, or through the log in Redis and the worker.
 *
 *     bun run experiment:buffer                                     5 s at each rate, six to eight minutes
 *     bun run experiment:buffer --rates 1000,4000 --seconds 3 --fsync-rates 1000 --stall-seconds 1
 *
 * Three parts: rising rates with Cassandra's own settings; one moderate rate while Cassandra stands still for some
 * seconds, as in a long garbage collection or on a disk that hangs; and rising rates where Cassandra answers a write only when it is on disk.
 *
 * Cassandra may use half of the cores, so that there is a limit which is its own; the others take what they get. The worker
 * stores and does not count words, as the direct way does not either. Every step begins with empty logs and an empty table.
 * One during which other work took much of the machine is done again, and the quieter one counts. Results: bench/results/buffer.json; `bun run generate` makes chart and table of
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
import { machineCpuMs } from "../measuring/process-stat.ts";
import { thisMachine, writeResult } from "../measuring/result-file.ts";
import { entriesWaiting } from "../measuring/shard-progress.ts";
import type { StoredReport, WorkerCommand } from "../store/worker.ts";
import { workerArgs } from "../store/worker-args.ts";
import type { ArrivalsCommand, ArrivalsReport } from "./arrivals.ts";
import type { Step, Task } from "./report.ts";

const { values: flags } = parseArgs({
  args: process.argv.slice(2),
  options: {
    rates: { type: "string", default: "1000,4000,8000,16000,24000" },
    "fsync-rates": { type: "string", default: "1000,4000,8000,16000" },
    seconds: { type: "string", default: "5" },
    rooms: { type: "string", default: "64" },
    ways: { type: "string", default: "direct,buffered" },
    "stall-rate": { type: "string", default: "1000" },
    "stall-seconds": { type: "string", default: "5,15" },
  },
});
const seconds = Number(flags.seconds);
const ways = flags.ways.split(",") as ArrivalsCommand["way"][];

/** Of the steps with a stall: some seconds before it, and some after. */
const aroundStallSeconds = 5;

const listOf = (flag: string) => flag.split(",").filter(Boolean).map(Number);
const atRate = (ratePerSecond: number): Task => ({ ratePerSecond, seconds, stallSeconds: 0 });
/** By when Cassandra answers a write: its own default, or once it is on disk. */
const parts: Record<"periodic" | "batch", Task[]> = {
  periodic: [
    ...listOf(flags.rates).map(atRate),
    ...listOf(flags["stall-seconds"]).map((stallSeconds) => ({
      ratePerSecond: Number(flags["stall-rate"]),
      seconds: stallSeconds + 2 * aroundStallSeconds,
      stallSeconds,
    })),
  ],
  batch: listOf(flags["fsync-rates"]).map(atRate),
};
/** As many as the log's connection to Redis admits. At 5,000 a second four seconds of messages: twice Cassandra's own timeout. */
const inFlightMax = 20_000;
/** So that Cassandra and the others have compiled what they do often. */
const warmUp: Task = { ratePerSecond: 6_000, seconds: 10, stallSeconds: 0 };
/** After the last message, for what is still in the log. */
const catchUpMaxSeconds = 60;
const backlogLookMs = 100;
/** Cores that other work on the machine may have used in a step. */
const othersCoresMax = 0.2;
/** For all repetitions together. */
const repeatSecondsMax = 150;
const heapMegabytes = 1_024;

interface Processes {
  redis: RedisServer;
  cassandra: CassandraNode & { pid: number };
  keyspace: FreshKeyspace;
  table: HistoryTable;
  arrivals: AskedProcess<ArrivalsCommand, ArrivalsReport>;
  worker: AskedProcess<WorkerCommand, StoredReport>;
}

async function step(processes: Processes, way: ArrivalsCommand["way"], task: Task) {
  const { redis, cassandra, keyspace, table, arrivals, worker } = processes;
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
    self: process.pid,
  });
  const machineBefore = machineCpuMs().busyMs;
  const startedMs = performance.now();
  const arriving = arrivals.ask({
    way,
    ratePerSecond: task.ratePerSecond,
    seconds: task.seconds,
    roomIds: freshRooms(Number(flags.rooms)),
    inFlightMax,
    redisUrl: redis.url,
    contactPoint: cassandra.contactPoint,
    localDataCenter: keyspace.localDataCenter,
    keyspace: keyspace.keyspace,
  });
  const backlog = watchBacklog(redis);
  const stalling = task.stallSeconds > 0 ? stall(cassandra, task.stallSeconds) : undefined;
  const report = await arriving;
  await stalling;
  const answeredMs = performance.now();
  await waitFor(
    "the log is empty",
    async () => (await entriesWaiting(redis, "persist")) === 0,
    catchUpMaxSeconds * 1_000,
  );
  const endedMs = performance.now();
  const backlogMost = await backlog.stop();
  const spent = meter.spent();
  const ours = spent.cassandra + spent.arrivals + spent.redis + spent.worker;
  const others = machineCpuMs().busyMs - machineBefore - ours - spent.self;
  const stored = way === "buffered" ? await worker.ask({ do: "stop" }) : undefined;
  const busy = (ms: number) => ms / (endedMs - startedMs);
  const rows = await table.rowsAtRest();
  const result = {
    way,
    ...task,
    ...report,
    stored: rows,
    storedP99Ms: stored ? stored.p99Ms : report.acceptedP99Ms,
    backlogMost,
    catchUpSeconds: way === "buffered" ? (endedMs - answeredMs) / 1_000 : 0,
    busy: {
      cassandra: busy(spent.cassandra),
      arrivals: busy(spent.arrivals),
      redis: busy(spent.redis),
      worker: busy(spent.worker),
      others: Math.max(0, busy(others)),
    },
    cpuUs: rows > 0 ? (ours * 1_000) / rows : null,
  };
  if (result.stored < result.accepted) {
    throw new Error(`${result.accepted} messages were accepted, Cassandra has ${result.stored}`);
  }
  return result;
}

let repeatMsLeft = repeatSecondsMax * 1_000;

/** The quietest of some tries of a step: one, where the machine is quiet. */
async function quietStep(processes: Processes, way: ArrivalsCommand["way"], task: Task) {
  let best = await step(processes, way, task);
  while (best.busy.others > othersCoresMax && repeatMsLeft > 0) {
    const startedMs = performance.now();
    const next = await step(processes, way, task);
    repeatMsLeft -= performance.now() - startedMs;
    best = next.busy.others < best.busy.others ? next : best;
  }
  return best;
}

/** Cassandra stands still for a while, with its connections open. */
async function stall(cassandra: CassandraNode, stallSeconds: number): Promise<void> {
  await Bun.sleep(aroundStallSeconds * 1_000);
  cassandra.freeze();
  await Bun.sleep(stallSeconds * 1_000);
  cassandra.thaw();
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

/** Half of the cores, as taskset takes them. */
function halfOfTheCores(): string {
  return `0-${Math.max(1, Math.floor(cpus().length / 2)) - 1}`;
}

function lineOf({ arrived, accepted, stored, busy, failed, ...result }: Step): string {
  const share = (part: number) => `${((part * 100) / arrived).toFixed(1)} %`;
  const ms = (value: number | null) => (value === null ? "–" : value.toFixed(0));
  return [
    `${result.commitlogSync} ${String(result.ratePerSecond).padStart(6)}/s ${result.way.padEnd(8)}`,
    result.stallSeconds > 0 ? ` stall ${result.stallSeconds} s` : "",
    ` accepted ${share(accepted)}, stored ${share(stored)}`,
    `; answer p50 ${ms(result.p50Ms)} p99 ${ms(result.p99Ms)} ms, stored p99 ${ms(result.storedP99Ms)} ms, late p99 ${ms(result.lateP99Ms)} ms`,
    `; backlog ${result.backlogMost}, catch-up ${result.catchUpSeconds.toFixed(1)} s, in flight ${result.mostInFlight}`,
    `; cores: ${Object.entries(busy)
      .map(([name, cores]) => `${name} ${cores.toFixed(2)}`)
      .join(" ")}`,
    Object.keys(failed).length > 0 ? `; ${JSON.stringify(failed)}` : "",
  ].join("");
}

async function runPart(commitlogSync: Step["commitlogSync"], tasks: readonly Task[]): Promise<Step[]> {
  const steps: Step[] = [];
  const ends: (() => Promise<unknown>)[] = [];
  try {
    const redis = await startRedis({ settings: { appendonly: "yes", appendfsync: "everysec" } });
    ends.push(() => redis.stop());
    const cassandra = await startCassandra({ commitlogSync, compiler: "full", heapMegabytes, cores: cassandraCores });
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
    const processes = { redis, cassandra: cassandra as Processes["cassandra"], keyspace, table, arrivals, worker };
    for (const way of ways) {
      await step(processes, way, warmUp);
    }
    for (const task of tasks) {
      for (const way of ways) {
        const result = { commitlogSync, ...(await quietStep(processes, way, task)) };
        steps.push(result);
        console.log(lineOf(result));
      }
    }
  } finally {
    for (const end of ends.reverse()) {
      await end();
    }
  }
  return steps;
}

const cassandraCores = halfOfTheCores();
const machine = thisMachine();
const steps = [...(await runPart("periodic", parts.periodic)), ...(await runPart("batch", parts.batch))];
const rooms = Number(flags.rooms);
writeResult("buffer", { ...machine, rooms, inFlightMax, heapMegabytes, cassandraCores, steps });
