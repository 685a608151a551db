/** Cuts time into the same seconds in every process of a run. */
import { nowUs } from "./shared-clock.ts";

/**
 * Calls at the end of each second, counted from `fromUs` (negative before it); a process that is late leaves seconds out.
 * @returns what stops it; the last, unfinished second is reported then
 */
export function everySecond(fromUs: number, report: (second: number) => void): () => void {
  const secondNow = () => Math.floor((nowUs() - fromUs) / 1_000_000);
  let second = secondNow();
  let timer: Timer;
  const schedule = () => {
    timer = setTimeout(
      () => {
        // Timers may come a moment early.
        if (secondNow() > second) {
          report(second);
          second = secondNow();
        }
        schedule();
      },
      Math.max(1, (fromUs + (second + 1) * 1_000_000 - nowUs()) / 1_000),
    );
  };
  schedule();
  return () => {
    clearTimeout(timer);
    report(second);
  };
}
