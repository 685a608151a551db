/** Latencies in µs as HDR histograms (three significant digits): recorded in many processes, sent as text, added up. */
import { build, decodeFromCompressedBase64, encodeIntoCompressedBase64, type JsHistogram } from "hdr-histogram-js";

/** What is longer counts as this long. */
const latencyUsMax = 3_600_000_000;

export class Latency {
  readonly #histogram = build({
    bitBucketSize: 32,
    autoResize: false,
    highestTrackableValue: latencyUsMax,
    numberOfSignificantValueDigits: 3,
  }) as JsHistogram;

  get count(): number {
    return this.#histogram.totalCount;
  }

  /** A clock that another process reads a little later may seem to run backwards: that is 0. */
  record(us: number): void {
    this.#histogram.recordValue(Math.min(Math.max(0, Math.round(us)), latencyUsMax));
  }

  /** @param percent 0 to 100 @returns µs; 0 where nothing was recorded */
  at(percent: number): number {
    return this.#histogram.getValueAtPercentile(percent);
  }

  /** Everything recorded so far, which is then forgotten here. Undefined: nothing. */
  take(): string | undefined {
    if (this.count === 0) {
      return undefined;
    }
    const text = encodeIntoCompressedBase64(this.#histogram);
    this.#histogram.reset();
    return text;
  }

  /** Adds what `take` gave, of this process or another. */
  add(text: string | undefined): void {
    if (text !== undefined) {
      this.#histogram.add(decodeFromCompressedBase64(text) as JsHistogram);
    }
  }

  /** What reports show, in ms. */
  summary(): LatencySummary {
    const ms = (percent: number) => this.at(percent) / 1_000;
    return {
      count: this.count,
      p50Ms: ms(50),
      p90Ms: ms(90),
      p99Ms: ms(99),
      p999Ms: ms(99.9),
      maxMs: ms(100),
    };
  }

  /** Points of the curve by percentile, ever denser to its end, up to the one where a single value is left. */
  curve(): { percent: number; ms: number }[] {
    const points = [0, 25, 50, 75, 90, 95, 99, 99.5, 99.9, 99.95, 99.99, 99.995, 99.999, 99.9999];
    return points
      .filter((percent) => this.count * (1 - percent / 100) >= 1)
      .map((percent) => ({ percent, ms: this.at(percent) / 1_000 }));
  }
}

export interface LatencySummary {
  count: number;
  p50Ms: number;
  p90Ms: number;
  p99Ms: number;
  p999Ms: number;
  maxMs: number;
}
