/**
 * One run under faults: starts a deployment, lets people talk, breaks things by a seeded schedule, heals them, waits until
 * everything has settled, reads the store, and has the history judged.
 */
import { rm } from "node:fs/promises";
import { ChatClient } from "../../../client/chat-client.ts";
import { createNodeTransport } from "../../../client/node-transports.ts";
import { seededRandom } from "../../../lib/seeded-random.ts";
import { CuttingProxy } from "../../browser/cutting-proxy.ts";
import { waitFor } from "../../harness/wait-for.ts";
import { checkHistoryFile, type Verdict } from "../checker/history-checker.ts";
import type { Violation, ViolationKind } from "../checker/violation.ts";
import { HistoryWriter } from "../recorder/history-writer.ts";
import { apiRows, countMessages, recordRows } from "../recorder/stored-rows.ts";
import type { Deployment, Member } from "./deployment.ts";
import type { Fault, FaultContext } from "./faults/fault.ts";
import { selectFaults } from "./faults.ts";
import { Load, type LoadOptions } from "./load.ts";

export interface FaultRunOptions {
  readonly start: () => Promise<Deployment>;
  /** Decides the faults, their times and what people say; not how the processes' threads interleave. */
  readonly seed: number;
  /** For how long things break. */
  readonly durationMs: number;
  /** Names of faults. Undefined: all that the deployment has members for. */
  readonly faults?: readonly string[];
  /** Breaks things itself, in its own order, instead of the seeded schedule; the run ends when it resolves. */
  readonly plan?: (run: PlannedRun) => Promise<void>;
  /** What the plan cannot but cause, as after a loss of data. */
  readonly allows?: readonly ViolationKind[];
  readonly load: Omit<LoadOptions, "roomIds"> & { readonly rooms: number };
  /** Where the history goes. It is removed when all is well. */
  readonly historyPath: string;
  readonly keepHistory?: boolean;
  /** For how long the store may lag behind what was acknowledged. Default 30,000. */
  readonly storeLagMaxMs?: number;
  /** For people who watch. */
  readonly say?: (line: string) => void;
}

/** What a plan has in hand. */
export interface PlannedRun {
  readonly deployment: Deployment;
  readonly load: Load;
  readonly history: HistoryWriter;
  readonly context: FaultContext;
  /** Does the harm and heals it, and writes both into the history: the figures of the verdict are by its name. */
  strike(fault: Fault, member: Member): Promise<void>;
}

export interface FaultRunResult extends Verdict {
  readonly seed: number;
  readonly deployment: string;
  /** What the faults chosen do not allow. Empty: all is as promised. */
  readonly unexpected: readonly Violation[];
  readonly historyPath: string;
  /** From the last answer to a send until the store had all that was acknowledged; undefined: it never had. */
  readonly storeLagMs: number | undefined;
  /** New messages that the load left out because too many were under way. */
  readonly skippedSends: number;
  /** What faults measured of themselves, as "gateway-term exit ms". */
  readonly measures: ReadonlyMap<string, readonly number[]>;
}

/** Between two faults. */
const calmMs = { least: 200, most: 2_500 };
/** The part of the faults that strike before everyone has come back from the one before. */
const untimelyPart = 0.3;
const storeLagMaxMs = 30_000;

