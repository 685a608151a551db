/** Closed-loop load: so many calls in flight, each followed by the next as soon as it is answered. */
import { quantile } from "./quantile.ts";

export interface ClosedLoopResult {
  calls: number;
  seconds: number;
  /** Of the time from a call to its answer. */
  p50Ms: number;
  p99Ms: number;
}

/** Calls for a time, then waits for the last answers. Rejects with the first call that does. */
export async function closedLoop(
  inFlight: number,
  seconds: number,
  call: () => Promise<unknown>,
): Promise<ClosedLoopResult> {
  const tookMs: number[] = [];
  const startedMs = performance.now();
  const endMs = startedMs + seconds * 1_000;
  const lane = async () => {
    for (let beginMs = startedMs; beginMs < endMs; ) {
      await call();
      const nowMs = performance.now();
      tookMs.push(nowMs - beginMs);
      beginMs = nowMs;
    }
  };
  await Promise.all(Array.from({ length: inFlight }, lane));
  return {
    calls: tookMs.length,
    seconds: (performance.now() - startedMs) / 1_000,
    p50Ms: quantile(tookMs, 0.5),
    p99Ms: quantile(tookMs, 0.99),
  };
}
