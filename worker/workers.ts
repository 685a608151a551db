/**
 * The workers of one process: persistence, hot words, and letting go of what is stored.
 *
 * Embedded, the gateway's process starts them; distributed, processes of their own do (worker/main.ts), as many as there
 * shall be: they share the work.
 *
 * State: the two consumer loops and the timer of the trimming.
 */
import type { Logger } from "pino";
import type { Storage } from "../storage/storage.ts";
import type { ConsumerLoop } from "./consumer-loop.ts";
import { hotWordsLoop } from "./hot-words/count-hot-words.ts";
import { type PersistObserver, PersistWorker } from "./persist.ts";

/** Told of what counts. Synchronous; must not throw. */
export interface WorkersObserver {
  /** The history has so many entries more. */
  written(entries: number): void;
  /** One could not be stored. */
  deadLettered(): void;
}

const trimIntervalMs = 5_000;

export class Workers {
  readonly #storage: Storage;
  readonly #logger: Logger;
  readonly #persist: PersistWorker;
  readonly #hotWords: ConsumerLoop;
  #trimTimer: ReturnType<typeof setInterval> | undefined;
  #trimming: Promise<void> | undefined;

  /** @param name unique among the processes that share the storage, and the same after a restart if that can be */
  constructor(storage: Storage, name: string, logger: Logger, observer: WorkersObserver) {
    this.#storage = storage;
    this.#logger = logger;
    const { log, history, deadLetters, hotWords } = storage;
    const failed: PersistObserver["failed"] = (step, error, pauseMs) =>
      logger.warn({ err: error, step, pauseMs }, "a worker's step failed");
    this.#persist = new PersistWorker({
      log,
      history,
      deadLetters,
      name,
      observer: {
        failed,
        written: (entries) => observer.written(entries),
        deadLettered: ({ entry }, error) => {
          observer.deadLettered();
          logger.error({ err: error, roomId: entry.roomId }, "an entry cannot be stored: it is kept as a dead letter");
        },
      },
    });
    // What is not an event is skipped here; persist says so and keeps it.
    this.#hotWords = hotWordsLoop({ log, hotWords, name, onPoison: () => {}, observer: { failed } });
  }

  start(): void {
    this.#persist.start();
    this.#hotWords.start();
    if (this.#storage.trim) {
      this.#trimTimer = setInterval(() => {
        this.#trimming ??= this.#trim().finally(() => {
          this.#trimming = undefined;
        });
      }, trimIntervalMs);
    }
  }

  /** Finishes what is in hand; the rest stays in the log for others, or for the next start. */
  async stop(): Promise<void> {
    clearInterval(this.#trimTimer);
    await Promise.all([this.#persist.stop(), this.#hotWords.stop(), this.#trimming]);
  }

  async #trim(): Promise<void> {
    try {
      await this.#storage.trim?.();
    } catch (error) {
      this.#logger.warn({ err: error }, "what is stored could not be let go; the next try is in seconds");
    }
  }
}
