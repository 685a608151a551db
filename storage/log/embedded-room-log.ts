/**
 * The embedded room log: order in this process, kept in SQLite.
 *
 * It stands between SendMessage and everything that shows or stores a message. All appends and acknowledgements of one turn
 * of the event loop become one transaction; only after its commit do positions exist, followers hear of the entries
 * (synchronously, in order) and the callers get their answers:
 *
 *     append ─┐                         ┌─► rooms: newest entries in memory ─► followers
 *     append ─┼─► one transaction ──────┤
 *     ack ────┘   (journal, room, ids)  └─► queues of the groups ─► take
 *
 * It owns each room's newest entries, the queues of the consumer groups, and the journal. Where an entry is:
 *
 *     room ────── floor ──────────────────────────── top
 *      in the history  │ in memory; those that `persist` has not acknowledged also in the journal
 *
 * An entry leaves the journal once `persist` has acknowledged it and all before it in its room, so an entry is always
 * in the log or in the history. The floor never passes an entry that is in the journal.
 *
 * An epoch lasts from one opening of the log to the next and is shared by all rooms: see RoomLogJournal.beginEpoch.
 */
import type { ChatDatabase } from "../chat-database.ts";
import { comparePositions, type Position, positionBefore } from "../position.ts";
import { ConsumerQueue, type Slot } from "./consumer-queue.ts";
import { Deque } from "./deque.ts";
import { ClientMessageIdReusedError, RoomClosedError, RoomLogFullError, RoomLogUnavailableError } from "./errors.ts";
import type {
  Appended,
  ConsumerGroup,
  Following,
  LogConsumer,
  LogEntry,
  LogPage,
  NewEntry,
  RoomFollower,
  RoomLog,
} from "./room-log.ts";
import { RoomLogJournal } from "./room-log-journal.ts";

export interface EmbeddedRoomLogOptions {
  /** The clock, Unix ms. */
  now?: () => number;
  /** How long a repetition is recognised. Default 5 minutes. */
  dedupeWindowMs?: number;
  /** Entries that a room keeps in memory once they are in the history. Default 1,000. */
  roomLogEntriesMax?: number;
  /** Entries that `persist` has not done with; beyond it appends are refused. Default 100,000. */
  persistLogEntriesMax?: number;
  /**
   * Entries that wait for `hot-words`, which only needs the last minute: beyond it the oldest are dropped and told to
   * `onDropped`; counting words must not stop the chat. Default 20,000.
   */
  hotWordsLogEntriesMax?: number;
  /** Entries in memory over all rooms; beyond it idle rooms give theirs back first. Default 200,000. */
  entriesInMemoryMax?: number;
  /** Rooms in memory; beyond it idle ones go, and where none is idle a further one is refused. Default 10,000. */
  roomsInMemoryMax?: number;
  /** Entries a transaction; it holds up the event loop for about 20 µs each. Default 1,000. */
  commitEntriesMax?: number;
  /** Appends waiting for their transaction; beyond it they are refused. Default 10,000. */
  appendsWaitingMax?: number;
  /** What RoomLogFullError and RoomLogUnavailableError tell callers to wait. Default 1,000. */
  retryAfterMs?: number;
  onDropped?: (group: ConsumerGroup, entries: number) => void;
}

/** How full the log is. */
export interface EmbeddedRoomLogUse {
  rooms: number;
  /** Entries in memory. */
  entries: number;
  /** Of these, not yet done with by `persist`. */
  unpersistedEntries: number;
  /** Waiting for or in the hands of `hot-words`. */
  hotWordsEntries: number;
}

const defaults = {
  now: Date.now,
  dedupeWindowMs: 5 * 60_000,
  roomLogEntriesMax: 1_000,
  persistLogEntriesMax: 100_000,
  hotWordsLogEntriesMax: 20_000,
  entriesInMemoryMax: 200_000,
  roomsInMemoryMax: 10_000,
  commitEntriesMax: 1_000,
  appendsWaitingMax: 10_000,
  retryAfterMs: 1_000,
};

/** A room in memory. */
class Room {
  top: Position | undefined;
  floor: Position | undefined;
  final = false;
  /** Those after `floor`, oldest first. */
  readonly entries = new Deque<Slot>();
  /** The newest so many of `entries` are in the journal. */
  unpersisted = 0;
  readonly followers = new Set<RoomFollower>();

