/**
 * Reads a room's entries wherever they are: the newest in the log, all others in the history.
 *
 * The log says how far back it goes (`floor`); everything at or below that is in the history. Reading asks the log
 * first, so that an entry that moves from the one to the other in between is seen in at least one of them. Where the log
 * lost the end of an epoch, which the first entry of the next one tells, the history is asked for what it has of it.
 */
import type { HistoryStore } from "../../storage/history/history-store.ts";
import { endBefore } from "../../storage/log/log-event.ts";
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
      return this.#withLostEnd(roomId, after, entries, entriesMax);
    }
    const stored = await this.#history.page(roomId, {
      after,
      before: positionAfter(floor),
      entriesMax,
      from: "oldest",
    });
    return stored.length > 0 ? stored : this.#withLostEnd(roomId, after, entries, entriesMax);
  }

  /** The entries up to where the log lost something; where it did so at once, what the history has of it. */
  async #withLostEnd(
    roomId: string,
    after: Position | undefined,
    entries: LogEntry[],
    entriesMax: number,
  ): Promise<LogEntry[]> {
    const at = entries.findIndex((entry, index) => isAfterLoss(entry, entries[index - 1]?.position ?? after));
    if (at !== 0) {
      return at < 0 ? entries : entries.slice(0, at);
    }
    const before = (entries[0] as LogEntry).position;
    const stored = await this.#history.page(roomId, { after, before, entriesMax, from: "oldest" });
    if (stored.length > 0) {
      return stored;
    }
    const next = entries.findIndex((entry, index) => index > 0 && isAfterLoss(entry, entries[index - 1]?.position));
    return next < 0 ? entries : entries.slice(0, next);
  }

  /** The newest entries before a position, oldest first. @param before undefined: the newest of all */
  async before(roomId: string, before: Position | undefined, entriesMax: number): Promise<LogEntry[]> {
    const { entries, floor } = await this.#log.readBefore(roomId, before, entriesMax);
    // The log may still hold some of what is at or below its floor, but not without holes.
    const found = floor ? entries.filter(({ position }) => comparePositions(position, floor) > 0) : entries;
    const unstored = await this.#withLostEndBefore(roomId, before, found, entriesMax);
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

  /** The newest of the entries, up to `before`, together with what the history has where the log lost something. */
  async #withLostEndBefore(
    roomId: string,
    before: Position | undefined,
    entries: readonly LogEntry[],
    entriesMax: number,
  ): Promise<LogEntry[]> {
    const found: LogEntry[] = [];
    let next = before;
    // The page before ended at `before`, maybe amid what the log lost: only the next position is known to follow.
    let isLost = before !== undefined;
    for (const [index, entry] of [...entries.entries()].reverse()) {
      const { position } = entry;
      if (isLost && next && comparePositions(positionAfter(position), next) < 0) {
        const range = { after: position, before: next, entriesMax: entriesMax - found.length, from: "newest" } as const;
        found.unshift(...(await this.#history.page(roomId, range)));
      }
      if (found.length >= entriesMax) {
        break;
      }
      found.unshift(entry);
      next = position;
      isLost = isAfterLoss(entry, entries[index - 1]?.position);
    }
    return found;
  }

  /** Whether somebody ever wrote at this position. */
  async has(roomId: string, position: Position): Promise<boolean> {
    const [entry] = await this.after(roomId, positionBefore(position), 1);
    return entry !== undefined && comparePositions(entry.position, position) === 0;
  }
}

/** Whether entries before this one are missing, as far as the one that began its epoch knew. */
export function isAfterLoss(entry: LogEntry, previous: Position | undefined): boolean {
  const end = endBefore(entry);
  return end !== undefined && (!previous || comparePositions(end, previous) > 0);
}
