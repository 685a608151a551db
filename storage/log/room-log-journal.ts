/**
 * What the embedded room log keeps on disk: the statements on its four tables, and nothing of its rules.
 *
 * It stands under `embedded-room-log.ts`, which calls it inside one transaction a turn. Tables and keys: `chat-database.ts`.
 */
import type { ChatDatabase } from "../chat-database.ts";
import type { Position } from "../position.ts";
import type { LogEntry } from "./room-log.ts";

/** One row of log_journal. */
export interface JournalEntry {
  /** Counts the entries of all rooms, rising with every append. */
  number: number;
  entry: LogEntry;
}

export interface JournalRoom {
  top: Position;
  /** The newest position that the history has. Undefined: none. */
  floor: Position | undefined;
  final: boolean;
}

/** The first of what may be repeated. */
export interface JournalDedupe {
  digest: string;
  position: Position;
  acceptedMs: number;
}

export class RoomLogJournal {
  readonly #database: ChatDatabase;
  readonly #opening;
  readonly #putOpening;
  readonly #entries;
  readonly #insertEntry;
  readonly #deleteEntry;
  readonly #room;
  readonly #putTop;
  readonly #putFloor;
  readonly #dedupe;
  readonly #putDedupe;
  readonly #expire;

  constructor(database: ChatDatabase) {
    this.#database = database;
    this.#opening = database.prepare<{ epoch: number }, []>("SELECT epoch FROM log_opening");
    this.#putOpening = database.prepare<never, [number]>(
      "INSERT INTO log_opening (id, epoch) VALUES (1, ?) ON CONFLICT DO UPDATE SET epoch = excluded.epoch",
    );
    this.#entries = database.prepare<
      { number: number; room_id: string; epoch: number; seq: number; accepted_ms: number; event: Uint8Array },
      []
    >("SELECT number, room_id, epoch, seq, accepted_ms, event FROM log_journal ORDER BY number");
    this.#insertEntry = database.prepare<never, [number, string, number, number, number, Uint8Array]>(
      "INSERT INTO log_journal (number, room_id, epoch, seq, accepted_ms, event) VALUES (?, ?, ?, ?, ?, ?)",
    );
    this.#deleteEntry = database.prepare<never, [number]>("DELETE FROM log_journal WHERE number = ?");
    this.#room = database.prepare<
      { top_epoch: number; top_seq: number; floor_epoch: number | null; floor_seq: number | null; final: number },
      [string]
    >("SELECT top_epoch, top_seq, floor_epoch, floor_seq, final FROM log_rooms WHERE room_id = ?");
    this.#putTop = database.prepare<never, [string, number, number, number]>(
      `INSERT INTO log_rooms (room_id, top_epoch, top_seq, final) VALUES (?, ?, ?, ?)
       ON CONFLICT DO UPDATE SET top_epoch = excluded.top_epoch, top_seq = excluded.top_seq, final = excluded.final`,
    );
    this.#putFloor = database.prepare<never, [number, number, string]>(
      "UPDATE log_rooms SET floor_epoch = ?, floor_seq = ? WHERE room_id = ?",
    );
    this.#dedupe = database.prepare<
      { digest: string; epoch: number; seq: number; accepted_ms: number },
      [string, string]
    >("SELECT digest, epoch, seq, accepted_ms FROM log_dedupe WHERE room_id = ? AND key = ?");
    this.#putDedupe = database.prepare<never, [string, string, string, number, number, number]>(
      "INSERT OR REPLACE INTO log_dedupe (room_id, key, digest, epoch, seq, accepted_ms) VALUES (?, ?, ?, ?, ?, ?)",
    );
    this.#expire = database.prepare<never, [number, number]>(
      `DELETE FROM log_dedupe WHERE (room_id, key) IN
         (SELECT room_id, key FROM log_dedupe WHERE accepted_ms <= ? ORDER BY accepted_ms LIMIT ?)`,
    );
  }

  /**
   * Begins a new epoch for all rooms: later than every earlier one, whatever the clock says.
   *
   * Written with an fsync before anything is appended: after a loss of power the end of the journal may be gone, and a
   * position given once must not come back for another text.
   */
  beginEpoch(nowMs: number): number {
    return this.#database.durableTransaction(() => {
      const epoch = Math.max(Math.floor(nowMs), (this.#opening.get()?.epoch ?? 0) + 1);
      this.#putOpening.run(epoch);
      return epoch;
    });
  }

  /** Everything that group persist has not done with, in the order of appending. */
  entries(): JournalEntry[] {
    return this.#entries.all().map(({ number, room_id, epoch, seq, accepted_ms, event }) => ({
      number,
      entry: { roomId: room_id, position: { epoch, seq }, acceptedMs: accepted_ms, event },
    }));
  }

  /** Runs the calls below as one step. */
  transaction<T>(work: () => T): T {
    return this.#database.transaction(work);
  }

  addEntry({ number, entry }: JournalEntry): void {
    const { roomId, position, acceptedMs, event } = entry;
    this.#insertEntry.run(number, roomId, position.epoch, position.seq, acceptedMs, event);
  }

  removeEntry(number: number): void {
    this.#deleteEntry.run(number);
  }

  room(roomId: string): JournalRoom | undefined {
    const row = this.#room.get(roomId);
    return row
      ? {
          top: { epoch: row.top_epoch, seq: row.top_seq },
          floor:
            row.floor_epoch === null || row.floor_seq === null
              ? undefined
              : { epoch: row.floor_epoch, seq: row.floor_seq },
          final: row.final === 1,
        }
      : undefined;
  }

  setTop(roomId: string, top: Position, final: boolean): void {
    this.#putTop.run(roomId, top.epoch, top.seq, final ? 1 : 0);
  }

  setFloor(roomId: string, floor: Position): void {
    this.#putFloor.run(floor.epoch, floor.seq, roomId);
  }

  dedupe(roomId: string, key: string): JournalDedupe | undefined {
    const row = this.#dedupe.get(roomId, key);
    return row
      ? { digest: row.digest, position: { epoch: row.epoch, seq: row.seq }, acceptedMs: row.accepted_ms }
      : undefined;
  }

  setDedupe(roomId: string, key: string, { digest, position, acceptedMs }: JournalDedupe): void {
    this.#putDedupe.run(roomId, key, digest, position.epoch, position.seq, acceptedMs);
  }

  /** Forgets at most `rowsMax` of what was accepted at `throughMs` or before, oldest first. */
  expireDedupe(throughMs: number, rowsMax: number): void {
    this.#expire.run(throughMs, rowsMax);
  }
}