  constructor(readonly roomId: string) {}

  /** Everything it has in memory can be had elsewhere, and nobody waits for more. */
  get idle(): boolean {
    return this.unpersisted === 0 && this.followers.size === 0;
  }

  page(from: number, entriesMax: number): LogPage {
    const entries: LogEntry[] = [];
    for (let index = from; index < this.entries.length && entries.length < entriesMax; index += 1) {
      const slot = this.entries.at(index);
      if (slot) {
        entries.push(slot.entry);
      }
    }
    return { entries, floor: this.floor, top: this.top };
  }

  /** The index of the first entry after a position. */
  indexAfter(after: Position): number {
    let low = 0;
    let high = this.entries.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const slot = this.entries.at(middle);
      if (slot && comparePositions(slot.entry.position, after) <= 0) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low;
  }
}

interface PendingAppend {
  readonly entry: NewEntry;
  readonly resolve: (appended: Appended) => void;
  readonly reject: (error: Error) => void;
}

interface PendingAck {
  readonly slots: readonly Slot[];
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/** What a transaction has decided for a room; it becomes true with the commit. */
interface Draft {
  nextSeq: number;
  final: boolean;
  top: Position | undefined;
}

/** One transaction in the making. */
interface Step {
  readonly nowMs: number;
  readonly drafts: Map<Room, Draft>;
  readonly slots: { slot: Slot; room: Room }[];
  /** The answer of each append, in their order. */
  readonly answers: (Appended | Error)[];
  /** Entries that are not in the journal any more, by room. */
  readonly persisted: Map<Room, number>;
}

export class EmbeddedRoomLog implements RoomLog {
  readonly #options: typeof defaults;
  readonly #journal: RoomLogJournal;
  readonly #epoch: number;
  readonly #groups: Record<ConsumerGroup, ConsumerQueue>;
  readonly #rooms = new Map<string, Room>();
  /** Rooms that may leave memory; the one idle for longest first. */
  readonly #idle = new Set<Room>();
  #entries = 0;
  #unpersisted = 0;
  #nextNumber = 1;
  #appends: PendingAppend[] = [];
  #acks: PendingAck[] = [];
  #commitScheduled = false;
  #opening = true;
  #closed = false;

  /**
   * Opens the log and begins a new epoch. What `persist` had not acknowledged is handed out again.
   * @param database must not be open in another log; it stays open when the log closes
   */
  constructor(database: ChatDatabase, { onDropped, ...options }: EmbeddedRoomLogOptions = {}) {
    this.#options = { ...defaults, ...withoutUndefined(options) };
    this.#journal = new RoomLogJournal(database);
    this.#epoch = this.#journal.beginEpoch(this.#options.now());
    this.#groups = {
      persist: new ConsumerQueue({ group: "persist", settle: (slots) => this.#settle(slots) }),
      "hot-words": new ConsumerQueue({
        group: "hot-words",
        entriesMax: this.#options.hotWordsLogEntriesMax,
        onDropped,
      }),
    };
    for (const { number, entry } of this.#journal.entries()) {
      this.#nextNumber = number + 1;
      this.#keep(this.#load(entry.roomId), { number, entry, persisted: false });
    }
    this.#opening = false;
  }

  get use(): EmbeddedRoomLogUse {
    return {
      rooms: this.#rooms.size,
      entries: this.#entries,
      unpersistedEntries: this.#unpersisted,
      hotWordsEntries: this.#groups["hot-words"].entries,
    };
  }

  /** @param entry its bytes are kept as they are given: do not change them afterwards */
  append(entry: NewEntry): Promise<Appended> {
    if (this.#closed) {
      return Promise.reject(this.#unavailable("the room log is closed"));
    }
    const { appendsWaitingMax, retryAfterMs } = this.#options;
    if (this.#appends.length >= appendsWaitingMax) {
      return Promise.reject(new RoomLogFullError(this.#appends.length, appendsWaitingMax, retryAfterMs));
    }
    return new Promise((resolve, reject) => {
      this.#appends.push({ entry, resolve, reject });
      this.#scheduleCommit();
    });
  }

  async follow(roomId: string, follower: RoomFollower): Promise<Following> {
    this.#checkOpen();
    const room = this.#reach(() => this.#load(roomId));
    // Its own object: one follower may follow twice, and each following stops by itself.
    const following: RoomFollower = {
      entry: (entry) => follower.entry(entry),
      lost: (range) => follower.lost(range),
    };
    room.followers.add(following);
    this.#idle.delete(room);
    return {
      top: room.top,
      stop: () => {
        if (room.followers.delete(following)) {
          this.#restIfIdle(room);
        }
      },
    };
  }

  async readAfter(roomId: string, after: Position | undefined, entriesMax: number): Promise<LogPage> {
    return this.#read(roomId, entriesMax, (room) => ({
      from: after ? room.indexAfter(after) : 0,
      entries: entriesMax,
    }));
  }

  async readBefore(roomId: string, before: Position | undefined, entriesMax: number): Promise<LogPage> {
    return this.#read(roomId, entriesMax, (room) => {
      const end = before ? room.indexAfter(positionBefore(before)) : room.entries.length;
      const from = Math.max(0, end - entriesMax);
      return { from, entries: end - from };
    });
  }

