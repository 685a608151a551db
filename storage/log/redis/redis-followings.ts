/**
 * The rooms that this process follows in Redis: from a channel that forgets to an order without holes.
 *
 * A room's channel brings its entries at once but promises nothing: a connection breaks, Redis cuts a slow one, a message
 * is missed without a trace. Positions show it. The next position is handed on; anything else is held back until the
 * room's log has been read up to it:
 *
 *     channel ──► next position? ──yes──────────────────────────► followers
 *                     │ no                                            ▲
 *                     ▼                                               │
 *                  buffer ──► read the log (and history) after the last ─► lost, where neither has it
 *
 * The last entry of a quiet room has no next one to show that it was missed. So the tops are compared after every
 * connection, and every few seconds: a connection that is open and hears nothing is found too.
 *
 * It owns the followed rooms and their subscriptions. Each room holds at most `bufferEntriesMax` entries.
 */
import { comparePositions, type Position, positionBefore } from "../../position.ts";
import { endBefore } from "../log-event.ts";
import type { Following, LogEntry, LogPage, LostRange, RoomFollower } from "../room-log.ts";
import { parsePublished } from "./redis-entries.ts";
import type { RedisKeys } from "./redis-keys.ts";
import type { ChannelListener, RedisLink } from "./redis-link.ts";

/** Where a room's entries can be read. */
export interface RoomReader {
  readAfter(roomId: string, after: Position | undefined, entriesMax: number): Promise<LogPage>;
  top(roomId: string): Promise<Position | undefined>;
  /** Whether the log or the history has something at a position, or the log has let it go. */
  has(roomId: string, position: Position): Promise<boolean>;
  /** Entries strictly between two positions that the history has, oldest first; none where it cannot be asked. */
  stored(roomId: string, after: Position | undefined, before: Position, entriesMax: number): Promise<LogEntry[]>;
}

/** Told what happens to followed rooms. Synchronous; must not throw. */
export interface FollowingsObserver {
  /** So many entries did not come by the channel and were read instead. */
  repaired?(roomId: string, entries: number): void;
  /** The connection for channels is open and missed entries; it was found by comparing tops. */
  deaf?(roomId: string): void;
  lost?(roomId: string, range: LostRange): void;
  /** Something came on a room's channel that is no entry, or one that the log does not have. */
  foreign?(roomId: string): void;
  /** A room could not be brought up to date; it is tried again. "": the channels of all rooms could not be subscribed to. */
  failed?(roomId: string, error: unknown): void;
}

/** What comes while the log is read. Beyond it the oldest are dropped: the log has them. */
const bufferEntriesMax = 256;
const pageEntriesMax = 500;
/** Rooms whose tops are asked for at once. */
const roomsAtOnceMax = 32;
/** How long an entry may be on its way through the channel after the log shows it. */
const onTheWayMs = 300;

class FollowedRoom {
  readonly followers = new Set<RoomFollower>();
  /** Those who follow or are about to. */
  users = 0;
  /** The newest position that followers were handed. */
  delivered: Position | undefined;
  /** The newest position that came by the channel. */
  seen: Position | undefined;
  /** `delivered` is known. */
  started = false;
  repairing: Promise<void> | undefined;
  buffer: LogEntry[] = [];
  ready: Promise<void> = Promise.resolve();
  /** Its top was ahead at the last comparison. */
  wasDeaf = false;

  constructor(readonly roomId: string) {}

  keep(entry: LogEntry): void {
    if (this.buffer.length >= bufferEntriesMax) {
      this.buffer.shift();
    }
    this.buffer.push(entry);
  }

  isNext(position: Position): boolean {
    const { delivered } = this;
    return delivered !== undefined && position.epoch === delivered.epoch && position.seq === delivered.seq + 1;
  }

  isBehind(position: Position | undefined): boolean {
    return position !== undefined && (!this.delivered || comparePositions(position, this.delivered) > 0);
  }

  deliver(entry: LogEntry): void {
    this.delivered = entry.position;
    this.#tell((follower) => follower.entry(entry));
  }

