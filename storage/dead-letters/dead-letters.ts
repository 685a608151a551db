/**
 * The seam of the dead letters: entries that the persistence worker cannot store, kept as they were until a person looks.
 *
 * An entry comes here instead of into the history, so that it stops nobody; only then is it acknowledged. When what was
 * wrong has been mended, `bun run dead-letters redrive` brings it where it belongs (worker/dead-letters.ts).
 *
 * Implementations: `sqlite-dead-letters.ts`, `redis-dead-letters.ts`. The contract that they all pass is
 * `dead-letters.contract.ts`.
 */
import type { Delivery, LogEntry } from "../log/room-log.ts";

/** An entry that could not be stored. */
export interface DeadLetter {
  /** Its bytes are those of the log. */
  entry: LogEntry;
  /** How often it had been handed out. */
  attempts: number;
  /** Why it could not be stored. */
  error: string;
}

export interface DeadLetters {
  /**
   * Keeps an entry, its bytes unchanged. Adding it again changes nothing. Rejects where it could not be kept: the entry
   * must not be acknowledged then.
   * @param error why it cannot be stored
   */
  add(delivery: Delivery, error: unknown): Promise<void>;
  /** Those that came first. @param lettersMax at least 1 */
  list(lettersMax: number): Promise<DeadLetter[]>;
  /** Forgets one: it is where it belongs now, or nobody wants it. Unknown ones are no error. */
  remove(entry: Pick<LogEntry, "roomId" | "position">): Promise<void>;
}
