/** Line plots as SVG, without a library. Classes name the colours: the page that shows them says which. */

/** One line of a plot. */
export interface Curve {
  readonly name: string;
  /** In the order of x. */
  readonly points: readonly (readonly [x: number, y: number])[];
}

const width = 900;
const height = 260;
const left = 56;
const right = 16;
const top = 28;
const bottom = 28;

/** Where a value stands: in the plot, or at its axis. */
interface Scale {
  readonly at: (value: number) => number;
  readonly ticks: readonly (readonly [value: number, label: string])[];
}

/** @param unit of x */
export function linePlot(unit: string, curves: readonly Curve[]): string {
  const xs = curves.flatMap(({ points }) => points.map(([x]) => x));
  const x = linear(Math.min(...xs, 0), Math.max(...xs, 1), left, width - right, ` ${unit}`);
  return plot(curves, x);
}

/** x: the percentile, ever wider to its end (each nine takes as much room); y: ms. */
export function percentilePlot(curves: readonly Curve[]): string {
  const nines = (percent: number) => -Math.log10(1 - Math.min(percent, 99.9999) / 100);
  const most = Math.max(1, ...curves.flatMap(({ points }) => points.map(([percent]) => nines(percent))));
  const { at } = linear(0, most, left, width - right);
  const ticks = [0, 50, 90, 99, 99.9, 99.99, 99.999].filter((percent) => nines(percent) <= most + 1e-9);
  return plot(curves, {
    at: (percent) => at(nines(percent)),
    ticks: ticks.map((percent): [number, string] => [percent, `${percent} %`]),
  });
}

function plot(curves: readonly Curve[], x: Scale): string {
  const ys = curves.flatMap(({ points }) => points.map(([, y]) => y));
  const y = linear(0, Math.max(...ys, 1e-3), height - bottom, top);
  const grid = y.ticks.map(
    ([value, label]) =>
      `<line class="grid" x1="${left}" x2="${width - right}" y1="${px(y.at(value))}" y2="${px(y.at(value))}"/>` +
      `<text x="${left - 6}" y="${px(y.at(value) + 4)}" text-anchor="end">${label}</text>`,
  );
  const labels = x.ticks.map(
    ([value, label]) =>
      `<text x="${px(x.at(value))}" y="${height - 8}" text-anchor="${x.at(value) > width - 40 ? "end" : "middle"}">${label}</text>`,
  );
  const lines = curves.map(({ points }, index) => {
    const path = points.map(([px1, py]) => `${px(x.at(px1))},${px(y.at(py))}`).join(" ");
    return `<polyline class="line c${index}" points="${path}"/>`;
  });
  let legendAt = left;
  const legend = curves.map(({ name }, index) => {
    const at = legendAt;
    legendAt += 34 + name.length * 6;
    return `<circle class="dot c${index}" cx="${at + 5}" cy="12" r="4"/><text x="${at + 14}" y="16">${name}</text>`;
  });
  return `<svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${curves.map(({ name }) => name).join(", ")}">
${[...grid, ...labels, ...lines, ...legend].join("\n")}
</svg>`;
}

/** @param unit after the label of the last tick */
function linear(min: number, max: number, from: number, to: number, unit = ""): Scale {
  const span = max - min || 1;
  const step = niceStep(span / 6);
  const ticks: [number, string][] = [];
  for (let value = Math.ceil(min / step) * step; value <= max + step / 1e6; value += step) {
    ticks.push([value, shortNumber(value)]);
  }
  const last = ticks.at(-1);
  if (last) {
    last[1] += unit;
  }
  return { at: (value) => from + ((value - min) / span) * (to - from), ticks };
}

/** The next of 1, 2, 5, 10, 20 … */
function niceStep(wanted: number): number {
  const power = 10 ** Math.floor(Math.log10(wanted));
  const factor = [1, 2, 5, 10].find((each) => each * power >= wanted) ?? 10;
  return factor * power;
}

function shortNumber(value: number): string {
  const size = Math.abs(value);
  if (size >= 1e6) {
    return `${Number((value / 1e6).toPrecision(3))}M`;
  }
  return size >= 1e4 ? `${Number((value / 1e3).toPrecision(3))}k` : String(Number(value.toPrecision(3)));
}

/** Enough for a pixel. */
function px(value: number): string {
  return String(Number(value.toFixed(1)));
}