  lose(range: LostRange): void {
    this.#tell((follower) => follower.lost(range));
  }

  #tell(one: (follower: RoomFollower) => void): void {
    // A copy: a follower may stop others or begin to follow, and who begins now has this as its top.
    for (const follower of [...this.followers]) {
      if (this.followers.has(follower)) {
        try {
          one(follower);
        } catch (error) {
          // Followers must not throw. One that does fails loudly, but not in the way of the others.
          queueMicrotask(() => {
            throw error;
          });
        }
      }
    }
  }
}

export class RedisFollowings {
  readonly #link: RedisLink;
  readonly #keys: RedisKeys;
  readonly #reader: RoomReader;
  readonly #observer: FollowingsObserver;
  readonly #rooms = new Map<string, FollowedRoom>();
  /** Rooms whose channel is being left. */
  readonly #leaving = new Map<string, Promise<void>>();
  readonly #timer: ReturnType<typeof setInterval>;
  #comparing = false;
  /** Messages that came on any channel, and how many at the last comparison. */
  #heard = 0;
  #heardBefore = 0;
  #closed = false;

  constructor(
    link: RedisLink,
    keys: RedisKeys,
    reader: RoomReader,
    compareIntervalMs: number,
    observer: FollowingsObserver,
  ) {
    this.#link = link;
    this.#keys = keys;
    this.#reader = reader;
    this.#observer = observer;
    this.#timer = setInterval(() => void this.#compareAll(), compareIntervalMs);
  }

  get rooms(): number {
    return this.#rooms.size;
  }

  /** The newest position of a room that followers were handed. */
  delivered(roomId: string): Position | undefined {
    return this.#rooms.get(roomId)?.delivered;
  }

  async follow(roomId: string, follower: RoomFollower): Promise<Following> {
    let room = this.#rooms.get(roomId);
    if (!room) {
      room = new FollowedRoom(roomId);
      this.#rooms.set(roomId, room);
      room.ready = this.#begin(room);
    }
    const followed = room;
    followed.users += 1;
    try {
      await followed.ready;
    } catch (error) {
      this.#leave(followed);
      throw error;
    }
    // Its own object: one follower may follow twice, and each following stops by itself.
    const following: RoomFollower = {
      entry: (entry) => follower.entry(entry),
      lost: (range) => follower.lost(range),
    };
    followed.followers.add(following);
    return {
      top: followed.delivered,
      stop: () => {
        if (followed.followers.delete(following)) {
          this.#leave(followed);
        }
      },
    };
  }

