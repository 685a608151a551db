/**
 * Time as the client sees it, in one place so that tests can stand in for it. Owns no state.
 */

/** Durations only: `now` rises steadily and says nothing about the time of day. */
export interface Clock {
  /** Milliseconds since some fixed moment. */
  now(): number;
  /** Calls back once after `delayMs`. @returns cancels it; harmless after it has fired */
  after(delayMs: number, callback: () => void): () => void;
}

/** Longest delay that a timer takes; what is longer would fire at once (WHATWG HTML, "timers": a signed 32-bit number). */
const timerDelayMaxMs = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: () => performance.now(),
  after(delayMs, callback) {
    const timer = setTimeout(callback, Math.min(delayMs, timerDelayMaxMs));
    return () => clearTimeout(timer);
  },
};
