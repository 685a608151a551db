/**
 * All rooms and readers of this process.
 *
 * A room is followed while somebody is in it and a little longer. One timer does everything that recurs: heartbeats with
 * the room's top, viewer counts, readers that stall, streams that are too old, rooms that nobody needs any more.
 *
 * State: the rooms followed and the readers open, each with a bound.
 */

import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { EndReason } from "../../gen/chat/v1/event_pb.ts";
import type { Room as RoomDescription } from "../../gen/chat/v1/room_pb.ts";
import type { Following, RoomLog } from "../../storage/log/room-log.ts";
import { formatPosition } from "../../storage/position.ts";
import { refuse } from "../rpc/refusals.ts";
import type { ResponseSink } from "../transport/response-sink.ts";
import { type Clock, DeliveryPace, processClock } from "./delivery-pace.ts";
import type { Codec } from "./outgoing.ts";
import { Reader, type ReaderLimits } from "./reader.ts";
import { Room, type RoomObserver } from "./room.ts";
import { outgoingEvent } from "./subscription.ts";

export interface HubLimits extends ReaderLimits {
  /** Open streams of this process. */
  streamsMax: number;
  /** Entries that a room keeps in memory for those who join or come back. */
  recentEntriesMax: number;
  heartbeatIntervalMs: number;
  /** How long a stream may last, give or take a tenth. */
  streamAgeMaxMs: number;
  /** How long a room is followed after its last reader has left. */
  roomIdleMs: number;
  /** How long what reaches a hot room may wait for more; 0: nothing waits. */
  roomLingerMsMax: number;
}

interface FollowedRoom {
  room: Room;
  following: Following | undefined;
  /** Resolves when the room is followed. */
  ready: Promise<Room>;
  idleSince: number | undefined;
  heartbeatAt: number;
  /** As last told to the room's readers. */
  viewersTold: number;
}

/** How often the recurring things are looked at, and so the shortest time between two viewer counts. */
const tickMs = 1_000;

/** How long a refused stream should wait. */
const fullRetryAfterMs = 5_000;

export class Hub {
  readonly #log: RoomLog;
  readonly #limits: HubLimits;
  readonly #observer: RoomObserver;
  readonly #random: () => number;
  readonly #pace: DeliveryPace;
  readonly #rooms = new Map<string, FollowedRoom>();
  /** Open readers and when they are too old, performance.now. */
  readonly #readers = new Map<Reader, number>();
  readonly #timer: ReturnType<typeof setInterval>;
  #isDraining = false;

  /** @param clock of the rooms' pace */
  constructor(
    log: RoomLog,
    limits: HubLimits,
    observer: RoomObserver,
    random: () => number = Math.random,
    clock: Clock = processClock,
  ) {
    this.#log = log;
    this.#limits = limits;
    this.#observer = observer;
    this.#random = random;
    this.#pace = new DeliveryPace(limits.roomLingerMsMax, clock);
    this.#timer = setInterval(() => this.#tick(), tickMs);
  }

  get streams(): number {
    return this.#readers.size;
  }

  get roomsFollowed(): number {
    return this.#rooms.size;
  }

  /** Bytes that wait for readers who are behind. */
  get waitingBytes(): number {
    let bytes = 0;
    for (const reader of this.#readers.keys()) {
      if (reader.isBehind) {
        bytes += reader.waitingBytes;
      }
    }
    return bytes;
  }