  /** The connection for channels is open again: nothing is subscribed, and anything may have been missed. */
  async reconnected(): Promise<void> {
    const channels = [...this.#rooms.keys()].map((roomId) => this.#keys.channel(roomId));
    // Where this fails it broke again, or a channel may not be subscribed to; comparing finds what that misses.
    await this.#link.subscribe(channels, this.#listener).catch((error) => this.#observer.failed?.("", error));
    await this.readable();
  }

  /** These channels were not subscribed to for a while (a cluster moved them). */
  async missed(channels: readonly string[]): Promise<void> {
    const rooms = channels.map((channel) => this.#rooms.get(this.#keys.roomOfChannel(channel)));
    await this.#forEach(
      rooms.filter((room) => room !== undefined),
      (room) => this.#bringUpToDate(room),
    );
  }

  /** Logs can be read again: rooms that could not be brought up to date can be now. */
  async readable(): Promise<void> {
    await this.#forEach([...this.#rooms.values()], (room) => this.#bringUpToDate(room));
  }

  close(): void {
    this.#closed = true;
    clearInterval(this.#timer);
    this.#rooms.clear();
  }

  async #begin(room: FollowedRoom): Promise<void> {
    await this.#leaving.get(room.roomId);
    // In this order: what comes after the top was read comes by the channel.
    await this.#link.subscribe([this.#keys.channel(room.roomId)], this.#listener);
    room.delivered = await this.#reader.top(room.roomId);
    room.started = true;
    const { buffer } = room;
    room.buffer = [];
    for (const entry of buffer) {
      this.#take(room, entry);
    }
  }

  #leave(room: FollowedRoom): void {
    room.users -= 1;
    if (room.users > 0 || this.#rooms.get(room.roomId) !== room) {
      return;
    }
    this.#rooms.delete(room.roomId);
    const { roomId } = room;
    const left = this.#link
      // A connection that is not open has no subscriptions.
      .unsubscribe([this.#keys.channel(roomId)], this.#listener)
      .catch(() => {})
      .then(() => {
        if (this.#leaving.get(roomId) === left) {
          this.#leaving.delete(roomId);
        }
      });
    this.#leaving.set(roomId, left);
  }

  readonly #listener: ChannelListener = (payload, channel) => {
    this.#heard += 1;
    const roomId = this.#keys.roomOfChannel(channel.toString());
    const room = this.#rooms.get(roomId);
    if (!room) {
      return;
    }
    let entry: LogEntry;
    try {
      entry = parsePublished(roomId, payload);
    } catch {
      this.#observer.foreign?.(roomId);
      return;
    }
    if (!room.seen || comparePositions(entry.position, room.seen) > 0) {
      room.seen = entry.position;
    }
    if (!room.started) {
      room.keep(entry);
    } else {
      this.#take(room, entry);
    }
  };

  #take(room: FollowedRoom, entry: LogEntry): void {
    if (!room.isBehind(entry.position)) {
      return;
    }
    if (!room.repairing && room.isNext(entry.position)) {
      room.deliver(entry);
      return;
    }
    room.keep(entry);
    void this.#repair(room);
  }

