/**
 * Reads a room's entries wherever they are: the newest in the log, all others in the history.
 *
 * The log says how far back it goes (`floor`); everything at or below that is in the history. Reading asks the log
 * first, so that an entry that moves from the one to the other in between is seen in at least one of them.
 */
import type { HistoryStore } from "../../storage/history/history-store.ts";
import type { LogEntry, RoomLog } from "../../storage/log/room-log.ts";
import { comparePositions, type Position, positionAfter, positionBefore } from "../../storage/position.ts";

export class RoomHistory {
  readonly #log: RoomLog;
  readonly #history: HistoryStore;

  constructor(log: RoomLog, history: HistoryStore) {
    this.#log = log;
    this.#history = history;
  }

  /** The room's newest position, from the log itself. */
  async top(roomId: string): Promise<Position | undefined> {
    return (await this.#log.readBefore(roomId, undefined, 1)).top;
  }

  /** The oldest entries after a position, oldest first; none: there is nothing after it. */
  async after(roomId: string, after: Position | undefined, entriesMax: number): Promise<LogEntry[]> {
    const { entries, floor } = await this.#log.readAfter(roomId, after, entriesMax);
    if (!floor || (after && comparePositions(after, floor) >= 0)) {
      return entries;
    }
    const stored = await this.#history.page(roomId, {
      after,
      before: positionAfter(floor),
      entriesMax,
      from: "oldest",
    });
    return stored.length > 0 ? stored : entries;
  }

  /** The newest entries before a position, oldest first. @param before undefined: the newest of all */
  async before(roomId: string, before: Position | undefined, entriesMax: number): Promise<LogEntry[]> {
    const { entries, floor } = await this.#log.readBefore(roomId, before, entriesMax);
    // The log may still hold some of what is at or below its floor, but not without holes.
    const unstored = floor ? entries.filter(({ position }) => comparePositions(position, floor) > 0) : entries;
    if (!floor || unstored.length === entriesMax) {
      return unstored;
    }
    const end = positionAfter(floor);
    const storedBefore = before && comparePositions(before, end) < 0 ? before : end;
    const stored = await this.#history.page(roomId, {
      before: storedBefore,
      entriesMax: entriesMax - unstored.length,
      from: "newest",
    });
    return [...stored, ...unstored];
  }

  /** Whether somebody ever wrote at this position. */
  async has(roomId: string, position: Position): Promise<boolean> {
    const [entry] = await this.after(roomId, positionBefore(position), 1);
    return entry !== undefined && comparePositions(entry.position, position) === 0;
  }
}
