/**
 * `bun run bench:processes`: one gateway process and several on one port, on a real Redis and a real Cassandra, with the
 * same readers and the same messages: what a delivery costs all of them together, and how many a second they reach.
 *
 *     bun run bench:processes                                400 readers, 50 messages/s; 1 and 2 processes, 3 rounds
 *     bun run bench:processes --processes 1,2,4 --readers 1000
 *
 * Messages are appended to Redis by this process, so that what is measured is following and delivering. Readers, Redis and
 * this program work on the same cores: where there are no more than the gateways need, deliveries a second say little, and
 * the CPU time of the gateways is the figure to trust. Numbers of processes and rounds alternate; medians are printed.
 */
import { parseArgs } from "node:util";
import pino from "pino";
import { gatewaySettings } from "../../server/settings.ts";
import { openStorage } from "../../storage/storage.ts";
import { startCassandra } from "../../test/harness/cassandra.ts";
import { type Gateway, startGateway } from "../../test/harness/gateway.ts";
import { startRedis } from "../../test/harness/redis.ts";
import { waitFor } from "../../test/harness/wait-for.ts";
import { benchRoomId, loggedMessage, subscribePath, subscribeRequest } from "../fan-out/bench-message.ts";
import { nowUs } from "../load/shared-clock.ts";
import { cpuMs } from "../measuring/process-stat.ts";
import { median } from "../measuring/quantile.ts";
import { thisMachine, writeResult } from "../measuring/result-file.ts";
import { publicationStamp } from "../wire/publication.ts";
import { ReadersProcess } from "../wire/readers-process.ts";

const { values: flags } = parseArgs({
  args: process.argv.slice(2),
  options: {
    processes: { type: "string", default: "1,2" },
    readers: { type: "string", default: "400" },
    rate: { type: "string", default: "50" },
    rounds: { type: "string", default: "3" },
    seconds: { type: "string", default: "5" },
  },
});
const counts = flags.processes.split(",").map(Number);
const readers = Number(flags.readers);
const ratePerSecond = Number(flags.rate);
const rounds = Number(flags.rounds);
const pacedMessages = Number(flags.seconds) * ratePerSecond;
const warmUpMessages = 2 * ratePerSecond;
/** Appended as fast as Redis takes them. No worker stores them, so all rounds together must fit the log. */
const floodMessages = 1_000;
/** Appends under way at once. */
const floodAppends = 50;

interface Sample {
  processes: number;
  deliveryUs: number;
  /** What the busiest process had of all the CPU time, from 1/processes to 1. */
  busiestShare: number;
  floodDeliveryUs: number;
  deliveriesPerSecond: number;
}

/** The processes that serve: itself, or its children. */
function pidsOf({ pid, log }: Gateway): number[] {
  const children = [...log.matchAll(/"gatewayPid":(\d+),"msg":"a process serves"/g)].map((match) => Number(match[1]));
  return children.length > 0 ? children : [pid];
}

const machine = thisMachine();
const redis = await startRedis();
const cassandra = await startCassandra();
const storageVariables = {
  REDIS_URL: redis.url,
  CASSANDRA_CONTACT_POINTS: cassandra.contactPoint,
  CASSANDRA_REPLICATION: "datacenter1:1",
};
const settings = gatewaySettings.read([], storageVariables);
if (settings === "help") {
  throw new Error("these are no words for help");
}
const storage = await openStorage(settings, pino({ level: "warn" }, pino.destination(2)));
const load = new ReadersProcess();
let seq = 0;
let roomNumber = 0;

async function measure(processes: number): Promise<Sample> {
  // A room for each: they are of different shards, each with a log that is bounded.
  const roomId = `${benchRoomId}-${roomNumber++}`;
  const append = () => storage.log.append({ roomId, event: loggedMessage(publicationStamp(nowUs(), seq++)) });
  const gateway = await startGateway({ ...storageVariables, PROCESSES: String(processes), INITIAL_ROOMS: roomId });
  try {
    await waitFor("all processes serve", () => pidsOf(gateway).length === processes);
    const pids = pidsOf(gateway);
    const wire = { kind: "connect" as const, path: subscribePath, request: subscribeRequest(roomId) };
    await load.ask({ do: "open", wire, port: gateway.port, readers, isChat: true });
    let appended = 0;
    const paced = async (messages: number) => {
      for (const end = appended + messages; appended < end; appended++) {
        await Promise.all([append(), Bun.sleep(1_000 / ratePerSecond)]);
      }
      await load.arrived(readers, appended);
    };
    const spent = async (work: () => Promise<unknown>) => {
      const before = pids.map(cpuMs);
      await work();
      return pids.map((pid, index) => cpuMs(pid) - (before[index] as number));
    };
    await paced(warmUpMessages);
    const pacedMs = await spent(() => paced(pacedMessages));
    let floodedMs = 0;
    const floodMs = await spent(async () => {
      const began = performance.now();
      for (const end = appended + floodMessages; appended < end; appended += floodAppends) {
        await Promise.all(Array.from({ length: floodAppends }, append));
      }
      await load.arrived(readers, appended);
      floodedMs = performance.now() - began;
    });
    const sum = (all: number[]) => all.reduce((total, each) => total + each, 0);
    return {
      processes,
      deliveryUs: (sum(pacedMs) * 1_000) / (pacedMessages * readers),
      busiestShare: Math.max(...pacedMs) / sum(pacedMs),
      floodDeliveryUs: (sum(floodMs) * 1_000) / (floodMessages * readers),
      deliveriesPerSecond: (floodMessages * readers * 1_000) / floodedMs,
    };
  } finally {
    await load.ask({ do: "close" });
    await gateway.stop();
  }
}

const samples: Sample[] = [];
try {
  for (let round = 1; round <= rounds; round++) {
    for (const processes of counts) {
      const sample = await measure(processes);
      samples.push(sample);
      console.log(`round ${round}  ${JSON.stringify(sample)}`);
    }
  }
} finally {
  await load.stop();
  await storage.close();
  await Promise.all([redis.stop(), cassandra.remove()]);
}

const results = counts.map((processes) => {
  const of = samples.filter((sample) => sample.processes === processes);
  const middle = (value: (sample: Sample) => number) => median(of.map(value));
  return {
    processes,
    deliveryUs: middle((sample) => sample.deliveryUs),
    busiestShare: middle((sample) => sample.busiestShare),
    floodDeliveryUs: middle((sample) => sample.floodDeliveryUs),
    deliveriesPerSecond: middle((sample) => sample.deliveriesPerSecond),
  };
});
console.log(`\n${readers} readers, ${ratePerSecond} messages/s, and then ${floodMessages} as fast as they go`);
console.log("processes   µs a delivery   busiest   flood: µs a delivery   deliveries/s");
for (const each of results) {
  const cells = [
    String(each.processes).padStart(9),
    each.deliveryUs.toFixed(2).padStart(16),
    `${(100 * each.busiestShare).toFixed(0)} %`.padStart(10),
    each.floodDeliveryUs.toFixed(2).padStart(23),
    Math.round(each.deliveriesPerSecond).toLocaleString("en").padStart(15),
  ];
  console.log(cells.join(""));
}

writeResult("processes", { ...machine, readers, ratePerSecond, pacedMessages, floodMessages, rounds, results });
