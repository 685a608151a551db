/**
 * Reads the events of one room, over any number of streams: keeps the cursor, drops what came before, notices what is
 * missing, and says with what to begin the next stream. It opens nothing itself: a subscription or a two-way stream
 * feeds it.
 *
 * Owns: the cursor, the counts, and one timer while the room is known to have something newer than what came.
 */

import { create } from "@bufbuild/protobuf";
import { durationMs } from "@bufbuild/protobuf/wkt";
import {
  EndReason,
  type Event,
  type Gap,
  GapReason,
  GapSchema,
  type Heartbeat,
  type RoomState,
  type ViewerCount,
} from "../gen/chat/v1/event_pb.ts";
import type { Message } from "../gen/chat/v1/message_pb.ts";
import { comparePositions, formatPosition, type Position, parsePosition } from "../storage/position.ts";
import type { Clock } from "./clock.ts";
import type { Interruption } from "./connection-state.ts";
import type { LinkEnd } from "./reconnect.ts";

/** Where a reader begins: with the newest `tail` messages (0 to 500), or after a position. */
export type RoomStart = { readonly tail: number } | { readonly after: string };

/** What a reader is told. All are called synchronously, one after the other; one that throws ends the subscription. */
export interface RoomCallbacks {
  /** Each message once, in the order of the room. */
  onMessage(message: Message): void;
  /** The room as it is: at the begin of each stream, and after each change. */
  onRoomState?: (state: RoomState) => void;
  onViewerCount?: (count: ViewerCount) => void;
  /**
   * Messages are missing here. With GAP_REASON_SLOW_READER they can be read by ListMessages. After a gap with
   * GAP_REASON_LOST and no `through` the room has another history: what follows may repeat older messages.
   */
  onGap?: (gap: Gap) => void;
  onHeartbeat?: (heartbeat: Heartbeat) => void;
}

/** Counts since the reader began. */
export interface RoomStats {
  /** Messages handed on. */
  readonly messages: number;
  /** Events that came a second time and were dropped. */
  readonly duplicatesDropped: number;
  /** Gaps handed on. */
  readonly gaps: number;
}

/** What an event means for the stream it came on. */
export type Verdict =
  | { readonly kind: "live"; readonly resumedFrom: string | undefined; readonly caughtUp: number }
  /** The gateway goes: open another stream after the delay, or when this one ends. */
  | { readonly kind: "draining"; readonly delayMs: number }
  | { readonly kind: "ended"; readonly end: LinkEnd };

/** Greatest `tail` that the gateway takes (chat.v1.SubscribeRequest). */
const tailMax = 500;

export class RoomReader {
  #start: RoomStart | undefined;
  readonly #callbacks: RoomCallbacks;
  readonly #clock: Clock;
  readonly #behindTimeoutMs: number;
  readonly #onBehind: (interruption: Interruption) => void;

  #cursor: Position | undefined;
  #cursorText: string | undefined;
  #topPosition: string | undefined;
  #messages = 0;
  #duplicatesDropped = 0;
  #gaps = 0;

  /** Newest position known to be behind the reader, delivered or reported missing: the cursor, or what a gap runs through. */
  #accountedFor: Position | undefined;
  /**
   * While there is no cursor: the room's top when the live part began, so that a reader of a quiet room, too, resumes
   * without a loss. Empty: the room had nothing.
   */
  #baseline: string | undefined;
  /** A top that one resync did not reach; asking again would not help. */
  #unreachableTop: Position | undefined;
  #lastGap: string | undefined;

  // Of the stream that is open now:
  #openedWith: RoomStart | undefined;
  #fromEmptyRoom = false;
  #joinTop: string | undefined;
  #historyDone = false;
  #caughtUp = 0;
  #cancelBehind: (() => void) | undefined;

