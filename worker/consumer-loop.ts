/**
 * The loop of every consumer of the room log: take, handle, acknowledge; release and wait where handling failed.
 *
 * It stands between the log and what a group does with an entry (`persist.ts` writes history, `hot-words/` counts words).
 * It knows only the seam, so the same loop runs against every log. It owns its membership in the group and at most one
 * batch of `batchEntriesMax` entries. An entry is acknowledged after `handle` resolved for it, so whatever happens to
 * this process, the entry comes again; `handle` must not mind that.
 */
import { type Backoff, backoffDelayMs, pause } from "../lib/backoff.ts";
import type { ConsumerGroup, Delivery, LogConsumer, RoomLog } from "../storage/log/room-log.ts";

/** What the loop was doing. */
export type ConsumerLoopStep = "join" | "take" | "handle" | "ack" | "release" | "leave";

/** Told what the loop does. Synchronous; must not throw. */
export interface ConsumerLoopObserver {
  /** These were handled and acknowledged. */
  handled?(deliveries: readonly Delivery[], tookMs: number): void;
  /** A step failed; the loop tries again in `pauseMs`, or, where that is undefined, goes on without. */
  failed?(step: ConsumerLoopStep, error: unknown, pauseMs: number | undefined): void;
}

export interface ConsumerLoopOptions {
  log: Pick<RoomLog, "consumer">;
  group: ConsumerGroup;
  /** Unique in the group. */
  name: string;
  /** The most entries in hand at once; at least 1. */
  batchEntriesMax: number;
  /**
   * Does the group's work for a batch: entries of one room in order, rooms mixed. Resolves: all are acknowledged.
   * Rejects: all are released and come again after a pause, so reject only for what can pass (a store out of reach),
   * never for an entry that will always fail.
   * @param signal aborts when the loop is to stop: finish what is short, reject rather than wait
   */
  handle: (deliveries: readonly Delivery[], signal: AbortSignal) => Promise<void>;
  /** The pauses after failures in a row. Default: 100 ms, doubling to 10 s. */
  backoff?: Backoff;
  observer?: ConsumerLoopObserver;
  /** For tests. */
  pause?: (ms: number, signal: AbortSignal) => Promise<void>;
  random?: () => number;
  now?: () => number;
}

const backoffDefault: Backoff = { baseMs: 100, maxMs: 10_000 };

export class ConsumerLoop {
  readonly #options: ConsumerLoopOptions;
  readonly #stopping = new AbortController();
  #running: Promise<void> | undefined;
  /** Failures since something last went well; the pauses grow with it. */
  #failures = 0;

  constructor(options: ConsumerLoopOptions) {
    this.#options = options;
  }

  /** Begins. A second call does nothing; a stopped loop does not start again. */
  start(): void {
    this.#running ??= this.#run();
  }

  /** Finishes the batch in hand, leaves the group and resolves. Never rejects; what failed was told to the observer. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { log, group, name, batchEntriesMax } = this.#options;
    const { signal } = this.#stopping;
    const consumer = await this.#retry("join", () => log.consumer(group, name));
    if (!consumer) {
      return;
    }
    while (!signal.aborted) {
      const deliveries = await this.#retry("take", () => consumer.take(batchEntriesMax, signal));
      // A take that ends with entries although the loop stops is handled still: they are in hand.
      if (deliveries && deliveries.length > 0) {
        await this.#work(consumer, deliveries);
      }
    }
    await this.#once("leave", () => consumer.close());
  }

  async #work(consumer: LogConsumer, deliveries: readonly Delivery[]): Promise<void> {
    const { handle, observer } = this.#options;
    const now = this.#options.now ?? performance.now.bind(performance);
    const startedMs = now();
    try {
      await handle(deliveries, this.#stopping.signal);
    } catch (error) {
      // Released before the pause, so that another member can have them meanwhile.
      await this.#once("release", () => consumer.release(deliveries));
      await this.#fail("handle", error);
      return;
    }
    if ((await this.#retry("ack", () => consumer.ack(deliveries).then(() => true))) !== undefined) {
      observer?.handled?.(deliveries, now() - startedMs);
    }
  }

  /** Repeats a step until it succeeds. Undefined: the loop stops. Tries at least once even then. */
  async #retry<T>(step: ConsumerLoopStep, attempt: () => Promise<T>): Promise<T | undefined> {
    for (;;) {
      try {
        const result = await attempt();
        // Only a whole round counts as going well, or a handler that always fails would never back off.
        if (step === "ack") {
          this.#failures = 0;
        }
        return result;
      } catch (error) {
        await this.#fail(step, error);
        if (this.#stopping.signal.aborted) {
          return undefined;
        }
      }
    }
  }

  /** Tries a step that the log makes good by itself where it fails: what a member held goes back when it is gone. */
  async #once(step: ConsumerLoopStep, attempt: () => Promise<void>): Promise<void> {
    try {
      await attempt();
    } catch (error) {
      this.#options.observer?.failed?.(step, error, undefined);
    }
  }

  async #fail(step: ConsumerLoopStep, error: unknown): Promise<void> {
    const { backoff = backoffDefault, observer, random } = this.#options;
    this.#failures += 1;
    const pauseMs = backoffDelayMs(this.#failures, backoff, random);
    observer?.failed?.(step, error, pauseMs);
    await (this.#options.pause ?? pause)(pauseMs, this.#stopping.signal);
  }
}
