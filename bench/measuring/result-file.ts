/** What a benchmark leaves behind: bench/results/<name>.json, from which the pages take their figures (`bun run generate`). */
import { mkdirSync, writeFileSync } from "node:fs";
import { cpus, loadavg } from "node:os";
import { join } from "node:path";

/** On what it was measured, and beside what. */
export interface Machine {
  /** ISO 8601. */
  measuredAt: string;
  bun: string;
  cores: number;
  cpu: string | undefined;
  /** Processes that wanted a core in the minute before the run: others' work. */
  loadBefore: number;
}

/** Call it before the work begins. */
export function thisMachine(): Machine {
  return {
    measuredAt: new Date().toISOString(),
    bun: Bun.version,
    cores: cpus().length,
    cpu: cpus()[0]?.model,
    loadBefore: Math.round((loadavg()[0] ?? 0) * 100) / 100,
  };
}

/** @param name without ".json" */
export function writeResult(name: string, report: Machine & Record<string, unknown>): void {
  const resultsDir = join(import.meta.dir, "..", "results");
  mkdirSync(resultsDir, { recursive: true });
  writeFileSync(join(resultsDir, `${name}.json`), `${JSON.stringify(report, null, 2)}\n`);
}
