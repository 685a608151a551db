/**
 * One reader in one room. A Subscribe call has one subscription, a Chat call one for every room it joined.
 *
 * State: what the reader was left out of while behind, its cursor while it catches up, and whether it has ended.
 */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { SubscribeResponseSchema } from "../../gen/chat/v1/chat_pb.ts";
import { EndReason, type EventSchema, GapReason } from "../../gen/chat/v1/event_pb.ts";
import { formatPosition, type Position } from "../../storage/position.ts";
import { type EntryRange, type Outgoing, OutgoingMessage } from "./outgoing.ts";
import type { Ending, Reader } from "./reader.ts";
import type { Room } from "./room.ts";

/** One event that is not in the room's log. */
export function outgoingEvent(roomId: string, kind: MessageInitShape<typeof EventSchema>["kind"]): Outgoing {
  return new OutgoingMessage(SubscribeResponseSchema, create(SubscribeResponseSchema, { event: { roomId, kind } }));
}

/** The event that says that a range is missing. */
export function outgoingGap(
  roomId: string,
  range: { after: Position | undefined; through: Position | undefined },
  reason: GapReason,
): Outgoing {
  const after = range.after ? formatPosition(range.after) : "";
  const through = range.through ? formatPosition(range.through) : "";
  return outgoingEvent(roomId, { case: "gap", value: { after, through, reason } });
}

export class Subscription {
  readonly room: Room;
  readonly reader: Reader;
  #skipped: EntryRange | undefined;
  #cursor: Position | undefined;
  #isLive = false;
  #isEnded = false;

  /** Enters the room; `catchUp` brings it to the live part. */
  constructor(room: Room, reader: Reader) {
    this.room = room;
    this.reader = reader;
    reader.subscriptions.set(room.roomId, this);
    room.enter(this);
  }

  get isEnded(): boolean {
    return this.#isEnded || this.reader.isEnded;
  }

  /** Everything at or before it was sent, left out with a Gap, or is not wanted. */
  get cursor(): Position | undefined {
    if (this.#skipped) {
      return this.#skipped.after;
    }
    return this.#isLive ? this.room.deliveredTop : this.#cursor;
  }

  /** Nothing at or before this position is wanted. */
  begin(cursor: Position | undefined): void {
    this.#cursor = cursor;
  }

  /** Sends a stretch of the room's log from before the live part. */
  catchUp(outgoing: Outgoing, cursor: Position): void {
    this.reader.send(outgoing, this);
    this.#cursor = cursor;
  }

  /** The live part begins: from now on the room sends, and its top is the cursor. */
  becomeLive(): void {
    this.#isLive = true;
  }

  /** Tells the reader that it is up to date, and how far the room is. */
  sendHeartbeat(): void {
    if (!this.isEnded) {
      this.reader.send(this.room.heartbeat(), this);
    }
  }

  /** The reader is left out of this range; undefined: of something that is in no log. */
  skip(range: EntryRange | undefined): void {
    if (range) {
      this.#skipped = { after: this.#skipped ? this.#skipped.after : range.after, through: range.through };
    }
  }

  /** The reader takes bytes again: tells it what it was left out of and how the room is now. */
  resumeAfterSkip(): void {
    const skipped = this.#skipped;
    if (skipped && !this.isEnded) {
      this.#skipped = undefined;
      this.reader.send(outgoingGap(this.room.roomId, skipped, GapReason.SLOW_READER));
      this.reader.send(outgoingEvent(this.room.roomId, this.room.state().kind));
    }
  }

  /** Ends the room for this reader, with a last event. The stream goes on. */
  end(reason: EndReason, retryAfterMs = 0): void {
    if (this.isEnded) {
      return;
    }
    this.reader.send(this.#endedEvent({ reason, retryAfterMs }));
    this.#isEnded = true;
    this.room.leave(this);
    this.reader.left(this, reason, retryAfterMs);
  }

  /** Leaves the room without a word: it was never told that it is in. */
  withdraw(): void {
    this.#isEnded = true;
    this.room.leave(this);
    this.reader.subscriptions.delete(this.room.roomId);
  }

  /** The stream has ended: leaves the room. A reader who stalled is left its cursor, should it ever look. */
  streamEnded(ending: Ending): void {
    if (!this.#isEnded && ending.reason === EndReason.SLOW_READER) {
      this.reader.sendLast(this.#endedEvent(ending));
    }
    this.#isEnded = true;
    this.room.leave(this);
  }

  #endedEvent({ reason, retryAfterMs }: Ending): Outgoing {
    const resumeAfter = this.cursor ? formatPosition(this.cursor) : "";
    return outgoingEvent(this.room.roomId, {
      case: "ended",
      value: { reason, resumeAfter, ...(retryAfterMs > 0 && { retryAfter: durationFromMs(retryAfterMs) }) },
    });
  }
}
