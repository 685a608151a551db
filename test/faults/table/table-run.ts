/** Runs rows of the fault table, one after the other, and writes what each found. */
import { readFileSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join, resolve } from "node:path";
import type { FaultRow } from "./fault-row.ts";
import { writeResult } from "./results.ts";
import { faultRows } from "./rows.ts";
import { tablePagePath, withFaultTable } from "./table-page.ts";

const root = resolve(import.meta.dir, "../../..");
const mainPath = join(root, "test/faults/main.ts");

/**
 * @param names undefined: all rows. Each of several runs in a process of its own: what one leaves behind, as clients that
 *   still try, is in nobody's way
 * @returns whether what must hold held in every row; a row in which it did not keeps its former figures
 */
export async function runFaultTable(
  names: readonly string[] | undefined,
  seed: number,
  say: (line: string) => void,
): Promise<boolean> {
  const rows = faultRows.filter(({ name }) => names?.includes(name) ?? true);
  const [only] = rows;
  if (only && rows.length === 1) {
    return await runRow(only, seed, say);
  }
  let isGood = true;
  for (const { name } of rows) {
    const argv = [process.execPath, mainPath, "--table", "--rows", name, "--seed", String(seed)];
    isGood = (await Bun.spawn(argv, { stdio: ["ignore", "inherit", "inherit"] }).exited) === 0 && isGood;
  }
  return isGood;
}

async function runRow(row: FaultRow, seed: number, say: (line: string) => void): Promise<boolean> {
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
    return true;
  } catch (error) {
    say(`   DID NOT HOLD: ${error instanceof Error ? (error.stack ?? error.message) : error}`);
    return false;
  } finally {
    say(`   ${Math.round((performance.now() - startedMs) / 1_000)} s`);
  }
}
