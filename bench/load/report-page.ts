/**
 * The result as one HTML page that needs nothing else: no script, no font, no server. Plots are SVG, drawn here; where the
 * reader's system is dark, the page is.
 */

import type { LatencySummary } from "./latency.ts";
import { type Curve, linePlot, percentilePlot } from "./line-plot.ts";
import { type LoadResult, summaryText } from "./load-result.ts";
import type { Second } from "./timeline.ts";

const style = `
:root { color-scheme: light dark; --ink: #1d2129; --soft: #6b7280; --grid: #8883; --back: #fff;
  --c0: #2563eb; --c1: #d97706; --c2: #059669; --c3: #b91c1c; }
@media (prefers-color-scheme: dark) { :root { --ink: #e5e7eb; --soft: #9ca3af; --back: #14161a;
  --c0: #60a5fa; --c1: #fbbf24; --c2: #34d399; --c3: #f87171; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--back); max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
.verdict { font-weight: 600; } .bad { color: var(--c3); } .good { color: var(--c2); }
table { border-collapse: collapse; } td, th { padding: .2rem .8rem .2rem 0; text-align: right; } td:first-child, th:first-child { text-align: left; }
th { color: var(--soft); font-weight: 500; }
svg { width: 100%; height: auto; display: block; } svg text { font: 11px system-ui, sans-serif; fill: var(--soft); }
.grid { stroke: var(--grid); } .line { fill: none; stroke-width: 1.8; stroke-linejoin: round; } .dot { stroke: none; }
${[0, 1, 2, 3].map((n) => `.line.c${n} { stroke: var(--c${n}); } .dot.c${n} { fill: var(--c${n}); }`).join("\n")}
pre { white-space: pre-wrap; font-size: 13px; }
`;

export function reportPage(result: LoadResult): string {
  const { options } = result;
  // What is left of a second at the end is no second.
  const seconds = result.seconds.filter(({ second }) => second < Math.floor(result.measuredMs / 1_000));
  const title = `${options.subscribers} readers, ${options.rate ?? "max"} messages/s, ${options.protocol}`;
  const verdict =
    result.broken.length > 0
      ? `<p class="verdict bad">${list(result.broken)}</p>`
      : `<p class="verdict good">Nothing lost, nothing doubled, in order; no limit was broken.</p>`;
  const doubts = result.doubts.length > 0 ? `<p class="verdict bad">To doubt: ${list(result.doubts)}</p>` : "";
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escaped(title)}</title>
<style>${style}</style>
<h1>${escaped(title)}</h1>
<p>${escaped(options.url)}, ${escaped(result.measuredAt)}, load tool on ${result.cores} cores${result.cpu ? ` (${escaped(result.cpu)})` : ""}, Bun ${escaped(result.bun)}.</p>
${verdict}
${doubts}
<h2>Latency by percentile</h2>
${percentilePlot([
  { name: "delivery, ms from when a message was due", points: curve(result.curves.delivery) },
  { name: "answer to the sender", points: curve(result.curves.answer) },
  { name: "opening a stream", points: curve(result.curves.opening) },
])}
${latencyTable(result)}
<h2>Deliveries a second</h2>
${linePlot("s", [over(seconds, "deliveries", ({ delivered }) => delivered)])}
<h2>Latency of deliveries, ms</h2>
${linePlot("s", [over(seconds, "p50", ({ p50Ms }) => p50Ms), over(seconds, "p99", ({ p99Ms }) => p99Ms)])}
<h2>Readers that are live</h2>
${linePlot("s", [over(seconds, "readers", ({ live }) => live)])}
<h2>CPU, % of a core</h2>
${linePlot("s", [
  over(seconds, "server", ({ server }) => percent(server?.cpu)),
  over(seconds, "busiest process of the load tool", ({ loadCpu }) => percent(loadCpu)),
  over(seconds, "machine (all cores)", ({ server }) => percent(server?.machineBusy)),
])}
${
  result.server
    ? `<h2>Memory of the server, MB</h2>\n${linePlot("s", [over(seconds, "resident", ({ server }) => server?.memoryBytes && server.memoryBytes / 1e6)])}`
    : ""
}
<h2>In words</h2>
<pre>${escaped(summaryText(result))}</pre>
<h2>Asked for</h2>
<pre>${escaped(JSON.stringify(options, null, 2))}</pre>
</html>
`;
}

function over(seconds: readonly Second[], name: string, value: (second: Second) => number | undefined): Curve {
  const points = seconds.flatMap((each): [number, number][] => {
    const y = value(each);
    return y === undefined ? [] : [[each.second, y]];
  });
  return { name, points };
}

function curve(points: readonly { percent: number; ms: number }[]): [number, number][] {
  return points.map(({ percent: x, ms }) => [x, ms]);
}

function percent(part: number | undefined): number | undefined {
  return part === undefined ? undefined : part * 100;
}

function latencyTable({ delivery, answer, opening }: LoadResult): string {
  const cells = (name: string, { count, p50Ms, p90Ms, p99Ms, p999Ms, maxMs }: LatencySummary) =>
    `<tr><td>${name}</td>${[p50Ms, p90Ms, p99Ms, p999Ms, maxMs].map((ms) => `<td>${ms.toFixed(1)}</td>`).join("")}<td>${count}</td></tr>`;
  return `<table><tr><th>ms</th><th>p50</th><th>p90</th><th>p99</th><th>p99.9</th><th>max</th><th>of</th></tr>
${cells("delivery", delivery)}${cells("answer", answer)}${cells("opening", opening)}</table>`;
}

function list(sentences: readonly string[]): string {
  return sentences.map(escaped).join("<br>");
}

function escaped(text: string): string {
  return text.replace(/[&<>"]/g, (sign) => `&#${sign.charCodeAt(0)};`);
}
