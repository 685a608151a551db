/**
 * Random numbers that are the same in every run with the same seed (mulberry32, public domain, by Tommy Ettinger). Good
 * enough for load and tests; not for secrets.
 * @param seed any whole number
 * @returns answers [0, 1), as Math.random does
 */
export function seededRandom(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
