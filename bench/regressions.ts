/**
 * Compares the benches' results with those of the last release, as ratios: to the floor of the same run, so that another
 * machine, or a busy one, makes no difference to speak of. Memory of an idle subscriber is compared as it is.
 */
import type { PeersReport } from "./peers/peers-report.ts";

/** The part of bench/results/fan-out.json that is compared. */
export interface FanOutReport {
  results: readonly { way: string; timesFloor: number }[];
}

export interface Results {
  fanOut: FanOutReport | undefined;
  peers: PeersReport | undefined;
}

/** What is worse by more than this is said: below is what runs differ by. */
const toleratedShare = 0.1;

/** Only what is ours gets worse by our doing. */
const ours = /^gateway/;

/** @returns a line for each figure that got worse by over 10 % */
export function regressions(before: Results, after: Results): string[] {
  const now = new Map(figures(after));
  return figures(before).flatMap(([name, was]) => {
    const is = now.get(name);
    if (is === undefined || is <= was * (1 + toleratedShare)) {
      return [];
    }
    return [`${name}: ${was.toFixed(2)} → ${is.toFixed(2)} (+${((is / was - 1) * 100).toFixed(0)} %)`];
  });
}

function figures({ fanOut, peers }: Results): [name: string, figure: number][] {
  const found: [string, number][] = [];
  for (const { way, timesFloor } of fanOut?.results ?? []) {
    if (way !== "floor") {
      found.push([`fan-out, ${way}, times the floor`, timesFloor]);
    }
  }
  for (const [scenario, { rows }] of Object.entries(peers?.scenarios ?? {})) {
    const cpuUs = (peer: string) => {
      const row = rows.find((each) => each.peer === peer);
      return row && "cpuUs" in row ? row.cpuUs : undefined;
    };
    const floor = cpuUs("floor");
    for (const { peer } of rows.filter((row) => ours.test(row.peer))) {
      const own = cpuUs(peer);
      if (floor !== undefined && own !== undefined) {
        found.push([`${scenario}, ${peer}, times the floor`, own / floor]);
      }
    }
  }
  for (const row of peers?.idle?.rows ?? []) {
    if (ours.test(row.peer) && "kB" in row) {
      found.push([`idle, ${row.peer}, kB`, row.kB]);
    }
  }
  return found;
}
