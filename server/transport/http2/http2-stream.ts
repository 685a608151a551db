/**
 * One stream of an HTTP/2 connection: a request that comes in, and its response (RFC 9113, 5.1 and 8.1).
 *
 * The application iterates over the stream to read the request's body, calls `respond`, then `send` and `end`. The hub
 * writes its shared frames with `write`. What the peer's windows or the socket do not take waits here, in order, and the end behind it.
 *
 * State: what has come of the request and was not read, what waits of the response, and both windows.
 */

import type { WriteTarget } from "../response-sink.ts";
import type { ConnectionOutput } from "./connection-output.ts";
import {
  ErrorCode,
  Flag,
  FrameType,
  frame,
  frameHeadBytes,
  framePayloadBytesMax,
  writeFrameHead,
  writeStreamId,
} from "./frames.ts";
import { encodeHeaderBlock } from "./hpack-encoder.ts";
import type { RequestHead } from "./request-head.ts";

/** What a stream needs of its connection. */
export interface StreamOwner {
  readonly output: ConnectionOutput;
  /** It has something to send that must wait for windows or the socket. */
  waits(stream: Http2Stream): void;
  /** Bytes of its request have been read: the peer may send as many more. */
  consumed(stream: Http2Stream, bytes: number): void;
  /** Both halves have ended, or `reset` was called. */
  ended(stream: Http2Stream, resetCode: number | undefined): void;
}

/** The stream, or its connection, is gone. */
export class Http2StreamClosedError extends Error {
  override readonly name = "Http2StreamClosedError";
  /** One of `ErrorCode`. */
  readonly errorCode: number;

  constructor(errorCode: number) {
    super(`the stream was closed with HTTP/2's code ${errorCode}`);
    this.errorCode = errorCode;
  }
}

type Fields = Iterable<readonly [name: string, value: string]>;

const endOfBody: IteratorResult<Uint8Array> = { done: true, value: undefined };

/** A body's bytes are copied out of a chunk that is so many times larger: kept, they would keep all of it. */
const chunkRatioMax = 4;

export class Http2Stream implements AsyncIterable<Uint8Array>, AsyncIterator<Uint8Array>, WriteTarget {
  // What every delivery touches stands first, as in ConnectionOutput.
  readonly connection: ConnectionOutput;
  readonly id: number;
  /** What the peer takes on this stream. */
  sendWindow: number;
  #unsentBytes = 0;
  readonly head: RequestHead;
  /** Whether the connection is TLS. */
  readonly isEncrypted: boolean;
  /** What we still take on this stream. */
  receiveWindow: number;
  /** When the request's body must have come to its end, performance.now; Infinity: it may take its time. */
  bodyDeadline = Infinity;
  /** What has come of the request's body. */
  bodyBytes = 0;
  /** What was read of it and is not in the peer's window again. */
  unacknowledgedBytes = 0;
  readonly #owner: StreamOwner;
  /** What has come and was not read. */
  readonly #received: Uint8Array[] = [];
  #hasRequestEnded = false;
  /** Nobody reads the rest of the body. */
  #isBodyUnwanted = false;
  #reading: PromiseWithResolvers<IteratorResult<Uint8Array>> | undefined;
  #hasResponded = false;
  readonly #unsent: Uint8Array[] = [];
  /** How the response ends once what waits is out: with END_STREAM on DATA, or with these trailers. */
  #ending: "data" | Fields | undefined;
  #hasResponseEnded = false;
  /** Since when the peer takes nothing of what waits, performance.now; Infinity: nothing waits. */
  #stalledSince = Infinity;
  #onDrain: (() => void) | undefined;
  #writable: PromiseWithResolvers<void> | undefined;
  #onClose: ((error: Http2StreamClosedError | undefined) => void) | undefined;
  #isClosed = false;
  #closedBy: Http2StreamClosedError | undefined;

  constructor(
    owner: StreamOwner,
    id: number,
    head: RequestHead,
    windows: { send: number; receive: number },
    isEncrypted: boolean,
  ) {
    this.#owner = owner;
    this.connection = owner.output;
    this.id = id;
    this.head = head;
    this.sendWindow = windows.send;
    this.receiveWindow = windows.receive;
    this.isEncrypted = isEncrypted;
  }

  get hasRequestEnded(): boolean {
    return this.#hasRequestEnded;
  }