  /** @throws {Error} if the group has a member of this name */
  async consumer(group: ConsumerGroup, name: string): Promise<LogConsumer> {
    this.#checkOpen();
    return this.#groups[group].join(name);
  }

  /** Commits what was appended and acknowledged before; everything later is refused. */
  async close(): Promise<void> {
    if (this.#closed) {
      return;
    }
    while (this.#appends.length > 0 || this.#acks.length > 0) {
      this.#commit();
    }
    this.#closed = true;
    for (const queue of Object.values(this.#groups)) {
      queue.close();
    }
  }

  #settle(slots: readonly Slot[]): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#acks.push({ slots, resolve, reject });
      this.#scheduleCommit();
    });
  }

  /** setImmediate runs after all input of this turn was read, so one commit serves everyone who sent in it. */
  #scheduleCommit(): void {
    if (!this.#commitScheduled) {
      this.#commitScheduled = true;
      setImmediate(() => {
        this.#commitScheduled = false;
        this.#commit();
        if (this.#appends.length > 0) {
          this.#scheduleCommit();
        }
      });
    }
  }

  /** Makes one transaction of what is pending, then tells everyone. Never throws. */
  #commit(): void {
    const appends = this.#appends.splice(0, this.#options.commitEntriesMax);
    const acks = this.#acks.splice(0);
    if (appends.length === 0 && acks.length === 0) {
      return;
    }
    const step: Step = {
      nowMs: Math.floor(this.#options.now()),
      drafts: new Map(),
      slots: [],
      answers: [],
      persisted: new Map(),
    };
    // Set before the transaction to find how far each room's floor may rise; taken back where it fails.
    const newlyPersisted = acks.flatMap((ack) => ack.slots).filter((slot) => !slot.persisted);
    for (const slot of newlyPersisted) {
      slot.persisted = true;
    }
    try {
      this.#journal.transaction(() => this.#write(step, appends, newlyPersisted));
    } catch (error) {
      for (const slot of newlyPersisted) {
        slot.persisted = false;
      }
      const unavailable = this.#unavailable(`the journal could not be written: ${error}`, error);
      for (const pending of [...appends, ...acks]) {
        pending.reject(unavailable);
      }
      for (const room of step.drafts.keys()) {
        this.#restIfIdle(room);
      }
      return;
    }
    this.#apply(step);
    for (const [index, { resolve, reject }] of appends.entries()) {
      const answer = step.answers[index];
      if (answer instanceof Error) {
        reject(answer);
      } else if (answer) {
        resolve(answer);
      }
    }
    for (const { resolve } of acks) {
      resolve();
    }
  }

  /** The transaction. Changes nothing in memory but loading rooms. */
  #write(step: Step, appends: readonly PendingAppend[], newlyPersisted: readonly Slot[]): void {
    let dedupes = 0;
    for (const { entry } of appends) {
      step.answers.push(this.#writeEntry(step, entry));
      dedupes += entry.dedupe ? 1 : 0;
    }
    for (const [room, { top, final }] of step.drafts) {
      if (top) {
        this.#journal.setTop(room.roomId, top, final);
      }
    }
    for (const roomId of new Set(newlyPersisted.map((slot) => slot.entry.roomId))) {
      const room = this.#rooms.get(roomId);
      if (room) {
        this.#writeFloor(step, room);
      }
    }
    if (dedupes > 0) {
      // More than came in, so that the table shrinks after a burst; bounded, so that no commit pays for a whole burst.
      this.#journal.expireDedupe(step.nowMs - this.#options.dedupeWindowMs, Math.max(100, 2 * dedupes));
    }
  }

  #writeEntry(step: Step, { roomId, event, dedupe, final = false }: NewEntry): Appended | Error {
    const { dedupeWindowMs, persistLogEntriesMax, retryAfterMs } = this.#options;
    // Repetitions first: who repeats what was accepted gets its position, also when the room has closed or the log is full.
    const first = dedupe && this.#journal.dedupe(roomId, dedupe.key);
    if (dedupe && first && first.acceptedMs > step.nowMs - dedupeWindowMs) {
      return first.digest === dedupe.digest
        ? { position: first.position, acceptedMs: first.acceptedMs, duplicate: true }
        : new ClientMessageIdReusedError(roomId);
    }
    const entries = this.#unpersisted + step.slots.length;
    if (entries >= persistLogEntriesMax) {
      return new RoomLogFullError(entries, persistLogEntriesMax, retryAfterMs);
    }
    let room: Room;
    try {
      room = this.#load(roomId);
    } catch (error) {
      if (error instanceof RoomLogFullError) {
        return error;
      }
      throw error;
    }
    const draft = this.#draft(step, room);
    if (draft.final) {
      return new RoomClosedError(roomId);
    }
    const position: Position = { epoch: this.#epoch, seq: draft.nextSeq };
    const slot: Slot = {
      number: this.#nextNumber + step.slots.length,
      entry: { roomId, position, acceptedMs: step.nowMs, event },
      persisted: false,
    };
    this.#journal.addEntry(slot);
    if (dedupe) {
      this.#journal.setDedupe(roomId, dedupe.key, { digest: dedupe.digest, position, acceptedMs: step.nowMs });
    }
    draft.nextSeq += 1;
    draft.top = position;
    draft.final = final;
    step.slots.push({ slot, room });
    return { position, acceptedMs: step.nowMs, duplicate: false };
  }

  #draft(step: Step, room: Room): Draft {
    let draft = step.drafts.get(room);
    if (!draft) {
      const nextSeq = room.top?.epoch === this.#epoch ? room.top.seq + 1 : 0;
      draft = { nextSeq, final: room.final, top: undefined };
      step.drafts.set(room, draft);
      // It must not leave memory before the commit.
      this.#idle.delete(room);
    }
    return draft;
  }

  /** Takes out of the journal what `persist` has done with, up to the first entry that it has not. */
  #writeFloor(step: Step, room: Room): void {
    const { entries } = room;
    let floor: Position | undefined;
    let index = entries.length - room.unpersisted;
    for (let slot = entries.at(index); slot?.persisted; slot = entries.at(index)) {
      this.#journal.removeEntry(slot.number);
      floor = slot.entry.position;
      index += 1;
    }
    if (floor) {
      this.#journal.setFloor(room.roomId, floor);
      step.persisted.set(room, index - (entries.length - room.unpersisted));
    }
  }

  /** Makes true in memory what was committed, in the order of the appends. */
  #apply(step: Step): void {
    for (const [room, count] of step.persisted) {
      room.unpersisted -= count;
      this.#unpersisted -= count;
    }
    for (const [room, { final }] of step.drafts) {
      room.final = final;
    }
    this.#nextNumber += step.slots.length;
    for (const { slot, room } of step.slots) {
      room.top = slot.entry.position;
      this.#keep(room, slot);
      // A copy: a follower may stop others or begin to follow, and who begins now has this entry as its `top`.
      for (const follower of [...room.followers]) {
        if (room.followers.has(follower)) {
          tell(follower, slot.entry);
        }
      }
    }
    for (const room of new Set([...step.persisted.keys(), ...step.drafts.keys()])) {
      this.#trim(room, this.#options.roomLogEntriesMax);
      this.#restIfIdle(room);
    }
    this.#trimAll();
    if (step.slots.length > 0) {
      for (const queue of Object.values(this.#groups)) {
        queue.wake();
      }
    }
  }

  /** Takes an entry of the journal into memory. */
  #keep(room: Room, slot: Slot): void {
    room.entries.push(slot);
    room.unpersisted += 1;
    this.#unpersisted += 1;
    this.#entries += 1;
    this.#idle.delete(room);
    for (const queue of Object.values(this.#groups)) {
      queue.push(slot);
    }
  }

  /** Lets a room's oldest entries go, none that is in the journal. */
  #trim(room: Room, entriesMax: number): void {
    while (room.entries.length > Math.max(entriesMax, room.unpersisted)) {
      room.floor = room.entries.shift()?.entry.position;
      this.#entries -= 1;
    }
  }

  #trimAll(): void {
    const { entriesInMemoryMax } = this.#options;
    if (this.#entries <= entriesInMemoryMax) {
      return;
    }
    // Down to nine tenths, so that this walk is rare.
    const wanted = Math.floor(entriesInMemoryMax * 0.9);
    for (const room of this.#idle) {
      if (this.#entries <= wanted) {
        return;
      }
      this.#unload(room);
    }
    for (const room of this.#rooms.values()) {
      if (this.#entries <= wanted) {
        return;
      }
      this.#trim(room, 0);
    }
  }

  /**
   * The room, in memory from here on.
   * @throws {RoomLogFullError} if there are `roomsInMemoryMax` and none can go
   */
  #load(roomId: string): Room {
    const known = this.#rooms.get(roomId);
    if (known) {
      return known;
    }
    const { roomsInMemoryMax, retryAfterMs } = this.#options;
    const kept = this.#journal.room(roomId);
    if (this.#rooms.size >= roomsInMemoryMax) {
      const longestIdle = this.#idle.values().next().value;
      // While the log opens there may be more: what is in the journal must be in memory.
      if (!longestIdle && !this.#opening) {
        throw new RoomLogFullError(this.#rooms.size, roomsInMemoryMax, retryAfterMs);
      }
      if (longestIdle) {
        this.#unload(longestIdle);
      }
    }
    const room = new Room(roomId);
    room.top = kept?.top;
    room.floor = kept?.floor;
    room.final = kept?.final ?? false;
    this.#rooms.set(roomId, room);
    this.#idle.add(room);
    return room;
  }

  #unload(room: Room): void {
    this.#idle.delete(room);
    this.#rooms.delete(room.roomId);
    this.#entries -= room.entries.length;
  }

  #restIfIdle(room: Room): void {
    if (room.idle && this.#rooms.get(room.roomId) === room) {
      // Deleted first, so that it moves to the end.
      this.#idle.delete(room);
      this.#idle.add(room);
    }
  }

  /** Reading loads no room: what is not in memory is in the history up to its top. */
  #read(roomId: string, entriesMax: number, which: (room: Room) => { from: number; entries: number }): LogPage {
    this.#checkOpen();
    if (!Number.isInteger(entriesMax) || entriesMax < 1) {
      throw new RangeError(`entriesMax is ${entriesMax}, it must be at least 1`);
    }
    const room = this.#rooms.get(roomId);
    if (room) {
      const { from, entries } = which(room);
      return room.page(from, entries);
    }
    const kept = this.#reach(() => this.#journal.room(roomId));
    return { entries: [], floor: kept?.floor, top: kept?.top };
  }

  #checkOpen(): void {
    if (this.#closed) {
      throw this.#unavailable("the room log is closed");
    }
  }

  #reach<T>(step: () => T): T {
    try {
      return step();
    } catch (error) {
      if (error instanceof RoomLogFullError) {
        throw error;
      }
      throw this.#unavailable(`the journal could not be read: ${error}`, error);
    }
  }

  #unavailable(message: string, cause?: unknown): RoomLogUnavailableError {
    return new RoomLogUnavailableError(message, this.#options.retryAfterMs, { cause });
  }
}

/** Followers must not throw. One that does is a mistake of ours: it fails loudly, but not in the way of the others. */
function tell(follower: RoomFollower, entry: LogEntry): void {
  try {
    follower.entry(entry);
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}

function withoutUndefined<T extends object>(options: T): Partial<T> {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as Partial<T>;
}
