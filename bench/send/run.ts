/**
 * `bun run bench:send`: how many messages a second one gateway takes, and what one costs: CPU of the gateway's process and
 * of redis-server (user and system, /proc/<pid>/stat), by how it is sent and how many are in flight. Beside it, in the
 * same run, the floors: the bare script, and the logs without a gateway (`appender.ts`).
 *
 *     bun run bench:send                                  1, 16 and 64 in flight, 3 rounds of 3 s
 *     bun run bench:send --in-flight 16 --rounds 1 --seconds 2 --ways script,grpc
 *
 * Real processes: redis-server (appendonly, everysec), a gateway on it, a gateway with embedded storage, the senders. No
 * worker runs on Redis, so all that Redis does is taking messages in; the embedded gateway is its own worker, and what that
 * costs is in its figure. Cassandra is there for the rooms and idle. Ways and rounds alternate, medians are printed, and
 * a run in which Redis has not exactly the messages that were answered fails.
 */
import { join } from "node:path";
import { parseArgs } from "node:util";
import { createClient } from "@connectrpc/connect";
import { createNodeTransport } from "../../client/node-transports.ts";
import { RoomService } from "../../gen/chat/v1/room_pb.ts";
import { startCassandra } from "../../test/harness/cassandra.ts";
import { type Gateway, startGateway } from "../../test/harness/gateway.ts";
import { type RedisServer, startRedis } from "../../test/harness/redis.ts";
import { AskedProcess } from "../measuring/asked-process.ts";
import { freshRooms } from "../measuring/chat-messages.ts";
import type { ClosedLoopResult } from "../measuring/closed-loop.ts";
import { CpuMeter, whenIdle } from "../measuring/cpu-time.ts";
import { median } from "../measuring/quantile.ts";
import { thisMachine, writeResult } from "../measuring/result-file.ts";
import { entriesIn } from "../measuring/shard-progress.ts";
import type { AppendCommand } from "./appender.ts";
import type { SendCommand } from "./senders.ts";

/** The floors, then gateways: on Redis over gRPC and Connect, and with embedded storage over gRPC. */
type Way = AppendCommand["way"] | "grpc" | "connect" | "grpc-embedded";

const { values: flags } = parseArgs({
  args: process.argv.slice(2),
  options: {
    "in-flight": { type: "string", default: "1,16,64" },
    rounds: { type: "string", default: "3" },
    seconds: { type: "string", default: "3" },
    ways: { type: "string", default: "script,redis-log,embedded-log,grpc,connect,grpc-embedded" },
  },
});
const inFlights = flags["in-flight"].split(",").map(Number);
const rounds = Number(flags.rounds);
const seconds = Number(flags.seconds);
const ways = flags.ways.split(",") as Way[];
/** Before the measured part, with a log that is empty, so that code is compiled and connections are open. */
const warmUpSeconds = 1;
/** Rooms that people speak in, in turn: their shards' logs hold what the longest round brings. */
const roomIds = freshRooms(64);

/** One measured round of one way. */
interface Sample extends ClosedLoopResult {
  way: Way;
  inFlight: number;
  /** CPU time, ms: of the process that appends (gateway or appender), of redis-server, of those who send. */
  cpuMs: { server: number; redis: number; senders: number };
}

interface Parts {
  redis: RedisServer;
  gateway: Gateway;
  embeddedGateway: Gateway;
  senders: AskedProcess<SendCommand, ClosedLoopResult>;
  appender: AskedProcess<AppendCommand, ClosedLoopResult>;
}

async function measure(parts: Parts, way: Way, inFlight: number): Promise<Sample> {
  const { redis, gateway, embeddedGateway, senders, appender } = parts;
  const server = way === "grpc-embedded" ? embeddedGateway : way === "grpc" || way === "connect" ? gateway : appender;
  const send = (forSeconds: number) => {
    const load = { roomIds, inFlight, seconds: forSeconds };
    if (way === "grpc" || way === "connect") {
      return senders.ask({ ...load, url: gateway.url, protocol: way });
    }
    return way === "grpc-embedded"
      ? senders.ask({ ...load, url: embeddedGateway.url, protocol: "grpc" })
      : appender.ask({ ...load, way, redisUrl: redis.url });
  };
  await redis.command("FLUSHALL", "SYNC");
  const warmUp = await send(warmUpSeconds);
  const meter = new CpuMeter({ server: server.pid, redis: redis.pid, senders: senders.pid });
  const result = await send(seconds);
  // The embedded gateway stores what it took in a moment later; that is part of its price.
  await whenIdle(server.pid);
  const spent = meter.spent();
  if (way !== "embedded-log" && way !== "grpc-embedded") {
    const answered = warmUp.calls + result.calls;
    const found = await entriesIn(redis);
    if (found !== answered) {
      throw new Error(`${way}: ${answered} messages were answered, Redis has ${found}`);
    }
  }
  return { ...result, way, inFlight, cpuMs: spent };
}

async function openRooms({ url }: Gateway): Promise<void> {
  const rooms = createClient(RoomService, createNodeTransport({ baseUrl: url }));
  await Promise.all(roomIds.map((roomId) => rooms.createRoom({ roomId, title: "bench" })));
}