  get hasResponded(): boolean {
    return this.#hasResponded;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** @throws {Http2StreamClosedError} */
  throwIfClosed(): void {
    if (this.#isClosed) {
      throw this.#closedBy ?? new Http2StreamClosedError(ErrorCode.NO_ERROR);
    }
  }

  /** Bytes of the response that the peer's windows do not take, or that its connection does not. */
  get bufferedBytes(): number {
    return this.#unsentBytes + this.connection.waitingBytes;
  }

  /** @param listener called when what waited has gone out; one at a time */
  onDrain(listener: (() => void) | undefined): void {
    this.#onDrain = listener;
  }

  /** @param listener called once when the stream is over; with an error where it was cut off. One at a time */
  onClose(listener: (error: Http2StreamClosedError | undefined) => void): void {
    this.#onClose = listener;
    if (this.#isClosed) {
      listener(this.#closedBy);
    }
  }

  /** The request's body: what was read makes room for more. Throws `Http2StreamClosedError` where it breaks off. */
  [Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    return this;
  }

  next(): Promise<IteratorResult<Uint8Array>> {
    const bytes = this.#received.shift();
    if (bytes) {
      this.#owner.consumed(this, bytes.length);
      return Promise.resolve({ done: false, value: bytes });
    }
    if (this.#hasRequestEnded || this.#isBodyUnwanted) {
      return Promise.resolve(endOfBody);
    }
    if (this.#isClosed) {
      return Promise.reject(this.#closedBy ?? new Http2StreamClosedError(ErrorCode.NO_ERROR));
    }
    this.#reading ??= Promise.withResolvers();
    return this.#reading.promise;
  }

  /** The rest of the body is not wanted. */
  return(): Promise<IteratorResult<Uint8Array>> {
    this.#isBodyUnwanted = true;
    this.#received.length = 0;
    return Promise.resolve(endOfBody);
  }

  /** The head of the response. @param fields names in lower case */
  respond(status: number, fields: Fields): void {
    if (!this.#isClosed) {
      this.#hasResponded = true;
      this.#queueHeaders(encodeHeaderBlock(status, fields), 0);
    }
  }

  /** An interim response, such as 100 (RFC 9110, 15.2). */
  inform(status: number): void {
    this.#queueHeaders(encodeHeaderBlock(status, []), 0);
  }

  /** Adds to the response's body; the bytes are kept until they are out. @returns whether all of it is on its way */
  send(bytes: Uint8Array): boolean {
    if (this.#isClosed || this.#ending !== undefined) {
      return false;
    }
    if (bytes.length > 0) {
      this.#unsent.push(bytes);
      this.#unsentBytes += bytes.length;
    }
    return this.#unsentBytes === 0 || this.sendWaiting();
  }

  /** Resolves when what waits is on its way or never will be. Beside `onDrain`, which may be somebody else's. */
  async writable(): Promise<void> {
    if (this.#unsentBytes > 0 && !this.#isClosed) {
      this.#writable ??= Promise.withResolvers();
      await this.#writable.promise;
    }
  }

  /** Ends the response once what waits is out. @param trailers undefined: none */
  end(trailers?: Fields): void {
    if (!this.#isClosed && this.#ending === undefined) {
      this.#ending = trailers ?? "data";
      this.sendWaiting();
    }
  }

  /**
   * Sends one DATA frame now. Its stream id is written into the bytes, which are shared with other streams and the
   * caller's again when this returns.
   * @param framed nine bytes for the frame's head, with type and length, and the payload
   * @returns false: it waits here (`onDrain`), or the stream is gone
   */
  write(framed: Uint8Array): boolean {
    const { connection } = this;
    const size = framed.length - frameHeadBytes;
    if (
      size > this.sendWindow ||
      size > connection.sendWindow ||
      size > framePayloadBytesMax ||
      this.#unsentBytes > 0 ||
      connection.isFull
    ) {
      return this.send(framed.subarray(frameHeadBytes));
    }
    this.sendWindow -= size;
    connection.sendWindow -= size;
    connection.dataFramesSent++;
    writeStreamId(framed, 0, this.id);
    connection.send(framed);
    return true;
  }

  /** Cuts the stream off. */
  reset(errorCode: number): void {
    if (!this.#isClosed) {
      this.close(new Http2StreamClosedError(errorCode));
      this.#owner.ended(this, errorCode);
    }
  }

  /** For the connection: bytes of the request's body, inside the window. */
  receive(bytes: Uint8Array): void {
    if (this.#isBodyUnwanted || bytes.length === 0) {
      return;
    }
    if (this.#reading) {
      const reading = this.#reading;
      this.#reading = undefined;
      this.#owner.consumed(this, bytes.length);
      reading.resolve({ done: false, value: bytes });
      return;
    }
    const isSmallPart = bytes.buffer.byteLength > chunkRatioMax * bytes.length;
    this.#received.push(isSmallPart ? Buffer.from(bytes) : bytes);
  }

  /** For the connection: the request is whole. */
  endRequest(): void {
    this.#hasRequestEnded = true;
    this.#reading?.resolve(endOfBody);
    this.#reading = undefined;
    if (this.#hasResponseEnded) {
      this.#finish();
    }
  }

  /**
   * For the connection: sends what waits, as far as windows and socket go.
   * @param framesMax so that streams take turns
   * @returns whether nothing waits any more
   */
  sendWaiting(framesMax = Infinity): boolean {
    const { connection } = this;
    let frames = 0;
    while (this.#unsentBytes > 0) {
      const room = Math.min(this.sendWindow, connection.sendWindow, framePayloadBytesMax);
      if (room <= 0 || frames === framesMax || connection.isFull) {
        if (frames > 0 || this.#stalledSince === Infinity) {
          this.#stalledSince = performance.now();
        }
        this.#owner.waits(this);
        return false;
      }
      this.#queueData(room);
      frames++;
    }
    this.#stalledSince = Infinity;
    if (this.#ending !== undefined && !this.#hasResponseEnded) {
      this.#sendEnding(this.#ending);
    }
    return true;
  }

  /** For the connection: the peer has taken nothing since then of a response that nobody else watches, as the hub does. */
  isStalledSince(since: number): boolean {
    return this.#stalledSince <= since && (this.#ending !== undefined || this.#writable !== undefined);
  }

  /** For the connection: tells who writes that nothing waits any more. */
  drained(): void {
    if (this.#unsentBytes === 0) {
      this.#writable?.resolve();
      this.#writable = undefined;
      this.#onDrain?.();
    }
  }

  /** For the connection: the stream is over. @param error undefined: both halves have ended */
  close(error: Http2StreamClosedError | undefined): void {
    if (this.#isClosed) {
      return;
    }
    this.#isClosed = true;
    this.#closedBy = error;
    // Whatever is written from now on takes the long way, which says that the stream is gone.
    this.sendWindow = -1;
    this.#unsent.length = 0;
    this.#unsentBytes = 0;
    // Before the body breaks off, so that who reads it can tell why.
    this.#onClose?.(error);
    if (error) {
      this.#received.length = 0;
      this.#reading?.reject(error);
    } else {
      this.#reading?.resolve(endOfBody);
    }
    this.#reading = undefined;
    this.drained();
  }

  /** One DATA frame of at most `room` bytes, out of as many of the waiting pieces as fit. */
  #queueData(room: number): void {
    const size = Math.min(room, this.#unsentBytes);
    this.sendWindow -= size;
    this.connection.sendWindow -= size;
    this.connection.dataFramesSent++;
    this.#unsentBytes -= size;
    const isLast = this.#unsentBytes === 0 && this.#ending === "data";
    const head = Buffer.allocUnsafe(frameHeadBytes);
    writeFrameHead(head, 0, size, FrameType.DATA, isLast ? Flag.END_STREAM : 0, this.id);
    const output = this.connection;
    output.queue(head);
    for (let left = size; left > 0; ) {
      const piece = this.#unsent[0] as Uint8Array;
      if (piece.length <= left) {
        output.queue(piece);
        this.#unsent.shift();
        left -= piece.length;
      } else {
        output.queue(piece.subarray(0, left));
        this.#unsent[0] = piece.subarray(left);
        left = 0;
      }
    }
    if (isLast) {
      this.#responseEnded();
    }
  }

  #sendEnding(ending: "data" | Fields): void {
    const trailers = ending === "data" ? undefined : encodeHeaderBlock(undefined, ending);
    if (trailers && trailers.length > 0) {
      this.#queueHeaders(trailers, Flag.END_STREAM);
    } else {
      this.connection.queue(frame(FrameType.DATA, Flag.END_STREAM, this.id, new Uint8Array()));
    }
    this.#responseEnded();
  }

  /** One HEADERS frame, and CONTINUATION frames for what it can't hold (RFC 9113, 6.10). */
  #queueHeaders(block: Buffer, flags: number): void {
    const output = this.connection;
    let type: number = FrameType.HEADERS;
    let at = 0;
    do {
      const part = block.subarray(at, at + framePayloadBytesMax);
      at += part.length;
      const isLast = at >= block.length;
      const ownFlags = type === FrameType.HEADERS ? flags : 0;
      output.queue(frame(type, ownFlags | (isLast ? Flag.END_HEADERS : 0), this.id, part));
      type = FrameType.CONTINUATION;
    } while (at < block.length);
  }

  #responseEnded(): void {
    this.#hasResponseEnded = true;
    if (this.#hasRequestEnded) {
      this.#finish();
      return;
    }
    // The request is not wanted any more: a client that goes on sending would wait for window for ever (RFC 9113, 8.1).
    this.close(undefined);
    this.#owner.ended(this, ErrorCode.NO_ERROR);
  }

  #finish(): void {
    this.close(undefined);
    this.#owner.ended(this, undefined);
  }
}
