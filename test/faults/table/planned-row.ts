/**
 * What rows on a whole deployment share: a run under load with one fault, planned by the row, and the figures that every
 * such row reports. Everything is checked as in any run under faults (test/faults/checker); what a row allows it says.
 */
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { LatencyFigures } from "../checker/history-figures.ts";
import type { Deployment, Member } from "../driver/deployment.ts";
import { type DistributedOptions, startDistributedDeployment } from "../driver/distributed-deployment.ts";
import { type FaultRunOptions, type FaultRunResult, runFaults } from "../driver/fault-run.ts";
import { report } from "../driver/report.ts";
import type { FaultRowContext } from "./fault-row.ts";

/** What two cores carry beside three gateways, two workers, Redis and Cassandra. */
const usualLoad = { rooms: 4, readersPerRoom: 6, people: 8, messagesPerSecond: 40 };

export type Figure = readonly [figure: string, value: string];

export interface PlannedRowOptions extends Pick<FaultRunOptions, "allows" | "storeLagMaxMs"> {
  readonly deployment?: DistributedOptions;
  readonly load?: Partial<FaultRunOptions["load"]>;
  readonly plan: NonNullable<FaultRunOptions["plan"]>;
}

/** @throws {Error} with the report of the run: an invariant broke that the row does not allow */
export async function runPlanned({ seed, say }: FaultRowContext, options: PlannedRowOptions): Promise<FaultRunResult> {
  const { deployment, load, ...rest } = options;
  const historyPath = join(tmpdir(), `streaming-chat-row-${seed}-${process.pid}.jsonl`);
  const result = await runFaults({
    ...rest,
    start: () => startDistributedDeployment(deployment),
    seed,
    durationMs: 0,
    load: { ...usualLoad, ...load },
    historyPath,
    say,
  });
  if (result.unexpected.length > 0) {
    throw new Error(`what must hold did not\n${report(result)}`);
  }
  await rm(historyPath, { force: true });
  return result;
}

/** The load and the verdict of the checker: the first lines of a row. */
export function verdictFigures({ figures, counts }: FaultRunResult): Figure[] {
  return [
    ["load", `${figures.readers} readers in ${figures.rooms} rooms, ${figures.acked} sends acknowledged`],
    ["acknowledged and lost", String(figures.lost)],
    ["doubled, out of order, missed unsaid", [figures.doubled, figures.outOfOrder, figures.silentlyMissed].join(", ")],
    ["positions reused", String(counts["position-names-two"] ?? 0)],
  ];
}

/** "p50 12 ms, p99 340 ms, longest 1,204 ms" */
export function latencyFigure({ count, p50, p99, max }: LatencyFigures): string {
  return count === 0 ? "none" : `p50 ${milliseconds(p50)}, p99 ${milliseconds(p99)}, longest ${milliseconds(max)}`;
}

export function milliseconds(ms: number): string {
  return `${(ms < 10 ? Math.round(ms * 10) / 10 : Math.round(ms)).toLocaleString("en-US")} ms`;
}

/** The median; NaN of none. */
export function median(values: readonly number[]): number {
  return part(values, 0.5);
}

/** The value up to which this share of them is; NaN of none. */
export function part(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor((sorted.length - 1) * share)] ?? Number.NaN;
}

/** The deployment's Redis. */
export function redisOf({ members }: Deployment): Member {
  return members.find(({ kind }) => kind === "redis") as Member;
}
