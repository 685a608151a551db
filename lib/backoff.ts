/**
 * How long to wait before trying again: exponential backoff with full jitter, and the wait itself.
 *
 * Full jitter (a delay anywhere between 0 and the cap) spreads callers that failed together best:
 * https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
 */

export interface Backoff {
  /** The greatest delay of the first attempt; doubles with each further one. */
  baseMs: number;
  /** No delay is greater. */
  maxMs: number;
}

/**
 * A delay between 0 and min(maxMs, baseMs · 2^(attempt-1)) ms.
 * @param attempt how many tries have failed in a row, from 1
 * @param random answers [0, 1), as Math.random does
 */
export function backoffDelayMs(
  attempt: number,
  { baseMs, maxMs }: Backoff,
  random: () => number = Math.random,
): number {
  return random() * Math.min(maxMs, baseMs * 2 ** Math.max(0, attempt - 1));
}

/** Waits; resolves early, and never rejects, once `signal` aborts. */
export function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) {
      resolve();
      return;
    }
    const done = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal?.addEventListener("abort", done, { once: true });
  });
}
