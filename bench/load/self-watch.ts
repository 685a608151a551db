/** Watches a process of the load tool itself: how late its event loop is, and how much of a core it uses. Owns a timer. */

/** As often as the loop is looked at. */
const everyMs = 20;

/** What one process says of itself for an interval. */
export interface SelfReport {
  /** The longest that the event loop was late. */
  loopLagMaxMs: number;
  /** CPU time over time: 1 is a whole core. */
  cpu: number;
}

export class SelfWatch {
  #lagMaxMs = 0;
  #expectedMs = performance.now() + everyMs;
  #cpuUs = cpuUs();
  #sinceMs = performance.now();
  readonly #timer = setInterval(() => this.#tick(), everyMs);

  /** Since the last call. */
  take(): SelfReport {
    const now = performance.now();
    const spentUs = cpuUs();
    const report = {
      loopLagMaxMs: Math.max(this.#lagMaxMs, now - this.#expectedMs, 0),
      cpu: (spentUs - this.#cpuUs) / 1_000 / Math.max(1, now - this.#sinceMs),
    };
    this.#lagMaxMs = 0;
    this.#cpuUs = spentUs;
    this.#sinceMs = now;
    return report;
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #tick(): void {
    const now = performance.now();
    this.#lagMaxMs = Math.max(this.#lagMaxMs, now - this.#expectedMs);
    this.#expectedMs = now + everyMs;
  }
}

function cpuUs(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}
