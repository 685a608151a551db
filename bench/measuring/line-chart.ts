/**
 * A grid of small line charts as one SVG, for the pages: no script, no font of its own, readable on light and dark pages
 * because it brings its own background for both.
 *
 *     title
 *     legend
 *     ┌ panel ┐ ┌ panel ┐ ┌ panel ┐    columns share a title and the values below, rows an axis
 *     └───────┘ └───────┘ └───────┘
 */

export interface ChartSeries {
  name: string;
  /** One of the two colours, and whether the line is dashed. */
  colour: 1 | 2;
  dashed?: boolean;
}

export interface ChartColumn {
  title: string;
  /** Below the column, with unit. */
  xTitle: string;
  /** Evenly spaced, in order. */
  xLabels: readonly string[];
}

export interface ChartRow {
  /** With unit. */
  yTitle: string;
  scale: "linear" | "log";
  /** Ascending; the first and the last are the ends of the axis. What lies outside is drawn at the end. */
  yTicks: readonly number[];
}

export interface Chart {
  title: string;
  /** For those who cannot see it. */
  description: string;
  series: readonly ChartSeries[];
  columns: readonly ChartColumn[];
  rows: readonly ChartRow[];
  /** The values of a series in a panel, one for each label of the column; null: none. */
  values(row: number, column: number, series: number): readonly (number | null)[];
}

const panelWidth = 250;
const panelHeight = 170;
const left = 70;
const top = 96;
const gapX = 34;
const gapY = 34;
const bottom = 58;

const style = `
  .paper { fill: #ffffff } .ink { fill: #1f2328 } .soft { fill: #59636e } .grid { stroke: #d1d9e0 }
  .s1 { stroke: #bc4c00; fill: #bc4c00 } .s2 { stroke: #0969da; fill: #0969da }
  text { font-family: system-ui, sans-serif; font-size: 12px; stroke: none }
  .title { font-size: 16px; font-weight: 600 } .head { font-weight: 600 }
  path.line { fill: none; stroke-width: 2 } .dashed { stroke-dasharray: 5 4 }
  @media (prefers-color-scheme: dark) {
    .paper { fill: #0d1117 } .ink { fill: #f0f6fc } .soft { fill: #9198a1 } .grid { stroke: #3d444d }
    .s1 { stroke: #f0883e; fill: #f0883e } .s2 { stroke: #58a6ff; fill: #58a6ff }
  }`;

export function chartSvg(chart: Chart): string {
  const { columns, rows, series } = chart;
  const width = left + columns.length * (panelWidth + gapX);
  const height = top + rows.length * (panelHeight + gapY) - gapY + bottom;
  const parts = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" role="img" aria-labelledby="title description">`,
    `<title id="title">${escaped(chart.title)}</title>`,
    `<desc id="description">${escaped(chart.description)}</desc>`,
    `<style>${style}\n</style>`,
    `<rect class="paper" width="${width}" height="${height}"/>`,
    `<text class="ink title" x="${left}" y="26">${escaped(chart.title)}</text>`,
    ...legend(series),
  ];
  for (const [column, { title, xTitle }] of columns.entries()) {
    const x = left + column * (panelWidth + gapX);
    parts.push(`<text class="ink head" x="${x}" y="${top - 14}">${escaped(title)}</text>`);
    parts.push(
      `<text class="soft" x="${x + panelWidth / 2}" y="${height - 14}" text-anchor="middle">${escaped(xTitle)}</text>`,
    );
  }
  for (const row of rows.keys()) {
    const y = top + row * (panelHeight + gapY);
    const middle = y + panelHeight / 2;
    parts.push(
      `<text class="soft" transform="translate(16 ${middle}) rotate(-90)" text-anchor="middle">${escaped(rows[row]?.yTitle ?? "")}</text>`,
    );
    for (const column of columns.keys()) {
      parts.push(...panel(chart, row, column, left + column * (panelWidth + gapX), y));
    }
  }
  return `${[...parts, "</svg>"].join("\n")}\n`;
}

function legend(series: readonly ChartSeries[]): string[] {
  let x = left;
  return series.flatMap((each) => {
    const at = x;
    x += 60 + each.name.length * 7;
    return [
      `<path class="line ${classOf(each)}" d="M${at} 50h28"/>`,
      marker(each, at + 14, 50),
      `<text class="ink" x="${at + 36}" y="54">${escaped(each.name)}</text>`,
    ];
  });
}

function panel(chart: Chart, row: number, column: number, x: number, y: number): string[] {
  const { scale, yTicks } = chart.rows[row] as ChartRow;
  const { xLabels } = chart.columns[column] as ChartColumn;
  const xOf = (index: number) => round(x + ((index + 0.5) * panelWidth) / xLabels.length);
  const yOf = (value: number) => round(y + panelHeight * (1 - shareOf(value, scale, yTicks)));
  const parts: string[] = [];
  for (const tick of yTicks) {
    parts.push(`<path class="grid" d="M${x} ${yOf(tick)}h${panelWidth}"/>`);
    if (column === 0) {
      parts.push(
        `<text class="soft" x="${x - 8}" y="${yOf(tick) + 4}" text-anchor="end">${tick.toLocaleString("en")}</text>`,
      );
    }
  }
  for (const [index, label] of xLabels.entries()) {
    parts.push(
      `<text class="soft" x="${xOf(index)}" y="${y + panelHeight + 18}" text-anchor="middle">${escaped(label)}</text>`,
    );
  }
  for (const [index, each] of chart.series.entries()) {
    const values = chart.values(row, column, index);
    const points = values.flatMap((value, at) => (value === null ? [] : [[xOf(at), yOf(value)] as const]));
    if (points.length > 0) {
      parts.push(
        `<path class="line ${classOf(each)}" d="M${points.map(([px, py]) => `${px} ${py}`).join("L")}"/>`,
        ...points.map(([px, py]) => marker(each, px, py)),
      );
    }
  }
  return parts;
}

/** 0 at the lower end of the axis, 1 at the upper one. */
function shareOf(value: number, scale: ChartRow["scale"], ticks: readonly number[]): number {
  const along = scale === "log" ? Math.log : (number: number) => number;
  const from = along(ticks[0] ?? 0);
  const to = along(ticks.at(-1) ?? 1);
  return Math.min(1, Math.max(0, (along(value) - from) / (to - from)));
}

/** The colours differ in shape too. */
function marker({ colour }: ChartSeries, x: number, y: number): string {
  return colour === 1
    ? `<circle class="s1" cx="${x}" cy="${y}" r="3.5"/>`
    : `<rect class="s2" x="${x - 3.5}" y="${y - 3.5}" width="7" height="7"/>`;
}

function classOf({ colour, dashed }: ChartSeries): string {
  return `s${colour}${dashed ? " dashed" : ""}`;
}

function round(number: number): number {
  return Math.round(number * 10) / 10;
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;");
}
