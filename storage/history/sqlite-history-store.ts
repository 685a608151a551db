/**
 * The embedded history: one table in `chat.db`, clustered by room and position, so that a page is one walk along the key.
 *
 * It stands behind the persistence worker (write) and the gateway's catch-up and ListMessages (page). It owns the table
 * `history`; the connection belongs to `chat-database.ts`.
 */
import { type ChatDatabase, isOutOfReach } from "../chat-database.ts";
import type { LogEntry } from "../log/room-log.ts";
import type { Position } from "../position.ts";
import { type HistoryRange, type HistoryStore, HistoryUnavailableError } from "./history-store.ts";

interface Row {
  epoch: number;
  seq: number;
  accepted_ms: number;
  event: Uint8Array;
}

const pageEntriesMax = 1_000;
const retryAfterMs = 1_000;

/** Before and after every position of a room: both halves have at most 15 digits. */
const first: Position = { epoch: -1, seq: -1 };
const last: Position = { epoch: Number.MAX_SAFE_INTEGER, seq: Number.MAX_SAFE_INTEGER };

export class SqliteHistoryStore implements HistoryStore {
  readonly #database: ChatDatabase;
  readonly #insert;
  readonly #oldest;
  readonly #newest;
  readonly #one;
  #open = true;

  constructor(database: ChatDatabase) {
    this.#database = database;
    // The first text of a position stays, whatever comes later under it.
    this.#insert = database.prepare<never, [string, number, number, number, Uint8Array]>(
      "INSERT INTO history (room_id, epoch, seq, accepted_ms, event) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
    );
    const range = `SELECT epoch, seq, accepted_ms, event FROM history
      WHERE room_id = ? AND (epoch, seq) > (?, ?) AND (epoch, seq) < (?, ?)`;
    type Bounds = [string, number, number, number, number, number];
    this.#oldest = database.prepare<Row, Bounds>(`${range} ORDER BY epoch, seq LIMIT ?`);
    this.#newest = database.prepare<Row, Bounds>(`${range} ORDER BY epoch DESC, seq DESC LIMIT ?`);
    this.#one = database.prepare<Row, [string, number, number]>(
      "SELECT epoch, seq, accepted_ms, event FROM history WHERE room_id = ? AND epoch = ? AND seq = ?",
    );
  }

  async write(entries: readonly LogEntry[]): Promise<void> {
    this.#reach(() =>
      this.#database.transaction(() => {
        for (const { roomId, position, acceptedMs, event } of entries) {
          this.#insert.run(roomId, position.epoch, position.seq, acceptedMs, event);
        }
      }),
    );
  }

  /** @throws {RangeError} if `entriesMax` is not within 1 to 1,000 */
  async page(roomId: string, range: HistoryRange): Promise<LogEntry[]> {
    const { after = first, before = last, entriesMax, from } = range;
    if (!Number.isInteger(entriesMax) || entriesMax < 1 || entriesMax > pageEntriesMax) {
      throw new RangeError(`entriesMax is ${entriesMax}, it must be 1 to ${pageEntriesMax}`);
    }
    const statement = from === "oldest" ? this.#oldest : this.#newest;
    const rows = this.#reach(() => statement.all(roomId, after.epoch, after.seq, before.epoch, before.seq, entriesMax));
    if (from === "newest") {
      rows.reverse();
    }
    return rows.map((row) => toEntry(roomId, row));
  }

  async get(roomId: string, position: Position): Promise<LogEntry | undefined> {
    const row = this.#reach(() => this.#one.get(roomId, position.epoch, position.seq));
    return row ? toEntry(roomId, row) : undefined;
  }

  /** From here on every call is refused; the connection stays open for the other stores. */
  async close(): Promise<void> {
    this.#open = false;
  }

  #reach<T>(step: () => T): T {
    if (!this.#open) {
      throw new HistoryUnavailableError("the history is closed", retryAfterMs);
    }
    try {
      return step();
    } catch (error) {
      if (isOutOfReach(error)) {
        throw new HistoryUnavailableError(`the history did not answer: ${error.message}`, retryAfterMs, {
          cause: error,
        });
      }
      throw error;
    }
  }
}

function toEntry(roomId: string, { epoch, seq, accepted_ms, event }: Row): LogEntry {
  return { roomId, position: { epoch, seq }, acceptedMs: accepted_ms, event };
}
