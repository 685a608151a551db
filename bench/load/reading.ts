/**
 * One reader of the load tool: subscribes, checks what it is sent, and comes back with its cursor when its stream ends.
 * Owns its place in the room and its stream.
 */
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { durationMs } from "@bufbuild/protobuf/wkt";
import { SubscribeRequestSchema, SubscribeResponseSchema } from "../../gen/chat/v1/chat_pb.ts";
import { EndReason } from "../../gen/chat/v1/event_pb.ts";
import { formatPosition, type Position, parsePosition } from "../../storage/position.ts";
import { endingFlags, envelopeOf } from "../wire/envelope-reader.ts";
import type { SubscribeCall, Subscriber, SubscriberEvents } from "../wire/subscriber.ts";
import type { Latency } from "./latency.ts";
import { type ScannedMessage, scanMessage } from "./message-scan.ts";
import { SequenceCheck } from "./sequence-check.ts";
import { nowUs } from "./shared-clock.ts";
import type { Tally } from "./tally.ts";

const retryMsMin = 100;
const retryMsMax = 5_000;

/** Ends that are the API's way of moving readers on: no error. */
const expectedEndings: readonly EndReason[] = [EndReason.ROOM_CLOSED, EndReason.DRAINING, EndReason.MAX_AGE];

/** What all readers of a process share. */
export interface ReadingParts {
  readonly subscribe: (call: SubscribeCall, events: SubscriberEvents) => Subscriber;
  readonly url: URL;
  readonly contentType: string;
  readonly delivery: Latency;
  readonly opening: Latency;
  readonly failedOpens: Tally;
  readonly errors: Tally;
  readonly endings: Tally;
  /** Latencies count for messages due from then on. */
  fromUs: number;
  received: number;
  live: number;
  reconnects: number;
  /** Told when a reader is live, and when it got a message. */
  moved: () => void;
}

const scanned: ScannedMessage = { epoch: 0, seq: 0, dueUs: 0 };

export class Reading {
  readonly check = new SequenceCheck();
  readonly roomId: string;
  readonly isSlow: boolean;
  received = 0;
  readonly #parts: ReadingParts;
  readonly #bytesPerSecond: number | undefined;
  #stream: Subscriber | undefined;
  #isLive = false;
  #isStopped = false;
  #openedUs = 0;
  #failures = 0;
  #retryAfterMs = 0;
  #ended: EndReason | undefined;
  #lastWords = "";

  constructor(parts: ReadingParts, roomId: string, bytesPerSecond: number | undefined) {
    this.#parts = parts;
    this.roomId = roomId;
    this.#bytesPerSecond = bytesPerSecond;
    this.isSlow = bytesPerSecond !== undefined;
  }

  get isLive(): boolean {
    return this.#isLive;
  }

  /** Subscribes: from now, or after its cursor where it has one. */
  open(): void {
    const { url, contentType, subscribe } = this.#parts;
    const cursor = this.check.cursor;
    const start = cursor ? { case: "after" as const, value: formatPosition(cursor) } : { case: undefined };
    const request = toBinary(SubscribeRequestSchema, create(SubscribeRequestSchema, { roomId: this.roomId, start }));
    this.#openedUs = nowUs();
    this.#ended = undefined;
    this.#lastWords = "";
    const call = { url, path: "/chat.v1.ChatService/Subscribe", contentType, body: envelopeOf(request) };
    this.#stream = subscribe(
      { ...call, bytesPerSecond: this.#bytesPerSecond },
      {
        envelope: (flags, bytes, start, end) => this.#take(flags, bytes, start, end),
        closed: (why) => this.#closed(why),
      },
    );
  }

  /** Cuts its stream and comes back at once. */
  reopen(): void {
    this.#leave();
    this.#parts.reconnects++;
    this.open();
  }

  stop(): void {
    this.#isStopped = true;
    this.#leave();
  }

  #leave(): void {
    this.#stream?.close();
    this.#stream = undefined;
    this.#setLive(false);
  }

  #setLive(isLive: boolean): void {
    this.#parts.live += Number(isLive) - Number(this.#isLive);
    this.#isLive = isLive;
  }

  #take(flags: number, bytes: Buffer, start: number, end: number): void {
    if ((flags & endingFlags) !== 0) {
      this.#lastWords = bytes.toString("utf8", start, Math.min(end, start + 120)).trim();
    } else if (scanMessage(bytes, start, end, scanned)) {
      this.received++;
      this.#parts.received++;
      this.check.take(scanned.epoch, scanned.seq);
      if (scanned.dueUs >= this.#parts.fromUs && !this.isSlow) {
        this.#parts.delivery.record(nowUs() - scanned.dueUs);
      }
      this.#parts.moved();
    } else {
      this.#takeOther(bytes.subarray(start, end));
    }
  }

  /** Everything that is rarer than a message. */
  #takeOther(data: Buffer): void {
    const { event } = fromBinary(SubscribeResponseSchema, data);
    switch (event?.kind.case) {
      case "roomState":
        if (event.position !== "") {
          const { epoch, seq } = parsePosition(event.position);
          this.check.take(epoch, seq);
        }
        break;
      case "gap":
        this.check.gap(position(event.kind.value.through));
        break;
      case "heartbeat":
        this.#becomeLive(position(event.kind.value.topPosition));
        break;
      case "ended":
        this.#ended = event.kind.value.reason;
        this.#retryAfterMs = event.kind.value.retryAfter ? durationMs(event.kind.value.retryAfter) : 0;
        this.#parts.endings.add(EndReason[this.#ended] ?? "unknown");
        break;
    }
  }

  #becomeLive(top: Position | undefined): void {
    this.check.begin(top);
    if (!this.#isLive) {
      this.#setLive(true);
      this.#failures = 0;
      this.#parts.opening.record(nowUs() - this.#openedUs);
      this.#parts.moved();
    }
  }

  #closed(why: string): void {
    const wasLive = this.#isLive;
    this.#stream = undefined;
    this.#setLive(false);
    if (this.#isStopped) {
      return;
    }
    const said = this.#lastWords === "" ? why : this.#lastWords;
    if (!wasLive) {
      this.#parts.failedOpens.add(said);
    } else if (!this.#isExpected()) {
      this.#parts.errors.add(said);
    }
    if (this.#ended === EndReason.ROOM_CLOSED) {
      return;
    }
    const growing = Math.min(retryMsMax, retryMsMin * 2 ** Math.min(this.#failures++, 10));
    const waitMs = this.#retryAfterMs + Math.random() * growing;
    this.#retryAfterMs = 0;
    setTimeout(() => {
      if (!this.#isStopped && !this.#stream) {
        this.#parts.reconnects++;
        this.open();
      }
    }, waitMs);
  }

  #isExpected(): boolean {
    return (
      this.#ended !== undefined &&
      (expectedEndings.includes(this.#ended) || (this.isSlow && this.#ended === EndReason.SLOW_READER))
    );
  }
}

/** Undefined: the server has none to tell. */
function position(text: string): Position | undefined {
  return text === "" ? undefined : parsePosition(text);
}
