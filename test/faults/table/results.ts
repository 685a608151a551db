/**
 * What the rows of the fault table found when they were run last: `results.json`, which is committed. The table in
 * docs/guarantees.md is made from it, so running some rows changes no figure of the others.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export interface RowResult {
  /** In the order of reading. */
  readonly figures: readonly (readonly [figure: string, value: string])[];
  /** Repeats the run's schedule: `--seed`. */
  readonly seed: number;
  /** ISO 8601. */
  readonly measuredAt: string;
  readonly cores: number;
  readonly bun: string;
}

const resultsPath = join(import.meta.dir, "results.json");

/** By the row's name. */
export function readResults(): Record<string, RowResult> {
  return existsSync(resultsPath) ? (JSON.parse(readFileSync(resultsPath, "utf8")) as Record<string, RowResult>) : {};
}

/** Replaces the result of one row. Reads the file anew: others may have written theirs meanwhile. */
export function writeResult(name: string, result: RowResult): void {
  const results = { ...readResults(), [name]: result };
  const sorted = Object.fromEntries(Object.entries(results).sort(([a], [b]) => (a < b ? -1 : 1)));
  writeFileSync(resultsPath, `${JSON.stringify(sorted, undefined, 2)}\n`);
}
