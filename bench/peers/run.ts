/**
 * `bun run bench:peers`: the gateway beside other servers for the same work, under the same load in the same run on the same
 * machine: CPU of the server's process for each delivery, how late messages come, and what an idle subscriber costs.
 *
 *     bun run bench:peers                                        all scenarios; about half an hour
 *     bun run bench:peers --scenarios 500x100,idle --peers floor,gateway-grpc,grpc-go --rounds 1
 *
 * The gateway is the real one from the room's log on (`bench/fan-out/gateway.ts`), as the others have no log either. Readers
 * are a process of their own, this one publishes; CPU time is the kernel's (/proc). A run in which one delivery is
 * missing, doubled or out of order does not count, and the table says so. Results go to bench/results/peers.json; scenarios
 * that are not run stay there.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { dirname, join } from "node:path";
import { eventBytes } from "../fan-out/bench-message.ts";
import { Latency } from "../load/latency.ts";
import { nowUs } from "../load/shared-clock.ts";
import { dueTimes, runTimetable } from "../load/timetable.ts";
import { cpuMs, openFilesMax, residentBytes } from "../measuring/process-stat.ts";
import { median } from "../measuring/quantile.ts";
import { numberOption, optionValues, UsageError } from "../option-values.ts";
import type { Target } from "../wire/publisher.ts";
import { ReadersProcess } from "../wire/readers-process.ts";
import { type Peer, peers } from "./peers.ts";
import { type IdleRow, type LoadRow, type PeersReport, peersTable, scenarios } from "./peers-report.ts";

/** Before the measured part, so that code is compiled, in seconds of the rate. */
const warmUpSeconds = 2;
/** What a server allocates late (after a collection, after its first pings) is there by then. */
const idleSettleMs = 5_000;
/** What a server allocates at its start is there by then. */
const idleStartMs = 1_000;

const reportPath = join(import.meta.dir, "..", "results", "peers.json");

const flags = optionValues(process.argv.slice(2), {
  scenarios: { type: "string", default: scenarios.map(({ name }) => name).join() },
  peers: { type: "string", default: peers.map(({ name }) => name).join() },
  rounds: { type: "string" },
  seconds: { type: "string" },
  idle: { type: "string" },
});
const chosenPeers = chosen("peers", flags.peers, peers);
const chosenScenarios = chosen("scenarios", flags.scenarios, scenarios);
const rounds = numberOption("rounds", flags.rounds, { default: 3, min: 1, max: 100, whole: true });
const seconds = numberOption("seconds", flags.seconds, { default: 5, min: 1, max: 600, whole: true });
/** One socket each, in the server and in the readers' process, beside what those have open anyway. */
const idleReadersMax = openFilesMax() - 200;
const idleWanted = numberOption("idle", flags.idle, { default: 10_000, min: 1, max: 100_000, whole: true });
const idleReaders = Math.min(idleWanted, idleReadersMax);

function chosen<T extends { name: string }>(option: string, text: string, all: readonly T[]): T[] {
  return text.split(",").map((name) => {
    const found = all.find((each) => each.name === name);
    if (!found) {
      throw new UsageError(`--${option} has ${name}, there are ${all.map((each) => each.name).join(", ")}`);
    }
    return found;
  });
}

/** One round of one server under load. */
interface Sample {
  cpuUs: number;
  delivery: Latency;
}

async function loadRound(peer: Peer, readers: number, rate: number, messageBytes: number): Promise<Sample> {
  const target = await peer.start(messageBytes);
  const load = new ReadersProcess();
  try {
    const wire = peer.wire(messageBytes);
    await load.ask({ do: "open", wire, port: target.readersPort, readers, isChat: peer.isChat });
    const warmUp = await publish(target, rate, warmUpSeconds, 0);
    await load.arrived(readers, warmUp);
    const before = cpuMs(target.pid);
    await load.ask({ do: "measure", fromUs: nowUs() });
    const messages = await publish(target, rate, seconds, warmUp);
    await load.arrived(readers, warmUp + messages);
    const spent = cpuMs(target.pid) - before;
    const closed = await load.ask({ do: "close" });
    const delivery = new Latency();
    delivery.add(closed.done === "close" ? closed.delivery : undefined);
    return { cpuUs: (spent * 1_000) / (messages * readers), delivery };
  } finally {
    await load.stop();
    await target.stop();
  }
}

/** @returns how many messages */
async function publish(target: Target, rate: number, forSeconds: number, firstSeq: number): Promise<number> {
  const startUs = nowUs();
  let messages = 0;
  await runTimetable({
    due: dueTimes(startUs, startUs + forSeconds * 1e6, rate),
    inFlightMax: 100_000,
    giveUpUs: Number.POSITIVE_INFINITY,
    stop: new AbortController().signal,
    send: async (dueUs) => {
      await target.publish(dueUs, firstSeq + messages++);
    },
  });
  return messages;
}

