/**
 * One reader: the sending half of one open stream, with a byte budget.
 *
 * Connect writes the first message; `open` hands the stream over. While the connection takes what it is given, every
 * outgoing goes straight to it. When it does not, the reader goes down a ladder, and the room does not notice:
 *
 *     live ──write() says false──► behind: what comes is queued, and goes out as one write when the connection drains
 *     behind ──queue over sendQueueBytesMax──► skipping: the queue is dropped; a Gap will name the range, ListMessages has it
 *     skipping ──drained──► live again, after the Gap and the room's state
 *     behind or skipping for slowReaderTimeoutMs ──► ended (SLOW_READER), with the cursor to come back with
 *
 * State: the queue of one stream, of at most sendQueueBytesMax bytes shared with other readers, and the ranges skipped.
 */
import { EndReason } from "../../gen/chat/v1/event_pb.ts";
import type { Framing, ResponseSink, WriteTarget } from "../transport/response-sink.ts";
import { type Codec, type Outgoing, OutgoingSeries } from "./outgoing.ts";
import type { Subscription } from "./subscription.ts";

export interface ReaderLimits {
  /** Bytes that wait for one reader in this process, beside what its socket holds. */
  sendQueueBytesMax: number;
  /** How long a reader may be behind without its connection taking all it was given. */
  slowReaderTimeoutMs: number;
}

/** Why a stream ends and when its reader may come back. */
export interface Ending {
  reason: EndReason;
  retryAfterMs: number;
}

interface Queued {
  outgoing: Outgoing;
  /** Where it belongs to a room's entries: told when they are skipped. */
  subscription: Subscription | undefined;
}

export class Reader {
  readonly codec: Codec;
  /** The rooms that the stream is in, by id. */
  readonly subscriptions = new Map<string, Subscription>();
  /** Whether the stream has nothing more to say once its last room has ended. */
  endsWithLastRoom: boolean;
  /** Resolves when the stream shall end. */
  readonly ended: Promise<Ending>;
  readonly #sink: ResponseSink;
  readonly #limits: ReaderLimits;
  readonly #queue: Queued[] = [];
  #queueBytes = 0;
  #opened = false;
  /** Since when the connection takes nothing, performance.now; undefined: it does. */
  #blockedSince: number | undefined;
  readonly #skipping = new Set<Subscription>();
  #wakeWaiting: (() => void)[] = [];
  #end!: (ending: Ending) => void;
  #isEnded = false;
  /** Ends when what waits has gone out. */
  #finishing: Ending | undefined;

