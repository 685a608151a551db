/**
 * A row of the fault table in docs/guarantees.md: one fault on a deployment under load, what must hold through it, and the
 * figures that the run measured. `bun run test:faults -- --table` runs the rows and writes what they found.
 */

export interface FaultRow {
  /** Names the row for `--rows`: "redis-stalled-disk". */
  readonly name: string;
  /** What happens, for the page: "SIGKILL of Redis while its disk stalls, everysec". */
  readonly fault: string;
  /** What must hold, for the page; `run` throws where it does not. */
  readonly holds: string;
  /**
   * Starts what it needs, does the harm, checks, and stops all of it.
   * @returns what was measured, for the page, in the order of reading: [["acknowledged and lost", "0"], ["back, median", "310 ms"]]
   * @throws {Error} an invariant broke
   */
  run(context: FaultRowContext): Promise<readonly (readonly [figure: string, value: string])[]>;
}

export interface FaultRowContext {
  /** Decides schedules and what people say. */
  readonly seed: number;
  /** For people who watch. */
  say(line: string): void;
}
