/** The figures of a run under faults, as lines for people. */
import type { LatencyFigures } from "../checker/history-figures.ts";
import type { FaultRunResult } from "./fault-run.ts";

/** So many violations are shown. */
const violationsShownMax = 20;

export function report(result: FaultRunResult): string {
  const { figures, unexpected, counts } = result;
  const lines = [
    `deployment ${result.deployment}, seed ${result.seed}`,
    "",
    ...table([
      ["lost", figures.lost],
      ["doubled", figures.doubled],
      ["out of order", figures.outOfOrder],
      ["silently missed", figures.silentlyMissed],
      ["told lost, yet stored", figures.toldLostButStored],
      ["messages tried", figures.messages],
      ["acknowledged", `${figures.acked} sends, ${figures.duplicateAcks} of them repetitions`],
      ["without an answer", `${figures.unknown} sends; ${figures.unackedThere} messages are there all the same`],
      ["refused", figures.refused],
      ["tries again", figures.retries],
      ["left out", `${result.skippedSends} (too many under way)`],
      ["readers", `${figures.readers} in ${figures.rooms} rooms`],
      ["deliveries", figures.deliveries],
      ["rows read", figures.rows],
      ["gaps told", gapLine(figures.gaps)],
      ["began anew", figures.resets],
      ["store had all after", result.storeLagMs === undefined ? "never" : `${Math.round(result.storeLagMs)} ms`],
      ["events", figures.events],
    ]),
    "",
    ...table([
      ["ms", "count", "p50", "p99", "max"],
      ["send to answer", ...latency(figures.ackMs)],
      ["send to delivery", ...latency(figures.deliveryMs)],
      ["cut noticed to live", ...latency(figures.reconnectMs)],
      ["last heard to live", ...latency(figures.silentMs)],
    ]),
    "",
    ...table([
      [
        "fault",
        "times",
        "readers cut",
        "back ms p50",
        "p99",
        "max",
        "once healed p50",
        "p99",
        "max",
        "send ms p50",
        "p99",
        "max",
      ],
      ...Object.entries(figures.faults).map(([name, { times, reconnectMs, afterHealMs, ackMs }]) => [
        name,
        times,
        ...latency(reconnectMs),
        ...latency(afterHealMs).slice(1),
        ...latency(ackMs).slice(1),
      ]),
    ]),
    ...[...result.measures].map(([name, values]) => `${name}: ${values.map(Math.round).join(", ")}`),
  ];
  if (Object.keys(counts).length > 0) {
    lines.push("", `found: ${JSON.stringify(counts)}`);
  }
  if (unexpected.length > 0) {
    lines.push("", `VIOLATIONS; the history is in ${result.historyPath}`);
    for (const { invariant, kind, room, reader, position, key, about } of unexpected.slice(0, violationsShownMax)) {
      lines.push(`  ${invariant} ${kind}: ${[room, reader, position, key].filter(Boolean).join(" ")}: ${about}`);
    }
  }
  return lines.join("\n");
}

function latency({ count, p50, p99, max }: LatencyFigures): string[] {
  return [String(count), ...[p50, p99, max].map((ms) => (count === 0 ? "-" : ms.toFixed(ms < 10 ? 1 : 0)))];
}

function gapLine(gaps: Readonly<Record<string, number>>): string {
  const told = Object.entries(gaps).filter(([, count]) => count > 0);
  return told.length === 0 ? "none" : told.map(([reason, count]) => `${count} ${reason}`).join(", ");
}

/** Columns as wide as their widest cell; the first to the left, numbers to the right. */
function table(rows: readonly (readonly (string | number)[])[]): string[] {
  const cells = rows.map((row) => row.map(String));
  const widths = (cells[0] ?? []).map((_, column) => Math.max(...cells.map((row) => row[column]?.length ?? 0)));
  const isPair = widths.length === 2;
  return cells.map((row) =>
    row
      .map((cell, column) =>
        column === 0 || isPair ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0),
      )
      .join("  ")
      .trimEnd(),
  );
}
