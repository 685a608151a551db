/** The fault table as docs/guarantees.md shows it: made from the rows and from what they found when they were run last. */
import type { FaultRow } from "./fault-row.ts";
import { type RowResult, readResults } from "./results.ts";
import { lostFigure, redisLossRows, windowFigure } from "./rows/redis-loss.ts";
import { faultRows } from "./rows.ts";

/** From the root of the repository. */
export const tablePagePath = "docs/guarantees.md";

const tableForm = /<!-- fault table -->\n[\s\S]*?<!-- \/fault table -->/;
const windowsForm = /<!-- loss windows -->\n[\s\S]*?<!-- \/loss windows -->/;

/** The page with the newest figures of every row. Rows that were never run are left out. */
export function withFaultTable(page: string): string {
  return page
    .replace(tableForm, () => `<!-- fault table -->\n${faultTable()}\n<!-- /fault table -->`)
    .replace(windowsForm, () => `<!-- loss windows -->\n${lossWindows()}\n<!-- /loss windows -->`);
}

function faultTable(): string {
  return [
    tableLine(["What happens", "What must hold, and held", "Measured", "Row, run"]),
    "| --- | --- | --- | --- |",
    ...withResults(faultRows.filter((row) => !redisLossRows.includes(row))).map(([row, result]) =>
      tableLine([
        row.fault,
        row.holds,
        result.figures.map(([figure, value]) => `${figure}: ${value}`).join("<br>"),
        runOf(row, result),
      ]),
    ),
  ].join("\n");
}

/** What Redis loses, one line for each way to run it and to harm it. */
function lossWindows(): string {
  return [
    tableLine(["What happens", "Acknowledged and lost", "Longest window", "Sends", "Row, run"]),
    "| --- | ---: | ---: | --- | --- |",
    ...withResults(redisLossRows).map(([row, result]) => {
      const { [lostFigure]: lost = "", [windowFigure]: window = "", load = "" } = Object.fromEntries(result.figures);
      return tableLine([row.fault, lost, window, load, runOf(row, result)]);
    }),
  ].join("\n");
}

function withResults(rows: readonly FaultRow[]): [FaultRow, RowResult][] {
  const results = readResults();
  return rows.flatMap((row) => {
    const result = results[row.name];
    return result ? [[row, result]] : [];
  });
}

function runOf(row: FaultRow, { seed, measuredAt }: RowResult): string {
  return `\`${row.name}\`, seed ${seed}, ${measuredAt.slice(0, 10)}`;
}

function tableLine(cells: readonly string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll("|", "\\|").replaceAll("\n", " ")).join(" | ")} |`;
}
