/** A burst and a rate: how often something may happen. State: the tokens left, and when time last gave some. */
export class TokenBucket {
  readonly #burst: number;
  readonly #ratePerMs: number;
  #tokens: number;
  #refilledAt = performance.now();

  /** @param ratePerSecond tokens that come back, up to `burst` */
  constructor(burst: number, ratePerSecond: number) {
    this.#burst = burst;
    this.#ratePerMs = ratePerSecond / 1_000;
    this.#tokens = burst;
  }

  /** @returns false: there is none left */
  take(): boolean {
    // The clock is asked only where it matters.
    if (this.#tokens < 1) {
      const now = performance.now();
      this.add((now - this.#refilledAt) * this.#ratePerMs);
      this.#refilledAt = now;
    }
    if (this.#tokens < 1) {
      return false;
    }
    this.#tokens--;
    return true;
  }

  /** Gives tokens beside those that come with time. */
  add(tokens: number): void {
    this.#tokens = Math.min(this.#burst, this.#tokens + tokens);
  }
}
