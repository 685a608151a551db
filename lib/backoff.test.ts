import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { backoffDelayMs, pause } from "./backoff.ts";

describe("the delay before another try", () => {
  const backoff = { baseMs: 100, maxMs: 1_000 };
  const most = () => 1;

  test("doubles with each failure up to its greatest", () => {
    expect([1, 2, 3, 4, 5, 6].map((attempt) => backoffDelayMs(attempt, backoff, most))).toEqual([
      100, 200, 400, 800, 1_000, 1_000,
    ]);
  });

  test("is anywhere between nothing and that", () => {
    expect(backoffDelayMs(3, backoff, () => 0)).toBe(0);
    expect(backoffDelayMs(3, backoff, () => 0.25)).toBe(100);
  });

  test("stays within its bound however often something fails", () => {
    fc.assert(
      fc.property(fc.nat(), fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), (attempt, random) => {
        const delayMs = backoffDelayMs(attempt, backoff, () => random);
        expect(delayMs).toBeGreaterThanOrEqual(0);
        expect(delayMs).toBeLessThanOrEqual(1_000);
      }),
    );
  });
});

describe("a pause", () => {
  test("ends by itself", async () => {
    await pause(1);
  });

  test("ends when its signal aborts, or is not begun", async () => {
    const abort = new AbortController();
    const paused = pause(2 ** 31 - 1, abort.signal);
    abort.abort();
    await paused;
    await pause(2 ** 31 - 1, abort.signal);
  });
});
