/** What the short selections on every deployment share: the seed of a run, and what must hold after it. */
import { expect } from "bun:test";
import type { FaultRunResult } from "./driver/fault-run.ts";
import { report } from "./driver/report.ts";

/** A new one each time, printed; FAULT_SEED repeats a run's schedule. */
export function seedOfRun(): number {
  const seed = Number(process.env.FAULT_SEED ?? Math.floor(Math.random() * 1e9));
  console.log(`seed ${seed}; the same schedule again: FAULT_SEED=${seed}`);
  return seed;
}

/** Prints the run's figures and checks that no invariant broke, nobody was told of a loss and nobody was sent back to the start. */
export function expectNothingBroken(result: FaultRunResult): void {
  console.log(report(result));
  expect(result.violations).toEqual([]);
  const { figures } = result;
  expect(figures).toMatchObject({ lost: 0, doubled: 0, outOfOrder: 0, silentlyMissed: 0, toldLostButStored: 0 });
  expect(figures.gaps).toMatchObject({ lost: 0, expired: 0, unspecified: 0 });
  expect(figures.resets).toBe(0);
  expect(result.storeLagMs).toBeDefined();
  expect(figures.deliveries).toBeGreaterThan(figures.acked);
}
