/**
 * What became of the feeder's messages: counts, refusals by reason, latencies; and the lines that show them. Owns the
 * counts of one run.
 */
import { createHistogram } from "node:perf_hooks";

/** More different reasons are counted as "other". */
const reasonsMax = 20;
/** The timetable counts as missed from here on; below it is the jitter of timers. */
const behindShownMs = 250;

export class FeedReport {
  sent = 0;
  accepted = 0;
  /** Accepted, but an earlier try had got through. */
  duplicates = 0;
  /** Sent and never accepted. */
  failed = 0;
  /** How late the message is that is due next. */
  behindMs = 0;
  behindMaxMs = 0;
  /** Every refused try. */
  readonly refusals = new Map<string, number>();
  /** The last refusal of each message that failed. */
  readonly failures = new Map<string, number>();
  /** µs, from when a message was due to when it was accepted. Fixed size. */
  readonly #latency = createHistogram();

  get inFlight(): number {
    return this.sent - this.accepted - this.failed;
  }

  countAccepted(latencyMs: number, duplicate: boolean): void {
    this.accepted += 1;
    this.duplicates += duplicate ? 1 : 0;
    this.#latency.record(Math.max(1, Math.round(latencyMs * 1_000)));
  }

  /** A try was refused; the message may be sent again. */
  countRefusal(reason: string): void {
    count(this.refusals, reason);
  }

  /** The message is given up. */
  countFailure(reason: string): void {
    this.failed += 1;
    count(this.failures, reason);
  }

  countBehind(behindMs: number): void {
    this.behindMs = behindMs;
    this.behindMaxMs = Math.max(this.behindMaxMs, behindMs);
  }

  /** One line for the moment. @param elapsedMs since the start of the sending */
  progressLine(elapsedMs: number): string {
    return [
      `${(elapsedMs / 1_000).toFixed(0)} s`,
      // Early in the line: a narrow terminal cuts its end.
      ...(this.behindMs >= behindShownMs
        ? [`cannot keep the rate, ${(this.behindMs / 1_000).toFixed(1)} s behind`]
        : []),
      `sent ${this.sent}`,
      `accepted ${this.accepted}`,
      `refused ${reasons(this.refusals)}`,
      ...(this.failed > 0 ? [`failed ${this.failed}`] : []),
      `${this.#rate(elapsedMs)}/s`,
      this.#latencies(),
    ].join("  ");
  }

  /** Several lines for the end. */
  summary(elapsedMs: number, rateWanted: number): string {
    const kept = this.behindMaxMs < behindShownMs;
    return [
      `sent      ${this.sent} in ${(elapsedMs / 1_000).toFixed(1)} s, ${this.#rate(elapsedMs)} accepted a second of ${rateWanted} wanted`,
      `accepted  ${this.accepted}${this.duplicates > 0 ? `, ${this.duplicates} of them by an earlier try` : ""}`,
      `refused   ${reasons(this.refusals)}${this.refusals.size > 0 ? " tries" : ""}`,
      `failed    ${reasons(this.failures)}`,
      `latency   ${this.#latencies()}, from when a message was due`,
      ...(kept
        ? []
        : [`The rate could not be kept: up to ${(this.behindMaxMs / 1_000).toFixed(1)} s behind the timetable.`]),
    ].join("\n");
  }

  #rate(elapsedMs: number): string {
    return elapsedMs > 0 ? ((this.accepted * 1_000) / elapsedMs).toFixed(1) : "0.0";
  }

  #latencies(): string {
    const ms = (percent: number) => (this.#latency.percentile(percent) / 1_000).toFixed(1);
    return this.accepted > 0 ? `p50 ${ms(50)} ms  p99 ${ms(99)} ms` : "p50 -  p99 -";
  }
}

function count(counts: Map<string, number>, reason: string): void {
  const key = counts.has(reason) || counts.size < reasonsMax ? reason : "other";
  counts.set(key, (counts.get(key) ?? 0) + 1);
}

/** "0", or "12 (LOG_FULL 10, unavailable 2)". */
function reasons(counts: ReadonlyMap<string, number>): string {
  if (counts.size === 0) {
    return "0";
  }
  const total = [...counts.values()].reduce((sum, one) => sum + one, 0);
  const parts = [...counts].sort(([, a], [, b]) => b - a).map(([reason, times]) => `${reason} ${times}`);
  return `${total} (${parts.join(", ")})`;
}
