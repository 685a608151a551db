/** For tests: time that passes when told. */
import type { Clock } from "./delivery-pace.ts";

export class FakeClock implements Clock {
  readonly #lookMs: number;
  readonly #timers: { at: number; run: () => void }[] = [];
  #now = 0;

  /** @param lookMs passes with every look at the clock, so that all that is timed takes that long */
  constructor(lookMs = 0) {
    this.#lookMs = lookMs;
  }

  now(): number {
    const now = this.#now;
    this.#now += this.#lookMs;
    return now;
  }

  later(run: () => void, ms: number): void {
    this.#timers.push({ at: this.#now + ms, run });
  }

  /** Time that is spent working: no timer runs meanwhile. */
  spend(ms: number): void {
    this.#now += ms;
  }

  /** Time that passes until `at`, with what is to run in it. */
  runUntil(at: number): void {
    for (;;) {
      const next = this.#timers.toSorted((one, other) => one.at - other.at)[0];
      if (!next || next.at > at) {
        break;
      }
      this.#timers.splice(this.#timers.indexOf(next), 1);
      this.#now = Math.max(this.#now, next.at);
      next.run();
    }
    this.#now = Math.max(this.#now, at);
  }
}
