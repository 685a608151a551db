/** What a run found: figures, flaws, whether the tool itself was too slow, and which limits were broken. */
import { cpus } from "node:os";
import type { LatencySummary } from "./latency.ts";
import type { ReadersEnd, SendersEnd } from "./load-messages.ts";
import type { LoadOptions } from "./load-options.ts";
import { addCounts, noFlaws, type SequenceCounts } from "./sequence-check.ts";
import { Tally } from "./tally.ts";
import type { Second, Timeline } from "./timeline.ts";

/** A process that uses so much of a core, or is so late, no longer measures the server alone. */
const busyCpu = 0.9;
const lateMs = 100;
/** So many of the seconds may be like that. */
const lateSecondsShare = 0.1;
const machineBusyShare = 0.97;

export interface RunParts {
  options: LoadOptions;
  timeline: Timeline;
  measuredMs: number;
  /** CPU time of the server in the measured part. */
  serverCpuMs: number | undefined;
  readers: readonly ReadersEnd[];
  senders: readonly SendersEnd[];
}

/** The JSON of a run. */
export interface LoadResult {
  measuredAt: string;
  bun: string;
  cores: number;
  cpu: string | undefined;
  options: LoadOptions;
  measuredMs: number;
  /** From when a message was due to when a reader had it; quick readers. */
  delivery: LatencySummary;
  /** From when a message was due to when its sender had the answer. */
  answer: LatencySummary;
  /** From a reader's request to its being live. */
  opening: LatencySummary;
  curves: Record<"delivery" | "answer" | "opening", { percent: number; ms: number }[]>;
  messages: { sent: number; accepted: number; unsent: number; failures: Record<string, number>; lateMaxMs: number };
  /** Quick readers, warm-up included. */
  quick: SequenceCounts & { received: number; notLive: number };
  slow: SequenceCounts & { received: number };
  reconnects: number;
  failedOpens: Record<string, number>;
  errors: Record<string, number>;
  endings: Record<string, number>;
  server: { cpuMs: number; cpuUsPerDelivery: number | undefined; memoryMaxBytes: number } | undefined;
  seconds: Second[];
  /** Why the figures may be the tool's and not the server's; empty: they are not. */
  doubts: string[];
  /** The limits that were broken; empty: the run is good. */
  broken: string[];
}

export function loadResult({ options, timeline, measuredMs, serverCpuMs, readers, senders }: RunParts): LoadResult {
  const seconds = timeline.seconds;
  const measured = seconds.filter(({ second }) => second >= 0 && second < Math.floor(measuredMs / 1_000));
  const tally = (part: (end: ReadersEnd) => Record<string, number>) => {
    const sum = new Tally();
    for (const end of readers) {
      sum.addAll(part(end));
    }
    return sum.toRecord();
  };
  const failures = new Tally();
  const quick = { ...noFlaws, received: 0, notLive: 0 };
  const slow = { ...noFlaws, received: 0 };
  for (const end of readers) {
    addCounts(quick, end.quick);
    addCounts(slow, end.slow);
    quick.received += end.receivedQuick;
    quick.notLive += end.notLive;
    slow.received += end.receivedSlow;
  }
  for (const end of senders) {
    failures.addAll(end.failures);
  }
  const sum = (of: (end: SendersEnd) => number) => senders.reduce((total, end) => total + of(end), 0);
  const deliveredMeasured = measured.reduce((total, { delivered }) => total + delivered, 0);
  const memory = measured.map(({ server }) => server?.memoryBytes ?? 0);
  const result: LoadResult = {
    measuredAt: new Date().toISOString(),
    bun: Bun.version,
    cores: cpus().length,
    cpu: cpus()[0]?.model,
    options,
    measuredMs,
    delivery: timeline.delivery.summary(),
    answer: timeline.answer.summary(),
    opening: timeline.opening.summary(),
    curves: {
      delivery: timeline.delivery.curve(),
      answer: timeline.answer.curve(),
      opening: timeline.opening.curve(),
    },
    messages: {
      sent: sum(({ sent }) => sent),
      accepted: sum(({ accepted }) => accepted),
      unsent: sum(({ unsent }) => unsent),
      failures: failures.toRecord(),
      lateMaxMs: Math.max(0, ...senders.map(({ lateMaxMs }) => lateMaxMs)),
    },
    quick,
    slow,
    reconnects: readers.reduce((total, { reconnects }) => total + reconnects, 0),
    failedOpens: tally(({ failedOpens }) => failedOpens),
    errors: tally(({ errors }) => errors),
    endings: tally(({ endings }) => endings),
    server:
      serverCpuMs === undefined
        ? undefined
        : {
            cpuMs: serverCpuMs,
            cpuUsPerDelivery: deliveredMeasured > 0 ? (serverCpuMs * 1_000) / deliveredMeasured : undefined,
            memoryMaxBytes: Math.max(0, ...memory),
          },
    seconds,
    doubts: [],
    broken: [],
  };
  result.doubts = doubts(result, measured);
  result.broken = brokenLimits(result);
  return result;
}

