/**
 * A clock for tests: time stands still until it is told to go on. Owns the timers set on it.
 */
import type { Clock } from "./clock.ts";

export class FakeClock implements Clock {
  #now = 0;
  readonly #timers = new Set<{ at: number; callback: () => void }>();

  now(): number {
    return this.#now;
  }

  after(delayMs: number, callback: () => void): () => void {
    const timer = { at: this.#now + delayMs, callback };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  /** Timers that have not fired. */
  get waiting(): number {
    return this.#timers.size;
  }

  /** Goes on by `ms` and fires what becomes due, in its order. */
  advance(ms: number): void {
    const until = this.#now + ms;
    for (;;) {
      const due = [...this.#timers].filter(({ at }) => at <= until).sort((a, b) => a.at - b.at)[0];
      if (!due) {
        break;
      }
      this.#timers.delete(due);
      this.#now = due.at;
      due.callback();
    }
    this.#now = until;
  }
}

/** Gives way until the condition holds. Fails after `patienceMs` of real time: by then it never will. */
export async function until(condition: () => boolean, what = condition.toString(), patienceMs = 3_000): Promise<void> {
  for (const begun = performance.now(); performance.now() - begun < patienceMs; ) {
    if (condition()) {
      return;
    }
    await new Promise((resolve) => setImmediate(resolve));
  }
  throw new Error(`never came true: ${what}`);
}
