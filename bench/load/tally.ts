/** Counts by reason, with a bound on the reasons. */
const reasonsMax = 20;

export class Tally {
  readonly #counts = new Map<string, number>();

  /** More different reasons than 20 are counted as "other". */
  add(reason: string, times = 1): void {
    const key = this.#counts.has(reason) || this.#counts.size < reasonsMax ? reason : "other";
    this.#counts.set(key, (this.#counts.get(key) ?? 0) + times);
  }

  addAll(counts: Readonly<Record<string, number>>): void {
    for (const [reason, times] of Object.entries(counts)) {
      this.add(reason, times);
    }
  }

  get total(): number {
    return [...this.#counts.values()].reduce((sum, times) => sum + times, 0);
  }

  /** The most frequent first. */
  toRecord(): Record<string, number> {
    return Object.fromEntries([...this.#counts].sort(([, a], [, b]) => b - a));
  }
}
