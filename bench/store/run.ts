/**
 * `bun run bench:store`: how many rows a second the workers bring from Redis into Cassandra, and what one costs each process:
 * CPU of the workers, of Cassandra and of redis-server (user and system, /proc/<pid>/stat). Beside it, in the same run, the
 * floors: cassandra-driver alone, in batches like the worker's and row by row (`writer.ts`).
 *
 *     bun run bench:store                                      60,000 rows of 64 rooms, 3 rounds
 *     bun run bench:store --rows 20000 --rooms 1000 --rounds 1
 *
 * The shards' logs are filled through the room log; then one or two real workers empty them. What counts is the time
 * from the first tenth stored to the last row, so not a worker's start. "persist" is a worker without counting words and
 * trimming. Ways and rounds alternate, medians are printed, and a run in which a row is missing or doubled fails.
 */
import { join } from "node:path";
import { parseArgs } from "node:util";
import { openCassandra } from "../../storage/cassandra/open-cassandra.ts";
import { encodeMessage } from "../../storage/log/log-event.ts";
import { openRedisRoomLog } from "../../storage/log/redis/redis-room-log.ts";
import { type CassandraNode, type FreshKeyspace, startCassandra } from "../../test/harness/cassandra.ts";
import { type RedisServer, startRedis } from "../../test/harness/redis.ts";
import { waitFor } from "../../test/harness/wait-for.ts";
import { AskedProcess } from "../measuring/asked-process.ts";
import { chatMessages, freshRooms } from "../measuring/chat-messages.ts";
import { CpuMeter } from "../measuring/cpu-time.ts";
import { HistoryTable } from "../measuring/history-table.ts";
import { median } from "../measuring/quantile.ts";
import { thisMachine, writeResult } from "../measuring/result-file.ts";
import { entriesWaiting } from "../measuring/shard-progress.ts";
import type { StoredReport, WorkerCommand } from "./worker.ts";
import { workerArgs } from "./worker-args.ts";
import type { WriteCommand } from "./writer.ts";

type Way = WriteCommand["way"] | "persist" | "workers-1" | "workers-2";

const { values: flags } = parseArgs({
  args: process.argv.slice(2),
  options: {
    rows: { type: "string", default: "60000" },
    rooms: { type: "string", default: "64" },
    rounds: { type: "string", default: "3" },
    ways: { type: "string", default: "batches,singles,persist,workers-1,workers-2" },
  },
});
const rows = Number(flags.rows);
const rooms = Number(flags.rooms);
const rounds = Number(flags.rounds);
const ways = flags.ways.split(",") as Way[];
/** The part of the rows before the measured one. */
const warmUpRows = Math.floor(rows / 10);
/** Of Cassandra: enough that collecting garbage is not what is measured. */
const heapMegabytes = 1_024;
const emptyTimeoutMs = 120_000;
const appendsInFlight = 64;

/** One measured round of one way. */
interface Sample {
  way: Way;
  rows: number;
  seconds: number;
  /** CPU time, ms, of those who write (workers or driver), of Cassandra, of Redis. */
  cpuMs: { writers: number; cassandra: number; redis: number };
}

interface Parts {
  redis: RedisServer;
  cassandra: CassandraNode & { pid: number };
  keyspace: FreshKeyspace;
  table: HistoryTable;
  writer: AskedProcess<WriteCommand, void>;
}

async function measure(parts: Parts, way: Way): Promise<Sample> {
  await parts.table.empty();
  return way === "batches" || way === "singles" ? measureDriver(parts, way) : measureWorkers(parts, way);
}

async function measureDriver({ redis, cassandra, keyspace, table, writer }: Parts, way: WriteCommand["way"]) {
  const roomIds = freshRooms(rooms);
  const command = { ...keyspace, way, contactPoint: cassandra.contactPoint, roomIds };
  await writer.ask({ ...command, rows: warmUpRows });
  const meter = new CpuMeter({ writers: writer.pid, cassandra: cassandra.pid, redis: redis.pid });
  const startedMs = performance.now();
  await writer.ask({ ...command, rows: rows - warmUpRows });
  const seconds = (performance.now() - startedMs) / 1_000;
  const sample = { way, rows: rows - warmUpRows, seconds, cpuMs: meter.spent() };
  await checkStored(table);
  return sample;
}

async function measureWorkers({ redis, cassandra, keyspace, table }: Parts, way: Exclude<Way, WriteCommand["way"]>) {
  await redis.command("FLUSHALL", "SYNC");
  const roomIds = freshRooms(rooms);
  await fill(redis, roomIds);
  const program = join(import.meta.dir, "worker.ts");
  const count = way === "workers-2" ? 2 : 1;
  const workers = Array.from({ length: count }, () => new AskedProcess<WorkerCommand, StoredReport>(program));
  try {
    const cpu = () => new CpuMeter({ cassandra: cassandra.pid, redis: redis.pid, ...workerPids(workers) });
    const waitUntilLeft = (left: number) =>
      waitFor(`${left} entries are left`, async () => (await entriesWaiting(redis, "persist")) <= left, emptyTimeoutMs);
    const what = way === "persist" ? "persist" : "all";
    await Promise.all(
      workers.map((worker, n) =>
        worker.ask({ do: "start", what, args: workerArgs(redis, cassandra, keyspace, `worker-${n}`) }),
      ),
    );
    await waitUntilLeft(rows - warmUpRows);
    const left = await entriesWaiting(redis, "persist");
    const meter = cpu();
    const startedMs = performance.now();
    await waitUntilLeft(0);
    const seconds = (performance.now() - startedMs) / 1_000;
    if (what === "all") {
      // What they count is part of a worker's price, also where it comes later than storing.
      await waitFor("all words are counted", async () => (await entriesWaiting(redis, "hot-words")) === 0, 60_000);
    }
    const { cassandra: cassandraMs, redis: redisMs, ...others } = meter.spent();
    const writers = Object.values<number>(others).reduce((sum, ms) => sum + ms, 0);
    await checkStored(table);
    await Promise.all(workers.map((worker) => worker.ask({ do: "stop" })));
    return { way, rows: left, seconds, cpuMs: { writers, cassandra: cassandraMs, redis: redisMs } };
  } finally {
    await Promise.all(workers.map((worker) => worker.stop()));
  }
}