/** @returns kB of the server's memory for each subscriber */
async function idleRound(peer: Peer, messageBytes: number): Promise<number> {
  const target = await peer.start(messageBytes);
  const load = new ReadersProcess();
  try {
    await Bun.sleep(idleStartMs);
    const before = residentBytes(target.pid);
    const wire = peer.wire(messageBytes);
    await load.ask({ do: "open", wire, port: target.readersPort, readers: idleReaders, isChat: peer.isChat });
    await Bun.sleep(idleSettleMs);
    return (residentBytes(target.pid) - before) / 1_000 / idleReaders;
  } finally {
    await load.stop();
    await target.stop();
  }
}

/** Peers in turn, round after round, so that what disturbs the machine disturbs all. @returns what could be measured of each */
async function inTurns<T>(times: number, run: (peer: Peer) => Promise<T>, say: (result: T) => string) {
  const results = new Map<Peer, T[]>(chosenPeers.map((peer) => [peer, []]));
  const failures = new Map<Peer, string>();
  for (let round = 1; round <= times; round++) {
    for (const peer of chosenPeers.filter((each) => !failures.has(each))) {
      try {
        const result = await run(peer);
        results.get(peer)?.push(result);
        console.log(`round ${round}  ${peer.name.padEnd(16)} ${say(result)}`);
      } catch (error) {
        failures.set(peer, (error as Error).message.split("\n", 1)[0] ?? "");
        console.log(`round ${round}  ${peer.name.padEnd(16)} FAILED: ${(error as Error).message}`);
      }
    }
  }
  return { results, failures };
}

async function loadScenario(readers: number, rate: number, messageBytes: number): Promise<LoadRow[]> {
  const { results, failures } = await inTurns(
    rounds,
    (peer) => loadRound(peer, readers, rate, messageBytes),
    ({ cpuUs, delivery }) => `${cpuUs.toFixed(2).padStart(7)} µs  p99 ${(delivery.at(99) / 1_000).toFixed(1)} ms`,
  );
  return chosenPeers.map((peer): LoadRow => {
    const samples = results.get(peer) ?? [];
    const failed = failures.get(peer);
    if (failed !== undefined || samples.length === 0) {
      return { peer: peer.name, failed: failed ?? "not run" };
    }
    const ms = (percent: number) => median(samples.map(({ delivery }) => delivery.at(percent) / 1_000));
    const roundsUs = samples.map(({ cpuUs }) => cpuUs);
    return { peer: peer.name, cpuUs: median(roundsUs), p50Ms: ms(50), p99Ms: ms(99), p999Ms: ms(99.9), roundsUs };
  });
}

async function idleScenario(messageBytes: number): Promise<IdleRow[]> {
  const { results, failures } = await inTurns(
    1,
    (peer) => idleRound(peer, messageBytes),
    (kB) => `${kB.toFixed(1).padStart(7)} kB`,
  );
  return chosenPeers.map((peer) => {
    const [kB] = results.get(peer) ?? [];
    return kB === undefined ? { peer: peer.name, failed: failures.get(peer) ?? "" } : { peer: peer.name, kB };
  });
}

const messageBytes = eventBytes();
const report: PeersReport = existsSync(reportPath)
  ? JSON.parse(readFileSync(reportPath, "utf8"))
  : { scenarios: {}, idle: undefined };
for (const { name, readers, rate } of chosenScenarios) {
  const measuredAt = new Date().toISOString();
  const circumstances = { measuredAt, bun: Bun.version, cores: cpus().length, cpu: cpus()[0]?.model, messageBytes };
  if (rate === 0) {
    const scaled = idleReaders < idleWanted ? ` instead of ${idleWanted}: ulimit -n is ${openFilesMax()}` : "";
    console.log(`\n${idleReaders} idle subscribers${scaled}`);
    report.idle = { ...circumstances, readers: idleReaders, rows: await idleScenario(messageBytes) };
  } else {
    console.log(
      `\n${readers} subscribers, ${rate} messages/s of ${messageBytes} bytes, ${rounds} rounds of ${seconds} s`,
    );
    const rows = await loadScenario(readers, rate, messageBytes);
    report.scenarios[name] = { ...circumstances, readers, rate, rounds, seconds, rows };
  }
  mkdirSync(dirname(reportPath), { recursive: true });
  writeFileSync(reportPath, `${JSON.stringify(report, null, 2)}\n`);
}
console.log(`\n${peersTable(report)}`);