  /** Reads what is missing. One reading at a time a room. Never rejects: a room that stays behind is tried again. */
  #repair(room: FollowedRoom): Promise<void> {
    room.repairing ??= this.#readMissing(room).catch((error) => {
      room.repairing = undefined;
      this.#observer.failed?.(room.roomId, error);
    });
    return room.repairing;
  }

  async #readMissing(room: FollowedRoom): Promise<void> {
    for (;;) {
      const before = room.delivered;
      await this.#readToEnd(room);
      if (this.#isGone(room)) {
        break;
      }
      const { buffer } = room;
      room.buffer = [];
      const at = buffer.findIndex((entry) => {
        if (room.isNext(entry.position)) {
          room.deliver(entry);
        }
        return room.isBehind(entry.position);
      });
      if (at < 0) {
        break;
      }
      if (room.delivered === before) {
        // The log was read and does not have what the channel brought.
        this.#observer.foreign?.(room.roomId);
        room.seen = room.delivered;
        break;
      }
      room.buffer = buffer.slice(at);
    }
    // No await since the buffer was found empty: what comes next finds the room up to date.
    room.repairing = undefined;
  }

  async #readToEnd(room: FollowedRoom): Promise<void> {
    const { roomId } = room;
    let repaired = 0;
    for (;;) {
      const page = await this.#reader.readAfter(roomId, room.delivered, pageEntriesMax);
      for (const entry of page.entries) {
        if (this.#isGone(room)) {
          return;
        }
        if (room.isBehind(entry.position)) {
          if (!room.isNext(entry.position)) {
            repaired += await this.#bridge(room, entry.position, page, endBefore(entry));
          }
          room.deliver(entry);
          repaired += room.buffer.some(({ position }) => comparePositions(position, entry.position) === 0) ? 0 : 1;
        }
      }
      if (page.entries.length < pageEntriesMax) {
        if (page.top && page.entries.length === 0 && room.isBehind(page.top)) {
          // The log let all of it go.
          repaired += await this.#bridge(room, { epoch: page.top.epoch, seq: page.top.seq + 1 }, page);
          room.delivered = page.top;
        }
        break;
      }
    }
    if (repaired > 0) {
      this.#observer.repaired?.(roomId, repaired);
    }
  }

  /** Gets from `delivered` to just before `next`, which the log has next: with what the history has, or by saying what is lost. */
  async #bridge(room: FollowedRoom, next: Position, page: LogPage, end?: Position): Promise<number> {
    const { roomId } = room;
    const from = room.delivered;
    if (!from && next.seq === 0 && !page.floor && !end) {
      return 0;
    }
    let delivered = 0;
    for (;;) {
      const stored = await this.#reader.stored(roomId, room.delivered, next, pageEntriesMax);
      for (const entry of stored) {
        if (!room.isNext(entry.position)) {
          await this.#tellLost(room, entry.position, endBefore(entry));
        }
        room.deliver(entry);
        delivered += 1;
      }
      if (stored.length < pageEntriesMax) {
        break;
      }
    }
    if (!room.isNext(next)) {
      await this.#tellLost(room, next, end);
    }
    return delivered;
  }

  /**
   * Between `delivered` and `next` there is nothing any more. Says so, if there was something.
   * @param end the newest position before `next` that others knew of, where `next` begins an epoch
   */
  async #tellLost(room: FollowedRoom, next: Position, end: Position | undefined): Promise<void> {
    const { roomId, delivered } = room;
    let range: LostRange | undefined;
    if (next.seq > 0) {
      range = { after: delivered, through: positionBefore(next) };
    } else if (!delivered) {
      range = { after: undefined, through: undefined };
    } else if ((end && room.isBehind(end)) || !(await this.#reader.has(roomId, newest(room, next)))) {
      // The server came back without what it had shown; nobody knows what else it had accepted.
      range = { after: delivered, through: undefined };
    }
    if (range) {
      room.lose(range);
      this.#observer.lost?.(roomId, range);
    }
  }

  /** @returns whether the room was behind although its channel is open */
  async #bringUpToDate(room: FollowedRoom, waitMs = 0): Promise<boolean> {
    try {
      if (!room.started) {
        return false;
      }
      // It may have read before what is asked about came.
      await room.repairing;
      const top = await this.#reader.top(room.roomId);
      if (!room.isBehind(top)) {
        return false;
      }
      if (waitMs > 0) {
        await new Promise((resolve) => setTimeout(resolve, waitMs));
      }
      if (this.#isGone(room) || room.repairing || !room.isBehind(top)) {
        return false;
      }
      await this.#repair(room);
      return true;
    } catch (error) {
      this.#observer.failed?.(room.roomId, error);
      return false;
    }
  }

  async #compareAll(): Promise<void> {
    if (this.#comparing) {
      return;
    }
    this.#comparing = true;
    let isDeaf = false;
    await this.#forEach([...this.#rooms.values()], async (room) => {
      const wasDeaf = room.wasDeaf;
      room.wasDeaf = await this.#bringUpToDate(room, onTheWayMs);
      if (room.wasDeaf) {
        this.#observer.deaf?.(room.roomId);
        isDeaf ||= wasDeaf;
      }
    });
    this.#comparing = false;
    const heardNothing = this.#heard === this.#heardBefore;
    this.#heardBefore = this.#heard;
    // Once can be one lost message, and a connection that brings anything is only late.
    if (isDeaf && heardNothing && !this.#closed) {
      this.#link.renew(new Error("the connection for channels is open but brings nothing"));
    }
  }

  async #forEach(rooms: readonly FollowedRoom[], work: (room: FollowedRoom) => Promise<unknown>): Promise<void> {
    const queue = rooms.values();
    const worker = async () => {
      for (const room of queue) {
        if (!this.#isGone(room)) {
          await work(room);
        }
      }
    };
    await Promise.all(Array.from({ length: roomsAtOnceMax }, worker));
  }

  #isGone(room: FollowedRoom): boolean {
    return this.#closed || this.#rooms.get(room.roomId) !== room;
  }
}

/** The newest position before `next` that this process knows of. */
function newest({ delivered, seen }: FollowedRoom, next: Position): Position {
  return seen && seen.epoch < next.epoch && (!delivered || comparePositions(seen, delivered) > 0)
    ? seen
    : (delivered as Position);
}
