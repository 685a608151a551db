import { expect, test } from "bun:test";
import { Pace } from "./pace.ts";

test("bytes are paid for one after the other, and time without any earns nothing", () => {
  const pace = new Pace(1_000);
  expect(pace.take(500, 0)).toBe(500);
  expect(pace.take(500, 0)).toBe(1_000);
  expect(pace.take(100, 900)).toBe(200);
  expect(pace.take(100, 60_000)).toBe(100);
});
