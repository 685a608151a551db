/** Medians and percentiles of what was measured. */

/** NaN where there are none. */
export function median(numbers: readonly number[]): number {
  const sorted = Float64Array.from(numbers).sort();
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

/**
 * The least of the numbers that so large a share of them does not exceed (the nearest rank); NaN where there are none.
 * @param share 0.99 for p99
 */
export function quantile(numbers: readonly number[], share: number): number {
  const sorted = Float64Array.from(numbers).sort();
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN;
}

/** For results in JSON, which has no NaN. */
export function quantileOrNull(numbers: readonly number[], share: number): number | null {
  return numbers.length > 0 ? quantile(numbers, share) : null;
}
