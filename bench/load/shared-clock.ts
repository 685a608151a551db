/**
 * The clock that all processes of a run share, in whole µs since 1970: the wall clock as each process found it when it began,
 * and from there one that only goes forward. Processes of one machine agree to a fraction of a millisecond.
 */
export function nowUs(): number {
  return Math.round((performance.timeOrigin + performance.now()) * 1_000);
}
