/** The numbers that reports are made of. */
import { expect, test } from "bun:test";
import { median, quantile } from "./quantile.ts";

test("the median is the middle, or lies between the two in the middle", () => {
  expect(median([3, 100, 1])).toBe(3);
  expect(median([10, 1, 2, 3])).toBe(2.5);
  expect(median([])).toBeNaN();
});

test("a quantile is one of the numbers: the least that its share does not exceed", () => {
  const oneToHundred = Array.from({ length: 100 }, (_, n) => 100 - n);
  expect([0, 0.5, 0.99, 1].map((share) => quantile(oneToHundred, share))).toEqual([1, 50, 99, 100]);
  expect(quantile([7], 0.99)).toBe(7);
  expect(quantile([], 0.5)).toBeNaN();
});