/** One line of the result: medians over the rounds. */
interface Result {
  way: Way;
  inFlight: number;
  sendsPerSecond: number;
  /** CPU per send, µs, of the process that appends. */
  serverUs: number;
  redisUs: number;
  /** Both together, as a multiple of the script's with as many in flight. */
  timesFloor: number;
  p50Ms: number;
  p99Ms: number;
  /** How much of a core each used. Near 1: this is what the rate ends at. */
  serverBusy: number;
  redisBusy: number;
  sendersBusy: number;
  /** `sendsPerSecond` of each round. */
  roundsPerSecond: number[];
}

function summarise(samples: readonly Sample[]): Result[] {
  const results = inFlights.flatMap((inFlight) =>
    ways.map((way) => {
      const of = samples.filter((sample) => sample.way === way && sample.inFlight === inFlight);
      const each = (figure: (sample: Sample) => number) => median(of.map(figure));
      const busy = (name: keyof Sample["cpuMs"]) => each((sample) => sample.cpuMs[name] / 1_000 / sample.seconds);
      return {
        way,
        inFlight,
        sendsPerSecond: each(({ calls, seconds: took }) => calls / took),
        serverUs: each(({ cpuMs, calls }) => (cpuMs.server * 1_000) / calls),
        redisUs: each(({ cpuMs, calls }) => (cpuMs.redis * 1_000) / calls),
        p50Ms: each(({ p50Ms }) => p50Ms),
        p99Ms: each(({ p99Ms }) => p99Ms),
        serverBusy: busy("server"),
        redisBusy: busy("redis"),
        sendersBusy: busy("senders"),
        roundsPerSecond: of.map(({ calls, seconds: took }) => calls / took),
      };
    }),
  );
  return results.map((result) => {
    const floor = results.find(({ way, inFlight }) => way === "script" && inFlight === result.inFlight);
    const timesFloor = floor ? (result.serverUs + result.redisUs) / (floor.serverUs + floor.redisUs) : Number.NaN;
    return { ...result, timesFloor };
  });
}

const machine = thisMachine();
const samples: Sample[] = [];
const ends: (() => Promise<unknown>)[] = [];
try {
  const redis = await startRedis({ settings: { appendonly: "yes", appendfsync: "everysec" } });
  ends.push(() => redis.stop());
  const cassandra = await startCassandra();
  ends.push(() => cassandra.remove());
  const gateway = await startGateway({
    LOG_LEVEL: "warn",
    REDIS_URL: redis.url,
    CASSANDRA_CONTACT_POINTS: cassandra.contactPoint,
    CASSANDRA_REPLICATION: "datacenter1:1",
  });
  ends.push(() => gateway.stop());
  const embeddedGateway = await startGateway({ LOG_LEVEL: "warn" });
  ends.push(() => embeddedGateway.stop());
  const senders = new AskedProcess<SendCommand, ClosedLoopResult>(join(import.meta.dir, "senders.ts"));
  ends.push(() => senders.stop());
  const appender = new AskedProcess<AppendCommand, ClosedLoopResult>(join(import.meta.dir, "appender.ts"));
  ends.push(() => appender.stop());
  await Promise.all([gateway, embeddedGateway].map(openRooms));
  const parts = { redis, gateway, embeddedGateway, senders, appender };
  for (let round = 1; round <= rounds; round++) {
    for (const inFlight of inFlights) {
      for (const way of ways) {
        const sample = await measure(parts, way, inFlight);
        samples.push(sample);
        const { calls, seconds: took, cpuMs } = sample;
        const us = (ms: number) => ((ms * 1_000) / calls).toFixed(0).padStart(5);
        const rate = (calls / took).toFixed(0).padStart(6);
        console.log(
          `round ${round}  ${way.padEnd(13)} ${String(inFlight).padStart(2)} in flight ${rate}/s ${us(cpuMs.server)} µs + Redis ${us(cpuMs.redis)} µs`,
        );
      }
    }
  }
} finally {
  for (const end of ends.reverse()) {
    await end();
  }
}

const results = summarise(samples);
console.log("\nCPU in µs per send; busy: share of a core\n");
console.log("way            in flight  sends/s  server  Redis  × floor  p50 ms  p99 ms  busy: server Redis senders");
for (const each of results) {
  const cells = [
    each.way.padEnd(14),
    String(each.inFlight).padStart(9),
    each.sendsPerSecond.toFixed(0).padStart(8),
    each.serverUs.toFixed(0).padStart(7),
    each.redisUs.toFixed(0).padStart(6),
    each.timesFloor.toFixed(1).padStart(8),
    each.p50Ms.toFixed(2).padStart(7),
    each.p99Ms.toFixed(2).padStart(7),
    each.serverBusy.toFixed(2).padStart(13),
    each.redisBusy.toFixed(2).padStart(5),
    each.sendersBusy.toFixed(2).padStart(7),
  ];
  console.log(cells.join(" "));
}
writeResult("send", { ...machine, rounds, seconds, results });
