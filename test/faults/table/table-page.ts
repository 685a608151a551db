/** The fault table as docs/guarantees.md shows it: made from the rows and from what they found when they were run last. */
import { readResults } from "./results.ts";
import { faultRows } from "./rows.ts";

/** From the root of the repository. */
export const tablePagePath = "docs/guarantees.md";

const tableForm = /<!-- fault table -->\n[\s\S]*?<!-- \/fault table -->/;

/** The page with the newest figures of every row. Rows that were never run are left out. */
export function withFaultTable(page: string): string {
  return page.replace(tableForm, () => `<!-- fault table -->\n${faultTable()}\n<!-- /fault table -->`);
}

function faultTable(): string {
  const results = readResults();
  const lines = faultRows.flatMap((row) => {
    const result = results[row.name];
    if (!result) {
      return [];
    }
    const figures = result.figures.map(([figure, value]) => `${figure}: ${value}`).join("<br>");
    const run = `\`${row.name}\`, seed ${result.seed}, ${result.measuredAt.slice(0, 10)}`;
    return [tableLine([row.fault, row.holds, figures, run])];
  });
  return [
    tableLine(["What happens", "What must hold, and held", "Measured", "Row, run"]),
    "| --- | --- | --- | --- |",
    ...lines,
  ].join("\n");
}

function tableLine(cells: readonly string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll("|", "\\|").replaceAll("\n", " ")).join(" | ")} |`;
}
