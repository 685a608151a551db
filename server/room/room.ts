/**
 * One room in this process: follows the room's log and hands what comes to every subscription.
 *
 * What arrives within one turn goes out as one write; where the room is hot, what arrives within a short rest
 * (`delivery-pace.ts`). The newest entries stay here, encoded, so that a reader who joins or comes back soon costs no
 * storage anything.
 *
 * State: the subscriptions, the newest `recentEntriesMax` entries, those not yet delivered, the room's description and its top.
 */
import { create } from "@bufbuild/protobuf";
import { EndReason, type Event, EventSchema, GapReason } from "../../gen/chat/v1/event_pb.ts";
import { type Room as RoomDescription, RoomStatus } from "../../gen/chat/v1/room_pb.ts";
import { decodeEntry } from "../../storage/log/log-event.ts";
import type { LogEntry, LostRange, RoomFollower } from "../../storage/log/room-log.ts";
import { comparePositions, formatPosition, type Position } from "../../storage/position.ts";
import { type Clock, type DeliveryPace, RoomPace } from "./delivery-pace.ts";
import { Lane } from "./lane.ts";
import { type Outgoing, OutgoingEntry, OutgoingSeries } from "./outgoing.ts";
import { outgoingEvent, outgoingGap, type Subscription } from "./subscription.ts";

/** An entry that readers who join now may still need. */
interface RecentEntry {
  position: Position;
  event: Event;
  outgoing: Outgoing;
}

/** A stretch of the recent entries, made for one reader and good for the next who lacks the same. */
interface MissingEntries {
  first: RecentEntry | undefined;
  entries: number;
  through: Position;
  outgoing: Outgoing;
}

/**
 * Bytes of entries that are gathered at most. Writing so many costs so much more than making the write that gathering
 * further saves nothing; and a reader who is behind can hold some such writes.
 */
const gatheredBytesMax = 32_768;

export interface RoomObserver {
  /** One batch went to so many subscriptions, and that took so long. */
  delivered(entries: number, subscriptions: number, ms: number): void;
  /** An entry that is not an event: somebody else wrote into the log. It is left out. */
  undecodable(entry: LogEntry, error: unknown): void;
}

export class Room implements RoomFollower {
  readonly roomId: string;
  readonly #recentEntriesMax: number;
  readonly #observer: RoomObserver;
  readonly #pace: RoomPace;
  readonly #clock: Clock;
  /** All who are live. */
  readonly #subscriptions = new Set<Subscription>();
  /** Those of them whose readers take what they are sent, by codec and framing. */
  readonly #lanes = new Map<string, Lane>();
  /** The others. */
  readonly #behind = new Set<Subscription>();
  /** Those who catch up: they get nothing from the room yet, but need it followed. */
  readonly #joining = new Set<Subscription>();
  #description: RoomDescription;
  /** Oldest first. */
  #recent: RecentEntry[] = [];
  /** Every entry after it is in `recent`; undefined: every entry of the room is. */
  #recentFloor: Position | undefined;
  #top: Position | undefined;
  /** The newest position that live subscriptions were handed. */
  #deliveredTop: Position | undefined;
  /** What has come and is not delivered. */
  #batch: RecentEntry[] = [];
  #batchBytes = 0;
  /** Turns of the event loop in which it came. */
  #batchTurns = 0;
  #isTurnOpen = false;
  /** Whether a timer will look after it. */
  #isResting = false;
  #topWaiting: (() => void)[] = [];
  #lastMissing: MissingEntries | undefined;

  constructor(description: RoomDescription, recentEntriesMax: number, observer: RoomObserver, pace: DeliveryPace) {
    this.roomId = description.roomId;
    this.#description = description;
    this.#recentEntriesMax = recentEntriesMax;
    this.#observer = observer;
    this.#pace = new RoomPace(pace);
    this.#clock = pace.clock;
  }