  /**
   * @param onBehind the stream seems to have lost something: open another one
   */
  constructor(parts: {
    start: RoomStart | undefined;
    callbacks: RoomCallbacks;
    clock: Clock;
    behindTimeoutMs: number;
    onBehind: (interruption: Interruption) => void;
  }) {
    this.#start = parts.start;
    this.#callbacks = parts.callbacks;
    this.#clock = parts.clock;
    this.#behindTimeoutMs = parts.behindTimeoutMs;
    this.#onBehind = parts.onBehind;
    if (parts.start && "after" in parts.start) {
      this.#moveCursor(parts.start.after, parsePosition(parts.start.after));
    }
  }

  /** Where the reader stands: give it to `start.after` to go on later. Undefined while nothing was said. */
  get cursor(): string | undefined {
    return this.#cursorText;
  }

  /** The room's newest position as last heard. */
  get topPosition(): string | undefined {
    return this.#topPosition;
  }

  get stats(): RoomStats {
    return { messages: this.#messages, duplicatesDropped: this.#duplicatesDropped, gaps: this.#gaps };
  }

  /** A new stream is about to be opened. @returns where it has to begin; undefined: with what comes from now on */
  open(): RoomStart | undefined {
    this.close();
    this.#joinTop = undefined;
    this.#historyDone = false;
    this.#caughtUp = 0;
    this.#fromEmptyRoom = false;
    if (this.#cursorText !== undefined) {
      this.#openedWith = { after: this.#cursorText };
    } else if (this.#baseline) {
      this.#openedWith = { after: this.#baseline };
    } else if (this.#baseline === "") {
      this.#openedWith = { tail: tailMax };
      this.#fromEmptyRoom = true;
    } else {
      this.#openedWith = this.#start;
    }
    return this.#openedWith;
  }

  /** The stream is gone. */
  close(): void {
    this.#cancelBehind?.();
    this.#cancelBehind = undefined;
  }

  /**
   * The gateway knows nothing of the cursor (OUT_OF_RANGE): another history stands in its place. Tells `onGap` and
   * begins anew. @returns undefined if the stream was not opened with a cursor: then the refusal means something else
   */
  cursorRefused(): Interruption | undefined {
    if (!this.#openedWith || !("after" in this.#openedWith)) {
      return undefined;
    }
    const refused = this.#openedWith.after;
    this.#cursor = undefined;
    this.#cursorText = undefined;
    this.#accountedFor = undefined;
    this.#unreachableTop = undefined;
    this.#topPosition = undefined;
    this.#baseline = undefined;
    if (!this.#start || "after" in this.#start) {
      this.#start = { tail: tailMax };
    }
    this.#gap(create(GapSchema, { after: refused, reason: GapReason.LOST }));
    return { kind: "cursorRefused", cursor: refused };
  }

  /** @throws {RangeError} if a position is not one; and what the callbacks throw */
  read(event: Event): Verdict | undefined {
    if (event.position !== "") {
      const position = parsePosition(event.position);
      if (this.#cursor && comparePositions(position, this.#cursor) <= 0) {
        this.#duplicatesDropped += 1;
        return undefined;
      }
      if (this.#fromEmptyRoom && this.#cursor === undefined && position.seq > 0) {
        // The room was empty when the reader left it, and more was said since than one tail brings.
        const through = formatPosition({ epoch: position.epoch, seq: position.seq - 1 });
        this.#gap(create(GapSchema, { through, reason: GapReason.SLOW_READER }));
      }
      this.#moveCursor(event.position, position);
    }
    const { kind } = event;
    switch (kind.case) {
      case "message":
        this.#messages += 1;
        if (!this.#historyDone) {
          this.#caughtUp += 1;
        }
        this.#callbacks.onMessage(kind.value);
        return undefined;
      case "roomState":
        if (this.#joinTop === undefined) {
          this.#joinTop = kind.value.topPosition;
          if (!this.#start || ("tail" in this.#start && this.#start.tail === 0)) {
            this.#setBaseline();
          }
        }
        this.#noteTop(kind.value.topPosition);
        this.#callbacks.onRoomState?.(kind.value);
        return undefined;
      case "viewerCount":
        this.#callbacks.onViewerCount?.(kind.value);
        return undefined;
      case "gap":
        if (kind.value.through !== "") {
          this.#accountFor(parsePosition(kind.value.through));
        }
        this.#gap(kind.value);
        return undefined;
      case "heartbeat":
        return this.#heartbeat(kind.value);
      case "draining":
        return { kind: "draining", delayMs: kind.value.reconnectAfter ? durationMs(kind.value.reconnectAfter) : 0 };
      case "ended":
        return {
          kind: "ended",
          end: linkEndOfReason(kind.value.reason, kind.value.retryAfter ? durationMs(kind.value.retryAfter) : 0),
        };
      default:
        // A kind from a later version: its position counts, the rest is not for this client.
        return undefined;
    }
  }

  #heartbeat(heartbeat: Heartbeat): Verdict | undefined {
    const first = !this.#historyDone;
    if (first) {
      this.#historyDone = true;
      this.#setBaseline();
    }
    this.#noteTop(heartbeat.topPosition);
    this.#lookBehind(heartbeat.topPosition);
    this.#callbacks.onHeartbeat?.(heartbeat);
    if (!first) {
      return undefined;
    }
    const resumedFrom = this.#openedWith && "after" in this.#openedWith ? this.#openedWith.after : undefined;
    return { kind: "live", resumedFrom, caughtUp: this.#caughtUp };
  }

  /** From here on a reader without a cursor would miss what comes: the top at the join is as good as a cursor. */
  #setBaseline(): void {
    if (this.#cursor || this.#baseline || this.#joinTop === undefined) {
      return;
    }
    this.#baseline = this.#joinTop;
    if (this.#joinTop !== "") {
      this.#accountFor(parsePosition(this.#joinTop));
    }
  }

