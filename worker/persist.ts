/**
 * The persistence worker: brings every entry of the room log into the history, or, where that can never be, to the dead
 * letters. Only then is the entry acknowledged.
 *
 *     take ─► decode ─► history.write, room by room ─► ack
 *               │ not an event        │ fails again and again, while others succeed
 *               └──────► dead letters ◄┘
 *
 * It knows the seams alone, so it runs against every log and every history. It owns no state but the batch in hand and the
 * last entry it saw written. Being killed at any point is harmless: what was not acknowledged comes again, and writing
 * twice changes nothing.
 */
import { type Backoff, backoffDelayMs, pause } from "../lib/backoff.ts";
import type { DeadLetters } from "../storage/dead-letters/dead-letters.ts";
import { type HistoryStore, HistoryUnavailableError } from "../storage/history/history-store.ts";
import { decodeEntry } from "../storage/log/log-event.ts";
import type { Delivery, LogEntry, RoomLog } from "../storage/log/room-log.ts";
import { ConsumerLoop, type ConsumerLoopObserver } from "./consumer-loop.ts";

/** Told what the worker does. Synchronous; must not throw. */
export interface PersistObserver extends ConsumerLoopObserver {
  /** The history has these; they may have been there before. */
  written?(entries: number): void;
  /** This one went to the dead letters. */
  deadLettered?(delivery: Delivery, error: unknown): void;
}

export interface PersistWorkerOptions {
  log: Pick<RoomLog, "consumer">;
  history: Pick<HistoryStore, "write">;
  deadLetters: Pick<DeadLetters, "add">;
  /** Unique among the persistence workers of the log. Default "persist". */
  name?: string;
  /** The most entries in hand at once. Default 500. */
  batchEntriesMax?: number;
  /** How often an entry is written by itself before it counts as poison. Default 3. */
  poisonTriesMax?: number;
  /** The pauses after failures in a row, of the loop and between the tries above. Default: 100 ms, doubling to 10 s. */
  backoff?: Backoff;
  observer?: PersistObserver;
  /** For tests. */
  pause?: (ms: number, signal: AbortSignal) => Promise<void>;
  random?: () => number;
}

/** An entry that the history refused, and why. */
interface Suspect {
  delivery: Delivery;
  error: unknown;
}

export class PersistWorker {
  readonly #options: PersistWorkerOptions & { poisonTriesMax: number; backoff: Backoff };
  readonly #loop: ConsumerLoop;
  /** Writing this again must succeed, so that it tells a history that refuses everything from one that refuses an entry. */
  #lastWritten: LogEntry | undefined;

  constructor(options: PersistWorkerOptions) {
    this.#options = { poisonTriesMax: 3, backoff: { baseMs: 100, maxMs: 10_000 }, ...options };
    const { log, name = "persist", batchEntriesMax = 500, observer, random } = this.#options;
    this.#loop = new ConsumerLoop({
      log,
      group: "persist",
      name,
      batchEntriesMax,
      backoff: this.#options.backoff,
      handle: (deliveries, signal) => this.#store(deliveries, signal),
      ...(observer && { observer }),
      ...(options.pause && { pause: options.pause }),
      ...(random && { random }),
    });
  }

  start(): void {
    this.#loop.start();
  }

  /** Finishes the batch in hand; what it cannot store at once stays in the log. Never rejects. */
  stop(): Promise<void> {
    return this.#loop.stop();
  }

  /** Rejects where the history is out of reach: then all come again. */
  async #store(deliveries: readonly Delivery[], signal: AbortSignal): Promise<void> {
    const good: Delivery[] = [];
    for (const delivery of deliveries) {
      try {
        decodeEntry(delivery.entry);
        good.push(delivery);
      } catch (error) {
        await this.#bury({ delivery, error });
      }
    }
    // Room by room: that is how a history is laid out, and halving a batch then parts rooms first.
    const byRoom = [...Map.groupBy(good, ({ entry }) => entry.roomId).values()].flat();
    const suspects: Suspect[] = [];
    await this.#write(byRoom, suspects);
    // Last, so that they keep nobody waiting.
    await this.#judge(suspects, signal);
  }

  /** Writes what can be written; halves what fails until the entries that are at fault stand alone. */
  async #write(deliveries: readonly Delivery[], suspects: Suspect[]): Promise<void> {
    const [first] = deliveries;
    if (!first) {
      return;
    }
    try {
      await this.#tryWrite(deliveries.map(({ entry }) => entry));
    } catch (error) {
      if (error instanceof HistoryUnavailableError) {
        throw error;
      }
      if (deliveries.length === 1) {
        suspects.push({ delivery: first, error });
        return;
      }
      const middle = deliveries.length >> 1;
      await this.#write(deliveries.slice(0, middle), suspects);
      await this.#write(deliveries.slice(middle), suspects);
    }
  }

  /**
   * Finds out which entries are poison: they fail alone, several times, while another entry can be written. Where nothing
   * can be written the fault is the history's, and no entry is given up for it.
   */
  async #judge(suspects: readonly Suspect[], signal: AbortSignal): Promise<void> {
    const { poisonTriesMax, backoff, random } = this.#options;
    let left = suspects;
    for (let tries = 1; tries < poisonTriesMax; tries += 1) {
      await this.#checkHistory(left);
      if (left.length > 0) {
        await (this.#options.pause ?? pause)(backoffDelayMs(tries, backoff, random), signal);
      }
      if (left[0] && signal.aborted) {
        throw left[0].error;
      }
      const failing: Suspect[] = [];
      for (const { delivery } of left) {
        await this.#write([delivery], failing);
      }
      left = failing;
    }
    await this.#checkHistory(left);
    for (const suspect of left) {
      await this.#bury(suspect);
    }
  }

  /** Throws where no entry can be written, or none is known that could: a room that stays silent may wait for another's. */
  async #checkHistory([suspect]: readonly Suspect[]): Promise<void> {
    if (!suspect) {
      return;
    }
    if (!this.#lastWritten) {
      throw suspect.error;
    }
    await this.#options.history.write([this.#lastWritten]);
  }

  async #tryWrite(entries: readonly LogEntry[]): Promise<void> {
    await this.#options.history.write(entries);
    this.#lastWritten = entries.at(-1) ?? this.#lastWritten;
    this.#options.observer?.written?.(entries.length);
  }

  async #bury({ delivery, error }: Suspect): Promise<void> {
    await this.#options.deadLetters.add(delivery, error);
    this.#options.observer?.deadLettered?.(delivery, error);
  }
}
