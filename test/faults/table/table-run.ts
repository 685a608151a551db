/** Runs rows of the fault table, one after the other, and writes what each found. */
import { readFileSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join, resolve } from "node:path";
import { writeResult } from "./results.ts";
import { faultRows } from "./rows.ts";
import { tablePagePath, withFaultTable } from "./table-page.ts";

const root = resolve(import.meta.dir, "../../..");

/**
 * @param names undefined: all rows
 * @returns whether what must hold held in every row; a row in which it did not keeps its former figures
 */
export async function runFaultTable(
  names: readonly string[] | undefined,
  seed: number,
  say: (line: string) => void,
): Promise<boolean> {
  let isGood = true;
  for (const row of faultRows.filter(({ name }) => names?.includes(name) ?? true)) {
    say(`\n━━ ${row.name}: ${row.fault}`);
    const startedMs = performance.now();
    try {
      const figures = await row.run({ seed, say });
      for (const [figure, value] of figures) {
        say(`   ${figure}: ${value}`);
      }
      writeResult(row.name, {
        figures,
        seed,
        measuredAt: new Date().toISOString(),
        cores: availableParallelism(),
        bun: Bun.version,
      });
      const page = join(root, tablePagePath);
      writeFileSync(page, withFaultTable(readFileSync(page, "utf8")));
    } catch (error) {
      isGood = false;
      say(`   DID NOT HOLD: ${error instanceof Error ? (error.stack ?? error.message) : error}`);
    }
    say(`   ${Math.round((performance.now() - startedMs) / 1_000)} s`);
  }
  return isGood;
}
