/** The pace of a slow reader: what it takes must be paid for in time, one after the other. Owns its debt. */
export class Pace {
  readonly #bytesPerSecond: number;
  #paidMs = 0;

  constructor(bytesPerSecond: number) {
    this.#bytesPerSecond = bytesPerSecond;
  }

  /** @param nowMs on any clock, always the same @returns when these bytes and all before are paid for, in ms from now */
  take(bytes: number, nowMs: number): number {
    this.#paidMs = Math.max(this.#paidMs, nowMs) + (bytes * 1_000) / this.#bytesPerSecond;
    return this.#paidMs - nowMs;
  }
}
