import { expect, test } from "bun:test";
import { Latency } from "./latency.ts";

test("histograms of several processes add up to the one that had recorded everything", () => {
  const whole = new Latency();
  const sum = new Latency();
  for (let process = 0; process < 3; process++) {
    const part = new Latency();
    for (let value = 1; value <= 1_000; value++) {
      const us = value * 37 * (process + 1);
      part.record(us);
      whole.record(us);
    }
    sum.add(part.take());
    expect(part.count).toBe(0);
    expect(part.take()).toBeUndefined();
  }
  expect(sum.summary()).toEqual(whole.summary());
  expect(sum.count).toBe(3_000);
  expect(sum.curve()).toEqual(whole.curve());
});

test("percentiles have three digits, and what is out of range counts at its end", () => {
  const latency = new Latency();
  for (let ms = 1; ms <= 1_000; ms++) {
    latency.record(ms * 1_000);
  }
  const { p50Ms, p99Ms } = latency.summary();
  expect(Math.abs(p50Ms - 500)).toBeLessThanOrEqual(0.5);
  expect(Math.abs(p99Ms - 990)).toBeLessThanOrEqual(1);
  latency.record(-5);
  latency.record(1e12);
  expect(latency.count).toBe(1_002);
  expect(Math.abs(latency.summary().maxMs - 3_600_000)).toBeLessThanOrEqual(3_600);
});

test("the curve ends where a single value is left", () => {
  const latency = new Latency();
  for (let value = 0; value < 100; value++) {
    latency.record(value);
  }
  expect(latency.curve().map(({ percent }) => percent)).toEqual([0, 25, 50, 75, 90, 95, 99]);
});