  /** The room has `topText`: if that, or anything new, does not come within the time, something is lost on the way. */
  #lookBehind(topText: string): void {
    if (topText === "" || this.#cancelBehind) {
      return;
    }
    const top = parsePosition(topText);
    const known = [this.#accountedFor, this.#unreachableTop].some((to) => to && comparePositions(top, to) <= 0);
    if (known) {
      return;
    }
    const before = this.#accountedFor;
    this.#cancelBehind = this.#clock.after(this.#behindTimeoutMs, () => {
      this.#cancelBehind = undefined;
      if (this.#accountedFor === before) {
        this.#unreachableTop = top;
        this.#onBehind({ kind: "behind", cursor: this.#cursorText ?? "", topPosition: topText });
      } else {
        this.#lookBehind(topText);
      }
    });
  }

  #noteTop(topText: string): void {
    if (topText !== "") {
      this.#topPosition = topText;
    }
  }

  #moveCursor(text: string, position: Position): void {
    this.#cursorText = text;
    this.#cursor = position;
    this.#accountFor(position);
  }

  #accountFor(position: Position): void {
    if (!this.#accountedFor || comparePositions(position, this.#accountedFor) > 0) {
      this.#accountedFor = position;
    }
  }

  /** Each resume before the next message would meet the same gap again: it is told once. */
  #gap(gap: Gap): void {
    const { after, through, reason } = gap;
    const key = `${after} ${through} ${reason} ${this.#cursorText}`;
    if (key === this.#lastGap) {
      return;
    }
    this.#lastGap = key;
    this.#gaps += 1;
    this.#callbacks.onGap?.(gap);
  }
}

/** What a reason to end means for whoever wants the room's events. */
function linkEndOfReason(reason: EndReason, delayMs: number): LinkEnd {
  switch (reason) {
    case EndReason.ROOM_CLOSED:
      return { final: { kind: "roomClosed" } };
    case EndReason.LEFT:
      return { final: { kind: "left" } };
    default:
      // Also a reason from a later version: coming back is harmless, staying away is not.
      return { again: { kind: "ended", reason }, delayMs };
  }
}