/** Whether the load tool, or the machine, was what was measured. */
function doubts(result: LoadResult, measured: readonly Second[]): string[] {
  const found: string[] = [];
  const tooMany = (seconds: readonly Second[]) => seconds.length > measured.length * lateSecondsShare;
  const busy = measured.filter(({ loadCpu }) => loadCpu >= busyCpu);
  if (tooMany(busy)) {
    found.push(
      `a process of the load tool used more than ${busyCpu * 100} % of a core in ${busy.length} of ${measured.length} seconds: give it more --processes, or more cores`,
    );
  }
  const late = measured.filter(({ loadLagMaxMs }) => loadLagMaxMs >= lateMs);
  if (tooMany(late)) {
    const worst = Math.max(...late.map(({ loadLagMaxMs }) => loadLagMaxMs));
    found.push(
      `the load tool's own event loop was up to ${worst.toFixed(0)} ms late, by ${lateMs} ms or more in ${late.length} of ${measured.length} seconds: latencies are partly its own`,
    );
  }
  const full = measured.filter(({ server }) => (server?.machineBusy ?? 0) >= machineBusyShare);
  if (tooMany(full)) {
    found.push(
      `all cores of this machine were busy in ${full.length} of ${measured.length} seconds: server and load tool waited for each other`,
    );
  }
  if (result.messages.unsent > 0) {
    found.push(
      `${result.messages.unsent} messages were due and not sent: too many were under way (--in-flight ${result.options.inFlight})`,
    );
  }
  return found;
}

function brokenLimits({ options: { limits }, ...result }: LoadResult): string[] {
  const broken: string[] = [];
  const atMost = (what: string, value: number, limit: number | undefined, unit = "") => {
    if (limit !== undefined && value > limit) {
      broken.push(`${what} is ${Number(value.toFixed(1))}${unit}, the limit is ${limit}${unit}`);
    }
  };
  atMost("p99 of deliveries", result.delivery.p99Ms, limits.p99Ms, " ms");
  atMost("p99.9 of deliveries", result.delivery.p999Ms, limits.p999Ms, " ms");
  atMost("p99 of answers", result.answer.p99Ms, limits.sendP99Ms, " ms");
  atMost("lost messages", result.quick.lost + result.slow.lost, limits.lost);
  atMost("doubled messages", result.quick.doubled + result.slow.doubled, 0);
  atMost("messages out of order", result.quick.reordered + result.slow.reordered, 0);
  const total = (counts: Record<string, number>) => Object.values(counts).reduce((sum, count) => sum + count, 0);
  const errors = total(result.errors) + total(result.messages.failures) + result.quick.notLive;
  atMost("errors", errors, limits.errors);
  return broken;
}

/** The result for people, in some lines. */
export function summaryText(result: LoadResult): string {
  const { options, messages, quick, slow, server } = result;
  const ms = ({ p50Ms, p90Ms, p99Ms, p999Ms, maxMs, count }: LatencySummary) =>
    count === 0
      ? "none"
      : `p50 ${p50Ms.toFixed(1)}  p90 ${p90Ms.toFixed(1)}  p99 ${p99Ms.toFixed(1)}  p99.9 ${p999Ms.toFixed(1)}  max ${maxMs.toFixed(1)} ms  (${count})`;
  const reasons = (counts: Record<string, number>) =>
    Object.entries(counts)
      .map(([reason, count]) => `${reason} ${count}`)
      .join(", ") || "0";
  const perSecond = (count: number) => ((count * 1_000) / (result.measuredMs + options.warmUpMs)).toFixed(0);
  return [
    `sent        ${messages.sent} (${perSecond(messages.sent)}/s), accepted ${messages.accepted}, refused ${reasons(messages.failures)}`,
    `delivered   ${quick.received} (${perSecond(quick.received)}/s) to ${options.subscribers - options.slow.reduce((sum, { readers }) => sum + readers, 0)} readers`,
    `            lost ${quick.lost}, doubled ${quick.doubled}, out of order ${quick.reordered}, left out with a word ${quick.skipped}`,
    ...(options.slow.length > 0
      ? [
          `slow ones   ${slow.received} received, lost ${slow.lost}, doubled ${slow.doubled}, out of order ${slow.reordered}, left out with a word ${slow.skipped}`,
        ]
      : []),
    `delivery    ${ms(result.delivery)}, from when a message was due`,
    `answer      ${ms(result.answer)}`,
    `opening     ${ms(result.opening)}; ${result.reconnects} reconnections, failed tries ${reasons(result.failedOpens)}`,
    `errors      ${reasons(result.errors)}${quick.notLive > 0 ? `, ${quick.notLive} readers not live at the end` : ""}; ended by the server: ${reasons(result.endings)}`,
    ...(server
      ? [
          `server      ${((server.cpuMs * 100) / result.measuredMs).toFixed(0)} % of a core, ${server.cpuUsPerDelivery?.toFixed(2) ?? "–"} µs per delivery, at most ${(server.memoryMaxBytes / 1e6).toFixed(0)} MB`,
        ]
      : []),
    ...result.doubts.map((doubt) => `DOUBT       ${doubt}`),
    ...result.broken.map((limit) => `BROKEN      ${limit}`),
  ].join("\n");
}
