/**
 * One consumer group of the embedded room log: which entries wait, who has which in hand, who is waiting for some.
 *
 * The log pushes what it has committed; members take, acknowledge and release. A room with entries in hand belongs to the
 * member that holds them, so that a room's order survives however many members share the work:
 *
 *     waiting ──take──► in hand ──ack──► settled
 *        ▲                 │
 *        └─── release, close of the member
 *
 * It owns the queue in memory; what is on disk, and the bound of group persist, are the log's.
 */
import { Deque } from "./deque.ts";
import { RoomLogUnavailableError } from "./errors.ts";
import type { ConsumerGroup, Delivery, LogConsumer, LogEntry } from "./room-log.ts";

/** An entry as the log has it in memory. */
export interface Slot {
  /** Counts the entries of all rooms; rises with every append. */
  readonly number: number;
  readonly entry: LogEntry;
  /** Group persist has acknowledged it. */
  persisted: boolean;
}

interface Item {
  readonly slot: Slot;
  attempts: number;
}

/** The entries of one room that the group has not done with. */
class RoomQueue {
  readonly waiting = new Deque<Item>();
  inHand = 0;
  /** Whoever has entries in hand. */
  holder: Member | undefined;
  constructor(readonly roomId: string) {}
}

export interface ConsumerQueueOptions {
  group: ConsumerGroup;
  /**
   * The most entries waiting or in hand. Beyond it the oldest waiting entry of the room served longest ago is dropped.
   * Undefined: the log itself takes no more than it can hold.
   */
  entriesMax?: number | undefined;
  onDropped?: ((group: ConsumerGroup, entries: number) => void) | undefined;
  /** Makes an acknowledgement stay; the entries remain in hand until it resolves. Undefined: memory is enough. */
  settle?: ((slots: readonly Slot[]) => Promise<void>) | undefined;
}

interface Waiter {
  readonly member: Member;
  readonly entriesMax: number;
  readonly resolve: (deliveries: Delivery[]) => void;
  readonly reject: (error: Error) => void;
}

export class ConsumerQueue {
  readonly options: ConsumerQueueOptions;
  readonly #rooms = new Map<string, RoomQueue>();
  readonly #members = new Map<string, Member>();
  readonly #waiters = new Set<Waiter>();
  /** Rooms that nobody holds and that have something waiting; the one served longest ago first. */
  readonly #ready = new Set<RoomQueue>();
  #entries = 0;
  #closed = false;

  constructor(options: ConsumerQueueOptions) {
    this.options = options;
  }

  /** Entries waiting or in hand. */
  get entries(): number {
    return this.#entries;
  }

  /** Adds an entry, later than all of its room before. Hands out nothing yet: see `wake`. */
  push(slot: Slot): void {
    const { roomId } = slot.entry;
    let room = this.#rooms.get(roomId);
    if (!room) {
      room = new RoomQueue(roomId);
      this.#rooms.set(roomId, room);
    }
    room.waiting.push({ slot, attempts: 0 });
    this.#entries += 1;
    this.#place(room);
    if (this.#entries > (this.options.entriesMax ?? Number.POSITIVE_INFINITY)) {
      this.#drop(this.#ready.values().next().value ?? room);
    }
  }

  /** Hands what is waiting to those who wait. */
  wake(): void {
    for (const waiter of this.#waiters) {
      const deliveries = this.serve(waiter.member, waiter.entriesMax);
      if (deliveries.length > 0) {
        this.#waiters.delete(waiter);
        waiter.resolve(deliveries);
      }
    }
  }

  join(name: string): LogConsumer {
    if (this.#members.has(name)) {
      throw new Error(`group ${this.options.group} has a member called ${name} already`);
    }
    const member = new Member(this, name);
    this.#members.set(name, member);
    return member;
  }

  /** Every waiting and later call is refused. */
  close(): void {
    this.#closed = true;
    for (const waiter of this.#waiters) {
      waiter.reject(closedError());
    }
    this.#waiters.clear();
  }

  /** @throws {RoomLogUnavailableError} once closed */
  checkOpen(): void {
    if (this.#closed) {
      throw closedError();
    }
  }