  constructor(sink: ResponseSink, codec: Codec, endsWithLastRoom: boolean, limits: ReaderLimits) {
    this.endsWithLastRoom = endsWithLastRoom;
    this.#sink = sink;
    this.codec = codec;
    this.#limits = limits;
    this.ended = new Promise((resolve) => {
      this.#end = resolve;
    });
    sink.onDrain(() => this.#drained());
  }

  get framing(): Framing {
    return this.#sink.framing;
  }

  /** Where its bytes go, while it takes them. */
  get target(): WriteTarget {
    return this.#sink.target;
  }

  /** What it is sent goes straight to its connection. */
  get isFlowing(): boolean {
    return this.#opened && this.#blockedSince === undefined && !this.#isEnded && !this.#finishing;
  }

  get isEnded(): boolean {
    return this.#isEnded;
  }

  /** It has not taken what it was sent. */
  get isBehind(): boolean {
    return this.#blockedSince !== undefined;
  }

  /** Bytes that wait for this reader here and in its connection. */
  get waitingBytes(): number {
    return this.#queueBytes + this.#sink.bufferedBytes;
  }

  /** Connect has written the head and the first message: from here on the connection is ours. */
  open(): void {
    this.#opened = true;
    this.#goOn();
  }

  /** Sends to this reader. Synchronous; never throws. @param subscription whose entries these are */
  send(outgoing: Outgoing, subscription?: Subscription): void {
    if (this.#isEnded || this.#finishing) {
      return;
    }
    if (this.isFlowing) {
      this.#write(outgoing.bytes(this.codec, this.#sink.framing));
      return;
    }
    if (subscription && this.#skipping.has(subscription)) {
      subscription.skip(outgoing.range);
      return;
    }
    this.#queue.push({ outgoing, subscription });
    this.#queueBytes += outgoing.bytes(this.codec, this.#sink.framing).length;
    if (this.#queueBytes > this.#limits.sendQueueBytesMax) {
      this.#skipQueue();
    }
  }

  /** Resolves when the reader takes more, or has ended. */
  async writable(): Promise<void> {
    while (this.#blockedSince !== undefined && !this.#isEnded) {
      await new Promise<void>((resolve) => this.#wakeWaiting.push(resolve));
    }
  }

  /** Ends every room of the stream with a last event, and the stream once what was sent has gone out. */
  finish(reason: EndReason, retryAfterMs = 0): void {
    if (this.#isEnded || this.#finishing) {
      return;
    }
    for (const subscription of this.subscriptions.values()) {
      this.subscriptions.delete(subscription.room.roomId);
      subscription.end(reason, retryAfterMs);
    }
    this.#finishing = { reason, retryAfterMs };
    this.#endIfFinished();
  }

  /** A room has ended for this reader: so does the stream where that is all it was for. */
  left(subscription: Subscription, reason: EndReason, retryAfterMs: number): void {
    if (this.subscriptions.delete(subscription.room.roomId) && this.endsWithLastRoom && this.subscriptions.size === 0) {
      this.finish(reason, retryAfterMs);
    }
  }

  /** Ends the stream now. What waits here is left out, as after `skip`. */
  end(reason: EndReason, retryAfterMs = 0): void {
    if (this.#isEnded) {
      return;
    }
    this.#isEnded = true;
    for (const { outgoing, subscription } of this.#queue) {
      subscription?.skip(outgoing.range);
    }
    this.#queue.length = 0;
    this.#queueBytes = 0;
    this.#skipping.clear();
    for (const subscription of this.subscriptions.values()) {
      subscription.streamEnded({ reason, retryAfterMs });
    }
    this.subscriptions.clear();
    this.#wake();
    this.#end({ reason, retryAfterMs });
  }

  /** Writes one last thing past queue and budget, for a reader that was ended while it took nothing. */
  sendLast(outgoing: Outgoing): void {
    if (this.#opened) {
      this.#sink.target.write(outgoing.bytes(this.codec, this.#sink.framing));
    }
  }

  /** To be called about every second. @returns whether the reader was behind for too long and has been ended */
  endIfStalled(now: number): boolean {
    if (this.#blockedSince === undefined || now - this.#blockedSince < this.#limits.slowReaderTimeoutMs) {
      return false;
    }
    this.end(EndReason.SLOW_READER);
    return true;
  }

  /** The response is over, and the connection not ours any more. */
  release(): void {
    this.#sink.release();
  }

  /** Cuts the connection off where it still holds what the reader does not take. */
  destroyIfStuck(): void {
    if (this.#sink.bufferedBytes > 0) {
      this.#sink.destroy();
    }
  }

  /** The connection has been given more than it can send: what comes now waits here until it has caught up. */
  fellBehind(): void {
    if (this.#blockedSince === undefined) {
      this.#blockedSince = performance.now();
      for (const subscription of this.subscriptions.values()) {
        subscription.room.readerFellBehind(subscription);
      }
    }
  }

  #write(bytes: Uint8Array): void {
    if (!this.#sink.target.write(bytes)) {
      this.fellBehind();
    }
  }

  #writeQueue(): void {
    if (this.#queue.length === 0) {
      return;
    }
    const parts = this.#queue.map(({ outgoing }) => outgoing);
    const together = parts.length === 1 ? (parts[0] as Outgoing) : new OutgoingSeries(parts, undefined);
    this.#queue.length = 0;
    this.#queueBytes = 0;
    this.#write(together.bytes(this.codec, this.#sink.framing));
  }

  #drained(): void {
    this.#blockedSince = undefined;
    if (this.#opened && !this.#isEnded) {
      this.#goOn();
    }
  }

  /** The connection takes bytes: what waited, what to say of what could not wait, and the end, if that is next. */
  #goOn(): void {
    this.#writeQueue();
    for (const subscription of this.#skipping) {
      this.#skipping.delete(subscription);
      subscription.resumeAfterSkip();
    }
    this.#endIfFinished();
    if (this.isFlowing) {
      for (const subscription of this.subscriptions.values()) {
        subscription.room.readerFlows(subscription);
      }
    }
    this.#wake();
  }

  #endIfFinished(): void {
    if (this.#finishing && this.#opened && this.#blockedSince === undefined) {
      this.end(this.#finishing.reason, this.#finishing.retryAfterMs);
    }
  }

  #wake(): void {
    const waiting = this.#wakeWaiting;
    this.#wakeWaiting = [];
    for (const resolve of waiting) {
      resolve();
    }
  }

  /** Drops what rooms sent, keeps the answers to the reader's own commands. */
  #skipQueue(): void {
    const kept: Queued[] = [];
    for (const queued of this.#queue) {
      if (queued.subscription) {
        this.#skipping.add(queued.subscription);
        queued.subscription.skip(queued.outgoing.range);
      } else {
        kept.push(queued);
      }
    }
    this.#queue.length = 0;
    this.#queue.push(...kept);
    this.#queueBytes = kept.reduce(
      (bytes, { outgoing }) => bytes + outgoing.bytes(this.codec, this.#sink.framing).length,
      0,
    );
    if (this.#queueBytes > this.#limits.sendQueueBytesMax) {
      this.end(EndReason.SLOW_READER);
    }
  }
}
