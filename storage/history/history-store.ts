/**
 * The seam of the history: every entry of every room's log, kept for good.
 *
 * The worker writes what the log accepted; gateways read what the log has let go. An entry is written under (room,
 * position) and never changes, so writing it twice is harmless.
 *
 * Implementations: `sqlite-history-store.ts`, `cassandra-history-store.ts`. The contract that they all pass is `history-store.contract.ts`.
 */
import type { LogEntry } from "../log/room-log.ts";
import type { Position } from "../position.ts";

/** Which entries of a room to read: those strictly between `after` and `before`. */
export interface HistoryRange {
  /** Undefined: from the beginning. */
  after?: Position | undefined;
  /** Undefined: to the end. */
  before?: Position | undefined;
  /** At least 1, at most 1,000. */
  entriesMax: number;
  /** Which end of the range to read where it holds more than `entriesMax`. */
  from: "oldest" | "newest";
}

export interface HistoryStore {
  /**
   * Keeps entries, in one go or, on failure, any part of them: write them all again then.
   * @throws {HistoryUnavailableError}
   */
  write(entries: readonly LogEntry[]): Promise<void>;
  /** Reads a stretch of a room, always oldest first. @throws {HistoryUnavailableError} */
  page(roomId: string, range: HistoryRange): Promise<LogEntry[]>;
  /** Reads one entry. @throws {HistoryUnavailableError} */
  get(roomId: string, position: Position): Promise<LogEntry | undefined>;
  close(): Promise<void>;
}

/** The store did not answer; the same call can succeed later. */
export class HistoryUnavailableError extends Error {
  override readonly name = "HistoryUnavailableError";
  readonly retryable = true;
  constructor(
    message: string,
    readonly retryAfterMs: number,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}
