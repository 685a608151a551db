/**
 * The embedded dead letters: the table `dead_letters` in `chat.db`, for a person with sqlite3 to read.
 *
 * It stands behind the persistence worker and owns its table; the connection belongs to `chat-database.ts`.
 */
import type { ChatDatabase } from "../chat-database.ts";
import type { Delivery, LogEntry } from "../log/room-log.ts";
import type { DeadLetter, DeadLetters } from "./dead-letters.ts";

export class SqliteDeadLetters implements DeadLetters {
  readonly #insert;
  readonly #select;
  readonly #delete;
  readonly #now: () => number;

  /** @param now the clock of buried_ms, Unix ms */
  constructor(database: ChatDatabase, now: () => number = Date.now) {
    this.#now = now;
    this.#insert = database.prepare<never, [string, number, number, number, Uint8Array, number, string, number]>(
      `INSERT INTO dead_letters (room_id, epoch, seq, accepted_ms, event, attempts, error, buried_ms)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
    );
    this.#select = database.prepare<Row, [number]>(
      `SELECT room_id AS roomId, epoch, seq, accepted_ms AS acceptedMs, event, attempts, error FROM dead_letters
       ORDER BY buried_ms, room_id, epoch, seq LIMIT ?`,
    );
    this.#delete = database.prepare<never, [string, number, number]>(
      "DELETE FROM dead_letters WHERE room_id = ? AND epoch = ? AND seq = ?",
    );
  }

  async add({ entry, attempts }: Delivery, error: unknown): Promise<void> {
    const { roomId, position, acceptedMs, event } = entry;
    this.#insert.run(roomId, position.epoch, position.seq, acceptedMs, event, attempts, String(error), this.#now());
  }

  async list(lettersMax: number): Promise<DeadLetter[]> {
    return this.#select.all(lettersMax).map(({ roomId, epoch, seq, acceptedMs, event, attempts, error }) => ({
      entry: { roomId, position: { epoch, seq }, acceptedMs, event },
      attempts,
      error,
    }));
  }

  async remove({ roomId, position }: Pick<LogEntry, "roomId" | "position">): Promise<void> {
    this.#delete.run(roomId, position.epoch, position.seq);
  }
}

interface Row {
  roomId: string;
  epoch: number;
  seq: number;
  acceptedMs: number;
  event: Uint8Array;
  attempts: number;
  error: string;
}