  /** Opens a reader. Give it back with `close`. @throws {ConnectError} TOO_MANY_STREAMS, DRAINING */
  openReader(sink: ResponseSink, codec: Codec, endsWithLastRoom: boolean): Reader {
    if (this.#isDraining) {
      throw refuse("DRAINING", "the gateway stops", { retryAfterMs: this.#jitter(tickMs) });
    }
    const { streamsMax, streamAgeMaxMs } = this.#limits;
    if (this.#readers.size >= streamsMax) {
      throw refuse(
        "TOO_MANY_STREAMS",
        `this gateway has ${this.#readers.size} open streams, the limit is ${streamsMax}`,
        {
          retryAfterMs: this.#jitter(fullRetryAfterMs),
        },
      );
    }
    const reader = new Reader(sink, codec, endsWithLastRoom, this.#limits);
    this.#readers.set(reader, performance.now() + streamAgeMaxMs * (0.9 + 0.2 * this.#random()));
    return reader;
  }

  closeReader(reader: Reader): void {
    this.#readers.delete(reader);
    reader.end(EndReason.LEFT);
  }

  /** The room, followed: what is appended from now on is delivered. */
  async room(description: RoomDescription): Promise<Room> {
    const known = this.#rooms.get(description.roomId);
    if (known) {
      known.room.describe(description);
      known.idleSince = undefined;
      return known.ready;
    }
    const room = new Room(description, this.#limits.recentEntriesMax, this.#observer, this.#pace);
    const followed: FollowedRoom = {
      room,
      following: undefined,
      ready: undefined as never,
      idleSince: undefined,
      heartbeatAt: performance.now() + this.#limits.heartbeatIntervalMs * this.#random(),
      viewersTold: 0,
    };
    followed.ready = this.#log.follow(description.roomId, room).then(
      (following) => {
        followed.following = following;
        room.followed(following.top);
        return room;
      },
      (error) => {
        this.#rooms.delete(description.roomId);
        throw error;
      },
    );
    this.#rooms.set(description.roomId, followed);
    return followed.ready;
  }

  /** Tells every reader to come back elsewhere, each at a time of its own, and ends their streams then. */
  async drain(timeoutMs: number): Promise<void> {
    this.#isDraining = true;
    const timers: ReturnType<typeof setTimeout>[] = [];
    const endings: Promise<unknown>[] = [];
    for (const reader of this.#readers.keys()) {
      const delayMs = Math.round(this.#random() * timeoutMs * 0.8);
      for (const { room, cursor } of reader.subscriptions.values()) {
        const value = { reconnectAfter: durationFromMs(delayMs), resumeAfter: cursor ? formatPosition(cursor) : "" };
        reader.send(outgoingEvent(room.roomId, { case: "draining", value }));
      }
      timers.push(setTimeout(() => reader.finish(EndReason.DRAINING), delayMs));
      endings.push(reader.ended);
    }
    const timeout = Promise.withResolvers<void>();
    timers.push(setTimeout(timeout.resolve, timeoutMs));
    await Promise.race([Promise.all(endings), timeout.promise]);
    for (const timer of timers) {
      clearTimeout(timer);
    }
    for (const reader of [...this.#readers.keys()]) {
      reader.end(EndReason.DRAINING);
    }
  }

  close(): void {
    clearInterval(this.#timer);
    for (const reader of [...this.#readers.keys()]) {
      reader.end(EndReason.DRAINING);
    }
    for (const { following } of this.#rooms.values()) {
      following?.stop();
    }
    this.#rooms.clear();
  }

  #jitter(ms: number): number {
    return Math.round(ms * (0.5 + this.#random()));
  }

  #tick(): void {
    const now = performance.now();
    for (const [roomId, followed] of this.#rooms) {
      this.#tickRoom(roomId, followed, now);
    }
    for (const [reader, endAt] of this.#readers) {
      if (!reader.endIfStalled(now) && endAt <= now) {
        this.#readers.set(reader, Infinity);
        reader.finish(EndReason.MAX_AGE);
      }
    }
  }

  #tickRoom(roomId: string, followed: FollowedRoom, now: number): void {
    const { room, following } = followed;
    if (room.isEmpty) {
      followed.viewersTold = 0;
      followed.idleSince ??= now;
      if (following && now - followed.idleSince >= this.#limits.roomIdleMs) {
        this.#rooms.delete(roomId);
        following.stop();
      }
      return;
    }
    followed.idleSince = undefined;
    if (room.viewers !== followed.viewersTold) {
      followed.viewersTold = room.viewers;
      room.send(outgoingEvent(roomId, { case: "viewerCount", value: { viewers: room.viewers } }));
    }
    if (followed.heartbeatAt <= now) {
      followed.heartbeatAt = now + this.#limits.heartbeatIntervalMs;
      room.send(room.heartbeat());
    }
  }
}
