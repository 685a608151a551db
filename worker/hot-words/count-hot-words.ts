/**
 * The consumer group "hot-words": reads every entry of the room log and counts the words of its message.
 *
 * It stands behind the log, beside the group that writes the history; the HotWordService reads what it counts. The loop
 * (`../consumer-loop.ts`) takes and acknowledges. Counting twice is harmless, so an entry that comes again needs nothing.
 * It owns a tokenizer.
 */

import type { Backoff } from "../../lib/backoff.ts";
import type { HotWords } from "../../storage/hot-words/hot-words.ts";
import { decodeEntry } from "../../storage/log/log-event.ts";
import type { Delivery, RoomLog } from "../../storage/log/room-log.ts";
import { userKeyOf } from "../../storage/user-key.ts";
import { ConsumerLoop, type ConsumerLoopObserver } from "../consumer-loop.ts";
import { Tokenizer } from "./tokenizer.ts";

export interface HotWordCounterOptions {
  hotWords: HotWords;
  /** Told of an entry that is not a chat event; it is skipped. `persist` sees it too and keeps it. Must not throw. */
  onPoison: (delivery: Delivery, error: unknown) => void;
  /** Unix ms; entries that left the window before it are skipped unread. Default Date.now. */
  now?: () => number;
}

/** Does the work of the group for one batch: the `handle` of a ConsumerLoop. */
export class HotWordCounter {
  readonly #hotWords: HotWords;
  readonly #onPoison: HotWordCounterOptions["onPoison"];
  readonly #now: () => number;
  readonly #tokenizer = new Tokenizer();

  constructor({ hotWords, onPoison, now = Date.now }: HotWordCounterOptions) {
    this.#hotWords = hotWords;
    this.#onPoison = onPoison;
    this.#now = now;
  }

  /**
   * Counts a batch.
   * @throws what `HotWords.observe` rejects with: the counts are out of reach, the batch shall come again
   */
  async handle(deliveries: readonly Delivery[]): Promise<void> {
    // After a standstill the log is full of what nobody will see any more.
    const windowStartMs = this.#now() - this.#hotWords.windowMs;
    const fresh = deliveries.filter(({ entry }) => entry.acceptedMs > windowStartMs);
    // All at once, so that a store behind a connection costs a round trip a batch. Their order does not matter.
    await Promise.all(fresh.map((delivery) => this.#count(delivery)));
  }

  async #count(delivery: Delivery): Promise<void> {
    const { entry } = delivery;
    const said = this.#read(delivery);
    if (said) {
      await this.#hotWords.observe(entry.roomId, said.userKey, this.#tokenizer.tokenize(said.text), entry.acceptedMs);
    }
  }

  /** Undefined: nothing to count. */
  #read(delivery: Delivery): { userKey: string; text: string } | undefined {
    try {
      const { kind } = decodeEntry(delivery.entry);
      if (kind.case !== "message") {
        return undefined;
      }
      if (!kind.value.author) {
        throw new Error("a message without an author");
      }
      return { userKey: userKeyOf(kind.value.author), text: kind.value.text };
    } catch (error) {
      this.#onPoison(delivery, error);
      return undefined;
    }
  }
}

/**
 * The loop of the group, to be started and stopped by its owner.
 * @param options.name unique in the group
 */
export function hotWordsLoop(
  options: HotWordCounterOptions & {
    log: Pick<RoomLog, "consumer">;
    name: string;
    /** Default 500. */
    batchEntriesMax?: number;
    backoff?: Backoff;
    observer?: ConsumerLoopObserver;
  },
): ConsumerLoop {
  const { log, name, batchEntriesMax = 500, backoff, observer } = options;
  const counter = new HotWordCounter(options);
  return new ConsumerLoop({
    log,
    group: "hot-words",
    name,
    batchEntriesMax,
    handle: (deliveries) => counter.handle(deliveries),
    ...(backoff && { backoff }),
    ...(observer && { observer }),
  });
}