  /** What is ready for this member, at most `entriesMax`; a room's entries in order. */
  serve(member: Member, entriesMax: number): Delivery[] {
    const deliveries: Delivery[] = [];
    while (deliveries.length < entriesMax) {
      // Own rooms and free ones in turn, so that neither a busy room nor a crowd of free ones starves the other.
      member.ownFirst = !member.ownFirst;
      const [one, other] = member.ownFirst ? [member.ready, this.#ready] : [this.#ready, member.ready];
      const room = one.values().next().value ?? other.values().next().value;
      if (!room) {
        break;
      }
      this.#ready.delete(room);
      member.ready.delete(room);
      room.holder = member;
      while (deliveries.length < entriesMax) {
        const item = room.waiting.shift();
        if (!item) {
          break;
        }
        item.attempts += 1;
        room.inHand += 1;
        const id = String(item.slot.number);
        member.inHand.set(id, item);
        deliveries.push({ id, entry: item.slot.entry, attempts: item.attempts });
      }
      this.#place(room);
    }
    return deliveries;
  }

  wait(waiter: Waiter): void {
    this.#waiters.add(waiter);
  }

  stopWaiting(waiter: Waiter): void {
    if (this.#waiters.delete(waiter)) {
      waiter.resolve([]);
    }
  }

  /** Forgets items that were in hand. */
  settled(items: readonly Item[]): void {
    this.#entries -= items.length;
    this.#letGo(items);
    this.wake();
  }

  /** Puts items that were in hand back to the front of their rooms. */
  putBack(items: readonly Item[]): void {
    for (const [roomId, back] of Map.groupBy(items, (item) => item.slot.entry.roomId)) {
      const waiting = this.#rooms.get(roomId)?.waiting;
      const latest = back.reduce((number, item) => Math.max(number, item.slot.number), 0);
      // What was put back before may be older or newer than this; what never went out is newer than both.
      const front = [...back];
      for (let item = waiting?.at(0); item && item.slot.number < latest; item = waiting?.at(0)) {
        front.push(item);
        waiting?.shift();
      }
      front.sort((a, b) => b.slot.number - a.slot.number);
      for (const item of front) {
        waiting?.unshift(item);
      }
    }
    this.#letGo(items);
    this.wake();
  }

  leave(member: Member): void {
    this.#members.delete(member.name);
    for (const waiter of this.#waiters) {
      if (waiter.member === member) {
        this.stopWaiting(waiter);
      }
    }
  }

  /** Counts items out of their holder's hand; a room without any is free again. */
  #letGo(items: readonly Item[]): void {
    for (const item of items) {
      const room = this.#rooms.get(item.slot.entry.roomId);
      if (room) {
        room.inHand -= 1;
        if (room.inHand === 0) {
          room.holder?.ready.delete(room);
          room.holder = undefined;
        }
        this.#place(room);
      }
    }
  }

  /** Puts a room where `serve` finds it, or forgets it when it has nothing left. */
  #place(room: RoomQueue): void {
    if (room.waiting.length > 0) {
      (room.holder?.ready ?? this.#ready).add(room);
    } else if (room.inHand === 0) {
      this.#ready.delete(room);
      this.#rooms.delete(room.roomId);
    }
  }

  #drop(room: RoomQueue): void {
    room.waiting.shift();
    this.#entries -= 1;
    if (room.waiting.length === 0) {
      this.#ready.delete(room);
      room.holder?.ready.delete(room);
    }
    this.#place(room);
    this.options.onDropped?.(this.options.group, 1);
  }
}

class Member implements LogConsumer {
  /** What it holds, by delivery id. */
  readonly inHand = new Map<string, Item>();
  /** Rooms it holds that have more waiting. */
  readonly ready = new Set<RoomQueue>();
  ownFirst = false;
  readonly #queue: ConsumerQueue;
  #left = false;

  constructor(
    queue: ConsumerQueue,
    readonly name: string,
  ) {
    this.#queue = queue;
  }

  /** @throws {RangeError} if `entriesMax` is less than 1 */
  async take(entriesMax: number, signal: AbortSignal): Promise<Delivery[]> {
    if (!Number.isInteger(entriesMax) || entriesMax < 1) {
      throw new RangeError(`entriesMax is ${entriesMax}, it must be at least 1`);
    }
    this.#check();
    if (signal.aborted) {
      return [];
    }
    const deliveries = this.#queue.serve(this, entriesMax);
    if (deliveries.length > 0) {
      return deliveries;
    }
    const { promise, resolve, reject } = Promise.withResolvers<Delivery[]>();
    const waiter: Waiter = { member: this, entriesMax, resolve, reject };
    const stop = () => this.#queue.stopWaiting(waiter);
    this.#queue.wait(waiter);
    signal.addEventListener("abort", stop, { once: true });
    return promise.finally(() => signal.removeEventListener("abort", stop));
  }

  async ack(deliveries: readonly Delivery[]): Promise<void> {
    this.#queue.checkOpen();
    const items = this.#held(deliveries);
    if (items.length === 0) {
      return;
    }
    await this.#queue.options.settle?.(items.map((item) => item.slot));
    // Meanwhile some may have gone back; those come again although they need not.
    this.#queue.settled(this.#drop(items));
  }

  async release(deliveries: readonly Delivery[]): Promise<void> {
    this.#queue.checkOpen();
    this.#queue.putBack(this.#drop(this.#held(deliveries)));
  }

  async close(): Promise<void> {
    if (this.#left) {
      return;
    }
    this.#left = true;
    this.#queue.leave(this);
    this.#queue.putBack(this.#drop([...this.inHand.values()]));
  }

  #check(): void {
    this.#queue.checkOpen();
    if (this.#left) {
      throw new Error(`member ${this.name} has left group ${this.#queue.options.group}`);
    }
  }

  #held(deliveries: readonly Delivery[]): Item[] {
    const items = new Set<Item>();
    for (const { id } of deliveries) {
      const item = this.inHand.get(id);
      if (item) {
        items.add(item);
      }
    }
    return [...items];
  }

  /** Takes items out of hand; answers those that were still in it. */
  #drop(items: readonly Item[]): Item[] {
    return items.filter((item) => this.inHand.delete(String(item.slot.number)));
  }
}

function closedError(): RoomLogUnavailableError {
  return new RoomLogUnavailableError("the room log is closed", 1_000);
}