  /** Following has begun: the log's top at that time. Entries after it may have arrived before. */
  followed(top: Position | undefined): void {
    this.#recentFloor = top;
    if (top && (!this.#top || comparePositions(top, this.#top) > 0)) {
      this.#top = top;
    }
    if (top && (!this.#deliveredTop || comparePositions(top, this.#deliveredTop) > 0)) {
      this.#deliveredTop = top;
    }
  }

  get description(): RoomDescription {
    return this.#description;
  }

  get top(): Position | undefined {
    return this.#top;
  }

  get deliveredTop(): Position | undefined {
    return this.#deliveredTop;
  }

  get recentFloor(): Position | undefined {
    return this.#recentFloor;
  }

  /** Oldest first. */
  get recent(): readonly RecentEntry[] {
    return this.#recent;
  }

  get viewers(): number {
    return this.#subscriptions.size;
  }

  /** Whether nobody is in the room or on the way into it. */
  get isEmpty(): boolean {
    return this.#subscriptions.size === 0 && this.#joining.size === 0;
  }

  /** Whether the entries after `cursor` are all in `recent`. */
  holdsAfter(cursor: Position | undefined): boolean {
    return (
      this.#recentFloor === undefined || (cursor !== undefined && comparePositions(cursor, this.#recentFloor) >= 0)
    );
  }

  /** The room as it is now. */
  state(): Event {
    const topPosition = this.#top ? formatPosition(this.#top) : "";
    const value = { room: this.#description, topPosition };
    return create(EventSchema, { roomId: this.roomId, kind: { case: "roomState", value } });
  }

  /** The stream is alive; the room's top tells a reader who missed something. */
  heartbeat(): Outgoing {
    const topPosition = this.#deliveredTop ? formatPosition(this.#deliveredTop) : "";
    return outgoingEvent(this.roomId, { case: "heartbeat", value: { topPosition } });
  }

  /** Sends to all who are live. */
  send(outgoing: Outgoing): void {
    // Those behind first: who falls behind now has had its bytes.
    for (const subscription of this.#behind) {
      subscription.reader.send(outgoing, subscription);
    }
    for (const lane of this.#lanes.values()) {
      lane.deliver(outgoing);
    }
  }

  /** What this one is sent waits from now on. */
  readerFellBehind(subscription: Subscription): void {
    if (this.#subscriptions.has(subscription)) {
      this.#laneOf(subscription).remove(subscription);
      this.#behind.add(subscription);
    }
  }

  /** This one takes what it is sent again. */
  readerFlows(subscription: Subscription): void {
    if (this.#subscriptions.has(subscription)) {
      this.#behind.delete(subscription);
      const lane = this.#laneOf(subscription);
      lane.remove(subscription);
      lane.add(subscription);
    }
  }

  /** The next entry of the log. What arrives in one turn is delivered together: at its end, or at the end of the room's rest. */
  entry(entry: LogEntry): void {
    this.#top = entry.position;
    let event: Event;
    try {
      event = decodeEntry(entry);
    } catch (error) {
      this.#observer.undecodable(entry, error);
      return;
    }
    if (event.kind.case === "roomState" && event.kind.value.room) {
      this.describe(event.kind.value.room);
    }
    const range = { after: this.#recent.at(-1)?.position ?? this.#recentFloor, through: entry.position };
    const outgoing = new OutgoingEntry(entry, event, range);
    const recent = { position: entry.position, event, outgoing };
    this.#recent.push(recent);
    // Twice the limit, then cut at once: shifting one by one would move the whole array for every entry.
    if (this.#recent.length >= 2 * this.#recentEntriesMax) {
      this.#forget(this.#recent.length - this.#recentEntriesMax);
    }
    this.#batch.push(recent);
    this.#batchBytes += entry.event.length;
    if (!this.#isTurnOpen) {
      this.#isTurnOpen = true;
      queueMicrotask(this.#endTurn);
    }
    this.#wakeTopWaiting();
  }

  /** Entries are gone for good: says so, and forgets what came before them, so that nobody joins across the hole. */
  lost(range: LostRange): void {
    this.flush();
    this.#forget(this.#recent.length);
    const outgoing = outgoingGap(this.roomId, range, GapReason.LOST);
    for (const { reader } of this.#subscriptions) {
      // Without the subscription: what tells of a loss is not left out itself.
      reader.send(outgoing);
    }
  }

  /** Delivers what has arrived. */
  flush(): void {
    const batch = this.#batch;
    const first = batch[0];
    const last = batch.at(-1);
    if (!first || !last) {
      return;
    }
    // Whoever needs the room up to date need not wait for the end of the turn.
    const turns = Math.max(1, this.#batchTurns);
    this.#batch = [];
    this.#batchBytes = 0;
    this.#batchTurns = 0;
    const began = this.#clock.now();
    const outgoing = together(batch);
    this.#deliveredTop = last.position;
    this.send(outgoing);
    const ended = this.#clock.now();
    this.#pace.wrote(began, ended, turns);
    this.#observer.delivered(batch.length, this.#subscriptions.size, ended - began);
    if (this.#description.status === RoomStatus.CLOSED) {
      this.endAll(EndReason.ROOM_CLOSED);
    }
  }

  readonly #endTurn = (): void => {
    this.#isTurnOpen = false;
    if (this.#batch.length > 0) {
      this.#batchTurns++;
      this.#flushAfterRest();
    }
  };

  #flushAfterRest(): void {
    const waitMs = this.#pace.waitMs(this.#clock.now());
    if (waitMs === 0 || this.#batchBytes >= gatheredBytesMax) {
      this.flush();
    } else if (!this.#isResting) {
      this.#isResting = true;
      this.#clock.later(this.#endRest, waitMs);
    }
  }

  readonly #endRest = (): void => {
    this.#isResting = false;
    // It may have been flushed meanwhile, and rest anew.
    if (this.#batch.length > 0) {
      this.#flushAfterRest();
    }
  };

  /** Ends the room for all who are in it. */
  endAll(reason: EndReason, retryAfterMs = 0): void {
    for (const subscription of [...this.#subscriptions]) {
      subscription.end(reason, retryAfterMs);
    }
  }

  /** The room has been changed, as told by the directory or the log; an older version changes nothing. */
  describe(description: RoomDescription): void {
    if (description.version >= this.#description.version) {
      this.#description = description;
    }
  }

  /**
   * Sends the entries after `cursor` from memory and lets the subscription go live, in one step, so that nothing comes
   * between. `holdsAfter(cursor)` must be true.
   */
  join(subscription: Subscription, cursor: Position | undefined, knownVersion: number): void {
    this.flush();
    const missing = this.#missing(cursor, knownVersion);
    if (missing) {
      subscription.catchUp(missing.outgoing, missing.through);
    }
    subscription.becomeLive();
    this.#joining.delete(subscription);
    this.#subscriptions.add(subscription);
    if (subscription.reader.isFlowing) {
      this.readerFlows(subscription);
    } else {
      this.readerFellBehind(subscription);
    }
    if (this.#description.status === RoomStatus.CLOSED) {
      subscription.end(EndReason.ROOM_CLOSED);
    }
  }

  /** A subscription is on the way: it will `join` or `leave`. */
  enter(subscription: Subscription): void {
    this.#joining.add(subscription);
  }

  leave(subscription: Subscription): void {
    this.#joining.delete(subscription);
    this.#subscriptions.delete(subscription);
    this.#behind.delete(subscription);
    this.#laneOf(subscription).remove(subscription);
  }

  /** Resolves when the room has reached `position`, or at the latest after `timeoutMs`. @returns whether it has */
  async reached(position: Position, timeoutMs: number): Promise<boolean> {
    const deadline = performance.now() + timeoutMs;
    while (!this.#top || comparePositions(this.#top, position) < 0) {
      const leftMs = deadline - performance.now();
      if (leftMs <= 0) {
        return false;
      }
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, leftMs);
        this.#topWaiting.push(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
    return true;
  }

  /**
   * What is after `cursor` as one write; undefined: nothing is. Readers who come back together, after a gateway has died
   * or when a show begins, ask for the same, so the last answer is kept.
   */
  #missing(cursor: Position | undefined, knownVersion: number): MissingEntries | undefined {
    let first = this.#recent.length;
    while (first > 0 && (!cursor || comparePositions((this.#recent[first - 1] as RecentEntry).position, cursor) > 0)) {
      first--;
    }
    const isNews = ({ event }: RecentEntry) =>
      event.kind.case !== "roomState" || (event.kind.value.room?.version ?? 0) > knownVersion;
    const entries = this.#recent.slice(first).filter(isNews);
    const last = entries.at(-1);
    if (!last) {
      return undefined;
    }
    const known = this.#lastMissing;
    if (known && known.first === entries[0] && known.through === last.position && known.entries === entries.length) {
      return known;
    }
    const outgoing = together(entries);
    this.#lastMissing = { first: entries[0], entries: entries.length, through: last.position, outgoing };
    return this.#lastMissing;
  }

  #laneOf({ reader }: Subscription): Lane {
    const key = `${reader.codec} ${reader.framing}`;
    const lane = this.#lanes.get(key) ?? new Lane(reader.codec, reader.framing);
    this.#lanes.set(key, lane);
    return lane;
  }

  #wakeTopWaiting(): void {
    if (this.#topWaiting.length > 0) {
      const waiting = this.#topWaiting;
      this.#topWaiting = [];
      for (const resolve of waiting) {
        resolve();
      }
    }
  }

  #forget(entries: number): void {
    if (entries > 0) {
      const forgotten = this.#recent.splice(0, entries);
      this.#recentFloor = forgotten.at(-1)?.position;
    }
  }
}

/** Entries as one write. */
function together(entries: readonly RecentEntry[]): Outgoing {
  const [first] = entries as [RecentEntry];
  const last = entries.at(-1) as RecentEntry;
  if (first === last) {
    return first.outgoing;
  }
  const range = { after: first.outgoing.range?.after, through: last.position };
  return new OutgoingSeries(
    entries.map(({ outgoing }) => outgoing),
    range,
  );
}