function workerPids(workers: readonly { pid: number }[]): Record<string, number> {
  return Object.fromEntries(workers.map(({ pid }, n) => [`worker-${n}`, pid]));
}

/** Says `rows` messages in the rooms, in turn. */
async function fill(redis: RedisServer, roomIds: readonly string[]): Promise<void> {
  const log = await openRedisRoomLog({ endpoint: { url: redis.url } });
  const nextMessage = chatMessages();
  let said = 0;
  const lane = async () => {
    while (said < rows) {
      const roomId = roomIds[said++ % roomIds.length] ?? "";
      await log.append({ roomId, event: encodeMessage(nextMessage()) });
    }
  };
  await Promise.all(Array.from({ length: appendsInFlight }, lane));
  await log.close();
}

async function checkStored(table: HistoryTable): Promise<void> {
  const found = await table.rows();
  if (found !== rows) {
    throw new Error(`${rows} rows were written, Cassandra has ${found}`);
  }
}

/** One line of the result: medians over the rounds. */
interface Result {
  way: Way;
  rowsPerSecond: number;
  /** CPU per row, µs. */
  writersUs: number;
  cassandraUs: number;
  redisUs: number;
  /** All CPU per row, as a multiple of the driver's in batches. */
  timesFloor: number;
  /** `rowsPerSecond` of each round. */
  roundsPerSecond: number[];
}

function summarise(samples: readonly Sample[]): Result[] {
  const results = ways.map((way) => {
    const of = samples.filter((sample) => sample.way === way);
    const us = (name: keyof Sample["cpuMs"]) => median(of.map((each) => (each.cpuMs[name] * 1_000) / each.rows));
    const roundsPerSecond = of.map((each) => each.rows / each.seconds);
    const cost = { writersUs: us("writers"), cassandraUs: us("cassandra"), redisUs: us("redis") };
    return { way, rowsPerSecond: median(roundsPerSecond), ...cost, roundsPerSecond };
  });
  const whole = ({ writersUs, cassandraUs, redisUs }: Omit<Result, "timesFloor">) => writersUs + cassandraUs + redisUs;
  const floor = results.find(({ way }) => way === "batches");
  return results.map((each) => ({ ...each, timesFloor: floor ? whole(each) / whole(floor) : Number.NaN }));
}

const machine = thisMachine();
const samples: Sample[] = [];
const ends: (() => Promise<unknown>)[] = [];
try {
  const redis = await startRedis({ settings: { appendonly: "yes", appendfsync: "everysec" } });
  ends.push(() => redis.stop());
  const cassandra = await startCassandra({ commitlogSync: "periodic", compiler: "full", heapMegabytes });
  ends.push(() => cassandra.remove());
  const keyspace = cassandra.freshKeyspace();
  const storage = openCassandra(keyspace);
  ends.push(() => storage.close());
  await storage.ready();
  const table = new HistoryTable(keyspace);
  ends.push(() => table.close());
  const writer = new AskedProcess<WriteCommand, void>(join(import.meta.dir, "writer.ts"));
  ends.push(() => writer.stop());
  const parts = { redis, cassandra: cassandra as Parts["cassandra"], keyspace, table, writer };
  // Cassandra compiles what it does often; the first rounds would pay for it.
  for (const way of ["singles", "batches"] as const) {
    await measure(parts, way);
  }
  for (let round = 1; round <= rounds; round++) {
    for (const way of ways) {
      const sample = await measure(parts, way);
      samples.push(sample);
      const us = (ms: number) => `${((ms * 1_000) / sample.rows).toFixed(0).padStart(4)} µs`;
      const { writers, cassandra: cassandraMs, redis: redisMs } = sample.cpuMs;
      const rate = (sample.rows / sample.seconds).toFixed(0).padStart(6);
      console.log(
        `round ${round}  ${way.padEnd(10)} ${rate}/s ${us(writers)} + Cassandra ${us(cassandraMs)} + Redis ${us(redisMs)}`,
      );
    }
  }
} finally {
  for (const end of ends.reverse()) {
    await end();
  }
}

const results = summarise(samples);
console.log(`\n${rows} rows of ${rooms} rooms; CPU in µs per row\n`);
console.log("way           rows/s  writers  Cassandra  Redis  × floor");
for (const each of results) {
  const cells = [
    each.way.padEnd(11),
    each.rowsPerSecond.toFixed(0).padStart(8),
    each.writersUs.toFixed(1).padStart(8),
    each.cassandraUs.toFixed(1).padStart(10),
    each.redisUs.toFixed(1).padStart(6),
    each.timesFloor.toFixed(1).padStart(8),
  ];
  console.log(cells.join(" "));
}
writeResult("store", { ...machine, rows, rooms, rounds, heapMegabytes, results });