/** @throws {Error} the deployment did not start, a member died by itself, or a reader was ended before its time */
export async function runFaults(options: FaultRunOptions): Promise<FaultRunResult> {
  const { seed, say = () => {} } = options;
  const random = seededRandom(seed);
  const deployment = await options.start();
  const proxies = await Promise.all(deployment.gatewayUrls.map((url) => CuttingProxy.start(Number(new URL(url).port))));
  const history = new HistoryWriter(options.historyPath);
  const roomIds = Array.from({ length: options.load.rooms }, (_, n) => `room-${n}`);
  const load = new Load({
    options: { ...options.load, roomIds },
    // Half of the clients can be cut off without harm to a gateway.
    urlsOf: (client) => (client % 2 === 0 ? deployment.gatewayUrls : proxies.map(({ url }) => url)),
    history,
    // Of its own: how much people say before a fault depends on how fast the machine is.
    random: seededRandom(seed + 1),
  });
  const measures = new Map<string, number[]>();
  let storeLagMs: number | undefined;
  try {
    const client = new ChatClient({ transport: createNodeTransport({ baseUrl: deployment.gatewayUrls[0] as string }) });
    for (const roomId of roomIds) {
      await client.rooms.createRoom({ roomId, title: roomId });
    }
    await load.openReaders();
    load.start();
    const pause = (leastMs: number, mostMs: number) => Bun.sleep(leastMs + random() * (mostMs - leastMs));
    const contextOf = (fault: string): FaultContext => ({
      random,
      pause,
      proxies,
      load,
      measure: (figure, value) => {
        const name = `${fault} ${figure}`.trimStart();
        measures.set(name, [...(measures.get(name) ?? []), value]);
      },
    });
    const strike = async (fault: Fault, member: Member) => {
      const event = { type: "fault", name: fault.name, target: member.name } as const;
      history.write({ ...event, at: history.now(), phase: "begin" });
      await fault.inject(member, contextOf(fault.name));
      history.write({ ...event, at: history.now(), phase: "end" });
    };
    const run: PlannedRun = { deployment, load, history, context: contextOf(""), strike };
    await (options.plan?.(run) ?? breakThings(run, options, random));
    checkMembers(deployment);
    say("settling");
    await load.settle();
    storeLagMs = await waitForStore(deployment, load, roomIds, options.storeLagMaxMs ?? storeLagMaxMs);
    await recordRows(deployment.stored, roomIds, history);
    await recordRows(apiRows(client), roomIds, history);
  } finally {
    load.close();
    for (const proxy of proxies) {
      proxy.stop();
    }
    await deployment.stop();
    await history.close();
  }
  const verdict = await checkHistoryFile(options.historyPath);
  const allowed = new Set([
    ...(options.allows ?? []),
    ...(options.plan ? [] : selectFaults(deployment, options.faults).flatMap(({ allows }) => allows ?? [])),
  ]);
  const unexpected = verdict.violations.filter(({ kind }) => !allowed.has(kind));
  if (unexpected.length === 0 && !options.keepHistory) {
    await rm(options.historyPath, { force: true });
  }
  return {
    ...verdict,
    unexpected,
    seed,
    deployment: deployment.name,
    historyPath: options.historyPath,
    storeLagMs,
    skippedSends: load.skipped,
    measures,
  };
}

async function breakThings(run: PlannedRun, options: FaultRunOptions, random: () => number): Promise<void> {
  const { deployment, load, context, strike } = run;
  const { say = () => {} } = options;
  const chosen = shuffledForEver(selectFaults(deployment, options.faults), random);
  const startedMs = performance.now();
  while (performance.now() - startedMs < options.durationMs) {
    await context.pause(calmMs.least, calmMs.most);
    const { value: fault } = chosen.next();
    const members = deployment.members.filter(({ kind }) => kind === fault.kind);
    const member = members[Math.floor(random() * members.length)] as Member;
    const waits = random() >= untimelyPart;
    say(`${((performance.now() - startedMs) / 1_000).toFixed(1)} s  ${fault.name}  ${member.name}`);
    await strike(fault, member);
    checkMembers(deployment);
    load.checkAlive();
    if (waits) {
      await load.allLive();
    }
  }
}

/** @throws {Error} a member is not there, which nobody ended */
function checkMembers({ members }: Deployment): void {
  const dead = members.find(({ isRunning }) => !isRunning);
  if (dead) {
    throw new Error(`${dead.name} has ended by itself\n${dead.log}`);
  }
}

/** Every fault once, in random order, and again: a short run, too, sees each kind. */
function* shuffledForEver(faults: readonly Fault[], random: () => number): Generator<Fault, never> {
  for (;;) {
    const left = [...faults];
    while (left.length > 0) {
      yield left.splice(Math.floor(random() * left.length), 1)[0] as Fault;
    }
  }
}

/** @returns how long it took until the store had as many messages as were acknowledged */
async function waitForStore(
  deployment: Deployment,
  load: Load,
  roomIds: readonly string[],
  lagMaxMs: number,
): Promise<number | undefined> {
  const startedMs = performance.now();
  const waiting = new Set(roomIds);
  const hasAll = async () => {
    for (const roomId of [...waiting]) {
      if ((await countMessages(deployment.stored, roomId)) >= load.ackedIn(roomId)) {
        waiting.delete(roomId);
      }
    }
    return waiting.size === 0;
  };
  // Where it never gets there, the checker says what is missing.
  return waitFor("the store has what was acknowledged", hasAll, lagMaxMs).then(
    () => performance.now() - startedMs,
    () => undefined,
  );
}
