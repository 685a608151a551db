/**
 * When a room may write again: gathers the entries of hot rooms, so that delivering keeps to its share of the process.
 *
 * A write to every reader of a room costs about the same whether it holds one entry or ten. How long writes take is
 * measured; from that and from how many would be made, one for each turn of the event loop in which entries come, follows
 * what delivering would take of the last second:
 *
 *     demand = Σ ms of a write × turns in it       (all rooms)
 *     k      = demand ÷ what delivering may take   so many turns must share one write
 *     rest   = k ÷ turns a second (of this room)   at most `roomLingerMsMax`
 *
 * After a write a room rests so long. What comes later than that goes out in its own turn: a room that is slower than its
 * rest never waits, however busy the process is. Below the share no room rests; gathering begins above it and ends below
 * half of it. It is time as it passes and not CPU time: where cores are short writes take longer, and rooms gather sooner.
 *
 * State: what the last second held, for the process and for each room.
 */

/** What delivering may take of one core; more, and rooms begin to gather. */
const deliveringShareMax = 0.05;
const deliveringMsMax = deliveringShareMax * 1_000;

/** Time as the rooms see it. Tests have one of their own. */
export interface Clock {
  /** In ms, as performance.now. */
  now(): number;
  /** Runs something once, in so many ms. */
  later(run: () => void, ms: number): void;
}

export const processClock: Clock = {
  now: () => performance.now(),
  later: (run, ms) => void setTimeout(run, ms),
};

/** The pace of all rooms of a process. */
export class DeliveryPace {
  readonly clock: Clock;
  readonly #roomLingerMsMax: number;
  readonly #demandMs = new LastSecond();
  #isGathering = false;

  /** @param roomLingerMsMax no room rests longer; 0: none does */
  constructor(roomLingerMsMax: number, clock: Clock = processClock) {
    this.#roomLingerMsMax = roomLingerMsMax;
    this.clock = clock;
  }

  /** A room has been written to. @param ms how long that took @param turns of the event loop that would each have been a write */
  wrote(ms: number, turns: number, now: number): void {
    this.#demandMs.add(ms * turns, now);
    const demandMs = this.#demandMs.sum(now);
    // Half of the share on the way down: a room at its edge would else begin and end with every message.
    this.#isGathering = demandMs > (this.#isGathering ? deliveringMsMax / 2 : deliveringMsMax);
  }

  /** How long a room rests after a write, in ms. @param turnsPerSecond in which entries have come to it, above 0 */
  restMs(turnsPerSecond: number, now: number): number {
    if (!this.#isGathering) {
      return 0;
    }
    const turnsAWrite = Math.max(1, this.#demandMs.sum(now) / deliveringMsMax);
    return Math.min(this.#roomLingerMsMax, (turnsAWrite / turnsPerSecond) * 1_000);
  }
}

/** When one room may write. */
export class RoomPace {
  readonly #process: DeliveryPace;
  readonly #turns = new LastSecond();
  #restsUntil = Number.NEGATIVE_INFINITY;

  constructor(process: DeliveryPace) {
    this.#process = process;
  }

  /** How long what has come waits, in ms; 0: it goes out now. */
  waitMs(now: number): number {
    return Math.max(0, this.#restsUntil - now);
  }

  /** The room has been written to. @param turns of the event loop in which the entries had come */
  wrote(began: number, ended: number, turns: number): void {
    this.#turns.add(turns, ended);
    this.#process.wrote(ended - began, turns, ended);
    this.#restsUntil = began + this.#process.restMs(this.#turns.sum(ended), ended);
  }
}

/** A sum that forgets: what was added a second ago counts for 1/e. A steady stream sums up to what comes in a second. */
class LastSecond {
  #sum = 0;
  #at = 0;

  add(amount: number, now: number): void {
    this.#sum = this.sum(now) + amount;
    this.#at = now;
  }

  sum(now: number): number {
    return this.#sum * Math.exp((this.#at - now) / 1_000);
  }
}
