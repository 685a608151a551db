/**
 * One HTTP/2 connection, the server's side (RFC 9113): frames come in, streams come out.
 *
 * Everything that a peer can make grow or repeat has a bound here, and each has an answer: a stream over the limit is
 * refused and the others go on; who floods is told ENHANCE_YOUR_CALM and shown the door.
 *
 * State: the streams that are open, the windows, HPACK's table of the peer's encoder, and a header block that is not
 * whole yet.
 */
import type { Socket } from "node:net";
import { TokenBucket } from "../token-bucket.ts";
import { ConnectionOutput, type GatherBuffer } from "./connection-output.ts";
import { FrameReader } from "./frame-reader.ts";
import {
  ErrorCode,
  Flag,
  FrameType,
  frame,
  frameHeadBytes,
  frameOfIntegers,
  framePayloadBytesMax,
  Http2ConnectionError,
  Setting,
  settingsFrame,
  windowDefault,
  windowMax,
} from "./frames.ts";
import { HpackDecoder } from "./hpack-decoder.ts";
import { encodeHeaderBlock } from "./hpack-encoder.ts";
import { Http2Stream, Http2StreamClosedError, type StreamOwner } from "./http2-stream.ts";
import { type RequestHead, RequestHeadBuilder } from "./request-head.ts";

export interface Http2Limits {
  /** From accepting the connection to its first request head. */
  openingTimeoutMs: number;
  /** From the head of a request to the end of its body. Does not apply where `isLongUpload` says so. */
  requestBodyTimeoutMs: number;
  /** Without streams; and for a peer to take something of a response that waits for it. */
  idleTimeoutMs: number;
  /** All header fields of a request together, as SETTINGS_MAX_HEADER_LIST_SIZE counts (431 above it). */
  headerBytesMax: number;
  /** Concurrent streams, as announced in SETTINGS. */
  streamsPerConnectionMax: number;
}

export interface Http2ConnectionOptions {
  limits: Http2Limits;
  gather: GatherBuffer;
  /** Whether the connection is TLS. */
  isEncrypted: boolean;
  /** Whether the client may take as long as it likes over the request's body. */
  isLongUpload(head: RequestHead): boolean;
  onStream(stream: Http2Stream): void;
  /** A stream that `onStream` was given is over. */
  onStreamEnd(): void;
}

/**
 * What we take on all streams together before we say more, and that is as soon as it has come: one request that is
 * read slowly does not hold up the others. What is kept is bounded by the streams' windows.
 */
const connectionWindow = 1024 * 1024;

/** What we take of one request before its bytes are read: more than a whole message of the chat. */
const streamWindow = windowDefault;

/**
 * Streams that the peer resets, or makes us reset, in a burst and a second (rapid reset, CVE-2023-44487; MadeYouReset,
 * CVE-2025-8671). Behind a shared proxy every viewer who leaves is one reset on the same connection, so the common 33 a
 * second would cut a whole proxy off when a show ends.
 */
const resetBurst = 2_000;
const resetRate = 200;

/**
 * Frames that ask nothing of the application (PING, SETTINGS, PRIORITY, WINDOW_UPDATE, empty DATA, what is unknown or
 * late), in a burst and a second. A reader answers what it is sent with WINDOW_UPDATE, twice, and some measure the line
 * with a PING each time, so every DATA frame of ours gives more.
 */
const idleFrameBurst = 10_000;
const idleFrameRate = 500;
const idleFramesPerData = 4;

/** Bytes that the peer does not read though it makes us say them: answers to PING and SETTINGS, heads, resets. */
const waitingBytesMax = 1024 * 1024;

/** Frames that a header block may take after its first (CVE-2024-27983 and its kin): four hold what we admit. */
const continuationsMax = 8;

/** Streams that we cut off and that the peer may still send on, because it does not know yet (RFC 9113, 5.1). */
const recentlyCutMax = 256;

/** For a peer to take our last word. */
const closingTimeoutMs = 1_000;

/** Asks for the round trip between the first GOAWAY, which names the last id there is, and the real one (RFC 9113, 6.8). */
const drainingPing = Buffer.from("draining", "latin1");

/** A header block that is not whole yet. */
interface OpenBlock {
  streamId: number;
  flags: number;
  parts: Buffer[];
  bytes: number;
}

export class Http2Connection implements StreamOwner {
  readonly output: ConnectionOutput;
  /** When it is closed, performance.now; Infinity: not by a timer. */
  #deadline: number;
  readonly #socket: Socket;
  readonly #options: Http2ConnectionOptions;
  readonly #reader = new FrameReader((type, flags, streamId, payload) => this.#onFrame(type, flags, streamId, payload));
  readonly #hpack = new HpackDecoder();
  readonly #streams = new Map<number, Http2Stream>();
  /** Those that have something to send. */
  readonly #waiting = new Set<Http2Stream>();
  /** Those whose request has a deadline. */
  readonly #uploads = new Set<Http2Stream>();
  readonly #resets = new TokenBucket(resetBurst, resetRate);
  readonly #idleFrames = new TokenBucket(idleFrameBurst, idleFrameRate);
  /** `dataFramesSent` when it was last turned into tokens. */
  #dataFramesCredited = 0;
  #recentlyCut: Set<number> | undefined;
  #receiveWindow = connectionWindow;
  #initialSendWindow = windowDefault;
  #lastStreamId = 0;
  #block: OpenBlock | undefined;
  #hasSettings = false;
  /** "draining": GOAWAY was sent, what runs goes on. "closed": nothing is read any more. */
  #state: "open" | "draining" | "closed" = "open";
  #sayLastAt = Infinity;
  #hasSaidLast = false;

  constructor(socket: Socket, options: Http2ConnectionOptions) {
    this.#socket = socket;
    this.#options = options;
    this.output = new ConnectionOutput(socket, options.gather, () => this.#sendWaiting());
    const { limits } = options;
    this.#deadline = performance.now() + limits.openingTimeoutMs;
    this.output.queue(
      settingsFrame([
        [Setting.MAX_CONCURRENT_STREAMS, limits.streamsPerConnectionMax],
        [Setting.MAX_HEADER_LIST_SIZE, limits.headerBytesMax],
      ]),
    );
    this.output.queue(frameOfIntegers(FrameType.WINDOW_UPDATE, 0, connectionWindow - windowDefault));
    socket.on("data", (chunk: Buffer) => this.#receive(chunk));
    socket.once("close", () => {
      this.#state = "closed";
      this.#closeStreams(ErrorCode.CANCEL);
    });
  }

  /** Opens no more streams and tells the peer so; what runs goes on, then the connection is closed. */
  drain(): void {
    if (this.#state !== "open") {
      return;
    }
    this.#state = "draining";
    this.output.queue(frameOfIntegers(FrameType.GOAWAY, 0, windowMax, ErrorCode.NO_ERROR));
    this.output.queue(frame(FrameType.PING, 0, 0, drainingPing));
    this.#sayLastAt = performance.now() + closingTimeoutMs;
  }

  /** Closes the connection now, whatever runs. */
  destroy(): void {
    this.output.flush();
    this.#socket.destroy();
  }

  /** To be called about every half second: closes what is over its time. */
  sweep(now: number): void {
    if (this.#deadline <= now) {
      this.destroy();
      return;
    }
    if (this.#sayLastAt <= now) {
      this.#sayLast();
    }
    for (const stream of this.#uploads) {
      if (stream.bodyDeadline <= now) {
        stream.reset(ErrorCode.CANCEL);
      }
    }
    for (const stream of this.#waiting) {
      if (stream.isStalledSince(now - this.#options.limits.idleTimeoutMs)) {
        stream.reset(ErrorCode.CANCEL);
      }
    }
  }

  waits(stream: Http2Stream): void {
    this.#waiting.add(stream);
  }

  consumed(stream: Http2Stream, bytes: number): void {
    stream.unacknowledgedBytes += bytes;
    if (stream.unacknowledgedBytes >= streamWindow / 2 && !stream.hasRequestEnded && !stream.isClosed) {
      this.output.queue(frameOfIntegers(FrameType.WINDOW_UPDATE, stream.id, stream.unacknowledgedBytes));
      stream.receiveWindow += stream.unacknowledgedBytes;
      stream.unacknowledgedBytes = 0;
    }
  }

  ended(stream: Http2Stream, resetCode: number | undefined): void {
    if (!this.#streams.delete(stream.id)) {
      return;
    }
    if (resetCode !== undefined && this.#state !== "closed") {
      this.#cut(stream.id, resetCode);
    }
    this.#forget(stream);
  }

  #forget(stream: Http2Stream): void {
    this.#waiting.delete(stream);
    this.#uploads.delete(stream);
    if (this.#streams.size === 0 && this.#state !== "closed") {
      this.#deadline = performance.now() + this.#options.limits.idleTimeoutMs;
      this.#endIfDrained();
    }
    this.#options.onStreamEnd();
  }

  #receive(chunk: Buffer): void {
    if (this.#state === "closed") {
      return;
    }
    try {
      this.#reader.push(chunk);
    } catch (error) {
      if (!(error instanceof Http2ConnectionError)) {
        throw error;
      }
      this.#fail(error);
    }
  }

  /** @returns whether more frames are wanted */
  #onFrame(type: number, flags: number, streamId: number, payload: Buffer): boolean {
    if (!this.#hasSettings) {
      // RFC 9113, 3.4: the preface's second half.
      if (type !== FrameType.SETTINGS || (flags & Flag.ACK) !== 0) {
        throw protocolError("the first frame is not SETTINGS");
      }
      this.#hasSettings = true;
    }
    if (this.#block && (type !== FrameType.CONTINUATION || streamId !== this.#block.streamId)) {
      throw protocolError("a header block is interrupted");
    }
    switch (type) {
      case FrameType.DATA:
        this.#onData(flags, streamId, payload);
        break;
      case FrameType.HEADERS:
        this.#onHeaders(flags, streamId, payload);
        break;
      case FrameType.PRIORITY:
        this.#onPriority(streamId, payload);
        break;
      case FrameType.RST_STREAM:
        this.#onReset(streamId, payload);
        break;
      case FrameType.SETTINGS:
        this.#onSettings(flags, streamId, payload);
        break;
      case FrameType.PUSH_PROMISE:
        throw protocolError("a client does not push");
      case FrameType.PING:
        this.#onPing(flags, streamId, payload);
        break;
      case FrameType.GOAWAY:
        this.#onGoAway(streamId, payload);
        break;
      case FrameType.WINDOW_UPDATE:
        this.#onWindowUpdate(streamId, payload);
        break;
      case FrameType.CONTINUATION:
        this.#onContinuation(flags, payload);
        break;
      default:
        // RFC 9113, 4.1: what is unknown is ignored.
        this.#countIdleFrame();
    }
    if (this.output.waitingBytes > waitingBytesMax) {
      throw calm("the peer does not read what it asks for");
    }
    return this.#state !== "closed";
  }

  /** RFC 9113, 6.1. */
  #onData(flags: number, streamId: number, payload: Buffer): void {
    this.#expectOpened(streamId);
    this.#receiveWindow -= payload.length;
    if (this.#receiveWindow < 0) {
      throw new Http2ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, "more DATA than the connection's window");
    }
    if (this.#receiveWindow <= connectionWindow / 2) {
      this.output.queue(frameOfIntegers(FrameType.WINDOW_UPDATE, 0, connectionWindow - this.#receiveWindow));
      this.#receiveWindow = connectionWindow;
    }
    const data = withoutPadding(flags, payload);
    const isEnd = (flags & Flag.END_STREAM) !== 0;
    if (data.length === 0 && !isEnd) {
      this.#countIdleFrame();
    }
    const stream = this.#streams.get(streamId);
    if (!stream || stream.hasRequestEnded) {
      this.#onLateData(streamId, stream);
      return;
    }
    stream.receiveWindow -= payload.length;
    if (stream.receiveWindow < 0) {
      this.#resetByPeer(stream, ErrorCode.FLOW_CONTROL_ERROR);
      return;
    }
    this.consumed(stream, payload.length - data.length);
    stream.bodyBytes += data.length;
    if (stream.bodyBytes > (stream.head.contentLength ?? Infinity)) {
      // RFC 9113, 8.1.1.
      this.#resetByPeer(stream, ErrorCode.PROTOCOL_ERROR);
      return;
    }
    stream.receive(data);
    if (isEnd) {
      this.#endRequest(stream);
    }
  }

  /** RFC 9113, 6.2. */
  #onHeaders(flags: number, streamId: number, payload: Buffer): void {
    if (streamId % 2 === 0) {
      throw protocolError(`HEADERS on stream ${streamId}`);
    }
    let block = withoutPadding(flags, payload);
    if ((flags & Flag.PRIORITY) !== 0) {
      if (block.length < 5) {
        throw new Http2ConnectionError(ErrorCode.FRAME_SIZE_ERROR, "HEADERS is cut off");
      }
      if (dependency(block) === streamId) {
        throw protocolError(`stream ${streamId} depends on itself`);
      }
      block = block.subarray(5);
    }
    if ((flags & Flag.END_HEADERS) !== 0) {
      this.#onHeaderBlock(streamId, flags, block);
    } else {
      this.#block = { streamId, flags, parts: [Buffer.from(block)], bytes: block.length };
    }
  }

  /** RFC 9113, 6.10. */
  #onContinuation(flags: number, payload: Buffer): void {
    const block = this.#block;
    if (!block) {
      throw protocolError("CONTINUATION continues nothing");
    }
    block.parts.push(Buffer.from(payload));
    block.bytes += payload.length;
    // Twice, as what is a little too much is answered with 431.
    if (block.parts.length > continuationsMax || block.bytes > 2 * this.#options.limits.headerBytesMax) {
      throw calm("a header block without end");
    }
    if ((flags & Flag.END_HEADERS) !== 0) {
      this.#block = undefined;
      this.#onHeaderBlock(block.streamId, block.flags, Buffer.concat(block.parts));
    }
  }

  /** A whole header block: it is decoded whatever comes of it, so that the tables stay in step. */
  #onHeaderBlock(streamId: number, flags: number, block: Buffer): void {
    const { limits } = this.#options;
    const builder = new RequestHeadBuilder(limits.headerBytesMax);
    this.#hpack.decode(block, builder.add);
    const isEnd = (flags & Flag.END_STREAM) !== 0;
    if (streamId <= this.#lastStreamId) {
      this.#onTrailers(streamId, builder, isEnd);
      return;
    }
    this.#lastStreamId = streamId;
    if (this.#streams.size >= limits.streamsPerConnectionMax || this.#hasSaidLast) {
      // RFC 9113, 5.1.2 and 8.7: it may be tried again.
      this.#refuse(streamId, ErrorCode.REFUSED_STREAM);
      return;
    }
    if (builder.isTooLarge) {
      // RFC 6585, 5.
      const status = encodeHeaderBlock(431, []);
      this.output.queue(frame(FrameType.HEADERS, Flag.END_HEADERS | Flag.END_STREAM, streamId, status));
      this.#refuse(streamId, ErrorCode.NO_ERROR);
      return;
    }
    const head = builder.build();
    if (!head || (isEnd && head.contentLength)) {
      this.#refuse(streamId, ErrorCode.PROTOCOL_ERROR);
      return;
    }
    this.#open(streamId, head, isEnd);
  }

  #open(streamId: number, head: RequestHead, isEnd: boolean): void {
    const { limits, isEncrypted, isLongUpload, onStream } = this.#options;
    const windows = { send: this.#initialSendWindow, receive: streamWindow };
    const stream = new Http2Stream(this, streamId, head, windows, isEncrypted);
    this.#streams.set(streamId, stream);
    this.#deadline = Infinity;
    if (isEnd) {
      stream.endRequest();
    } else if (!isLongUpload(head)) {
      stream.bodyDeadline = performance.now() + limits.requestBodyTimeoutMs;
      this.#uploads.add(stream);
    }
    if (head.expectsContinue && !isEnd) {
      stream.inform(100);
    }
    onStream(stream);
  }

  /** RFC 9113, 8.1: a second header block ends the request. */
  #onTrailers(streamId: number, builder: RequestHeadBuilder, isEnd: boolean): void {
    const stream = this.#streams.get(streamId);
    if (!stream || stream.hasRequestEnded) {
      if (!this.#recentlyCut?.has(streamId)) {
        throw new Http2ConnectionError(ErrorCode.STREAM_CLOSED, `HEADERS on stream ${streamId}, which has ended`);
      }
      this.#countIdleFrame();
    } else if (!isEnd || !builder.isWellFormedTrailer || builder.isTooLarge) {
      this.#resetByPeer(stream, ErrorCode.PROTOCOL_ERROR);
    } else {
      this.#endRequest(stream);
    }
  }

  /** RFC 9113, 8.1.1: a body that is shorter than was said is malformed. */
  #endRequest(stream: Http2Stream): void {
    const { contentLength } = stream.head;
    if (contentLength !== undefined && stream.bodyBytes !== contentLength) {
      this.#resetByPeer(stream, ErrorCode.PROTOCOL_ERROR);
    } else {
      this.#uploads.delete(stream);
      stream.endRequest();
    }
  }

  /** RFC 9113, 6.3. Priorities of this kind are not used any more (5.3.2); on itself: RFC 7540, 5.3.1. */
  #onPriority(streamId: number, payload: Buffer): void {
    if (streamId === 0) {
      throw protocolError("PRIORITY on stream 0");
    }
    this.#countIdleFrame();
    const isOnItself = payload.length === 5 && dependency(payload) === streamId;
    if (payload.length !== 5 || isOnItself) {
      const errorCode = isOnItself ? ErrorCode.PROTOCOL_ERROR : ErrorCode.FRAME_SIZE_ERROR;
      const stream = this.#streams.get(streamId);
      if (stream) {
        this.#resetByPeer(stream, errorCode);
      } else {
        throw new Http2ConnectionError(errorCode, `PRIORITY of stream ${streamId}`);
      }
    }
  }

  /** RFC 9113, 6.4. */
  #onReset(streamId: number, payload: Buffer): void {
    this.#expectLength(payload, 4);
    this.#expectOpened(streamId);
    const stream = this.#streams.get(streamId);
    if (!stream) {
      this.#countIdleFrame();
      return;
    }
    this.#countReset();
    this.#streams.delete(streamId);
    stream.close(new Http2StreamClosedError(payload.readUInt32BE(0)));
    this.#forget(stream);
  }

  /** RFC 9113, 6.5. */
  #onSettings(flags: number, streamId: number, payload: Buffer): void {
    this.#expectConnection(streamId);
    this.#countIdleFrame();
    const isAck = (flags & Flag.ACK) !== 0;
    if (payload.length % 6 !== 0 || (isAck && payload.length > 0)) {
      throw new Http2ConnectionError(ErrorCode.FRAME_SIZE_ERROR, `SETTINGS of ${payload.length} bytes`);
    }
    if (isAck) {
      return;
    }
    for (let at = 0; at < payload.length; at += 6) {
      this.#onSetting(payload.readUInt16BE(at), payload.readUInt32BE(at + 2));
    }
    this.output.queue(frame(FrameType.SETTINGS, Flag.ACK, 0, new Uint8Array()));
    this.#sendWaiting();
  }

  /** Those that bind a server which does not push, has no table of its own and sends frames of the least size. */
  #onSetting(setting: number, value: number): void {
    switch (setting) {
      case Setting.ENABLE_PUSH:
        if (value > 1) {
          throw protocolError(`ENABLE_PUSH is ${value}`);
        }
        break;
      case Setting.INITIAL_WINDOW_SIZE:
        if (value > windowMax) {
          throw new Http2ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, `a window of ${value} bytes`);
        }
        this.#changeWindows(value - this.#initialSendWindow);
        this.#initialSendWindow = value;
        break;
      case Setting.MAX_FRAME_SIZE:
        if (value < framePayloadBytesMax || value >= 2 ** 24) {
          throw protocolError(`frames of ${value} bytes`);
        }
        break;
      default:
    }
  }

  /** RFC 9113, 6.9.2: of all streams, and they may become negative. */
  #changeWindows(difference: number): void {
    for (const stream of this.#streams.values()) {
      stream.sendWindow += difference;
      if (stream.sendWindow > windowMax) {
        throw new Http2ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, "a window above 2^31-1");
      }
    }
  }

  /** RFC 9113, 6.7. */
  #onPing(flags: number, streamId: number, payload: Buffer): void {
    this.#expectConnection(streamId);
    this.#expectLength(payload, 8);
    this.#countIdleFrame();
    if ((flags & Flag.ACK) === 0) {
      this.output.queue(frame(FrameType.PING, Flag.ACK, 0, payload));
    } else if (this.#state === "draining" && payload.equals(drainingPing)) {
      this.#sayLast();
    }
  }

  /** RFC 9113, 6.8: the client opens no more streams, and closes the connection itself. */
  #onGoAway(streamId: number, payload: Buffer): void {
    this.#expectConnection(streamId);
    if (payload.length < 8) {
      throw new Http2ConnectionError(ErrorCode.FRAME_SIZE_ERROR, "GOAWAY is cut off");
    }
    this.#countIdleFrame();
  }

  /** RFC 9113, 6.9. */
  #onWindowUpdate(streamId: number, payload: Buffer): void {
    this.#expectLength(payload, 4);
    this.#countIdleFrame();
    const increment = payload.readUInt32BE(0) & windowMax;
    if (streamId === 0) {
      this.output.sendWindow += increment;
      if (increment === 0 || this.output.sendWindow > windowMax) {
        const errorCode = increment === 0 ? ErrorCode.PROTOCOL_ERROR : ErrorCode.FLOW_CONTROL_ERROR;
        throw new Http2ConnectionError(errorCode, "WINDOW_UPDATE of nothing or beyond 2^31-1");
      }
      this.#sendWaiting();
      return;
    }
    this.#expectOpened(streamId);
    const stream = this.#streams.get(streamId);
    if (!stream) {
      return;
    }
    stream.sendWindow += increment;
    if (increment === 0) {
      this.#resetByPeer(stream, ErrorCode.PROTOCOL_ERROR);
    } else if (stream.sendWindow > windowMax) {
      this.#resetByPeer(stream, ErrorCode.FLOW_CONTROL_ERROR);
    } else if (this.#waiting.has(stream) && stream.sendWaiting()) {
      this.#waiting.delete(stream);
      stream.drained();
    }
  }

  /** What waits of all streams, a frame of each in turn, as far as windows and socket go. */
  #sendWaiting(): void {
    const drained: Http2Stream[] = [];
    let framesBefore: number;
    do {
      framesBefore = this.output.dataFramesSent;
      for (const stream of [...this.#waiting]) {
        if (stream.sendWaiting(1)) {
          this.#waiting.delete(stream);
          drained.push(stream);
        }
      }
    } while (this.output.dataFramesSent > framesBefore);
    for (const stream of drained) {
      stream.drained();
    }
  }

  /** DATA on a stream that is not open for it (RFC 9113, 5.1). */
  #onLateData(streamId: number, stream: Http2Stream | undefined): void {
    if (stream) {
      this.#resetByPeer(stream, ErrorCode.STREAM_CLOSED);
    } else if (this.#recentlyCut?.has(streamId)) {
      this.#countIdleFrame();
    } else {
      this.#countReset();
      this.#cut(streamId, ErrorCode.STREAM_CLOSED);
    }
  }

  /** Ends a stream for a mistake of the peer's (RFC 9113, 5.4.2). */
  #resetByPeer(stream: Http2Stream, errorCode: number): void {
    this.#countReset();
    stream.reset(errorCode);
  }

  /** Ends a stream that never was one. */
  #refuse(streamId: number, errorCode: number): void {
    this.#countReset();
    this.#cut(streamId, errorCode);
  }

  #cut(streamId: number, errorCode: number): void {
    this.output.queue(frameOfIntegers(FrameType.RST_STREAM, streamId, errorCode));
    this.#recentlyCut ??= new Set();
    this.#recentlyCut.add(streamId);
    if (this.#recentlyCut.size > recentlyCutMax) {
      for (const oldest of this.#recentlyCut) {
        this.#recentlyCut.delete(oldest);
        break;
      }
    }
  }

  #countReset(): void {
    if (!this.#resets.take()) {
      throw calm("too many streams are cut off");
    }
  }

  #countIdleFrame(): void {
    this.#idleFrames.add((this.output.dataFramesSent - this.#dataFramesCredited) * idleFramesPerData);
    this.#dataFramesCredited = this.output.dataFramesSent;
    if (!this.#idleFrames.take()) {
      throw calm("too many frames that ask for nothing");
    }
  }

  #expectOpened(streamId: number): void {
    if (streamId === 0 || streamId > this.#lastStreamId || streamId % 2 === 0) {
      throw protocolError(`stream ${streamId} is idle`);
    }
  }

  #expectConnection(streamId: number): void {
    if (streamId !== 0) {
      throw protocolError(`stream ${streamId} has no such frame`);
    }
  }

  #expectLength(payload: Buffer, bytes: number): void {
    if (payload.length !== bytes) {
      throw new Http2ConnectionError(ErrorCode.FRAME_SIZE_ERROR, `${payload.length} bytes where ${bytes} are due`);
    }
  }

  /** The second GOAWAY: what the peer opened until it had the first has come. */
  #sayLast(): void {
    if (!this.#hasSaidLast) {
      this.#hasSaidLast = true;
      this.output.queue(frameOfIntegers(FrameType.GOAWAY, 0, this.#lastStreamId, ErrorCode.NO_ERROR));
      this.#endIfDrained();
    }
  }

  #endIfDrained(): void {
    if (this.#hasSaidLast && this.#streams.size === 0) {
      this.#end();
    }
  }

  /** Ends the connection for a mistake of the peer's (RFC 9113, 5.4.1). */
  #fail({ errorCode, message }: Http2ConnectionError): void {
    const head = frameOfIntegers(FrameType.GOAWAY, 0, this.#lastStreamId, errorCode).subarray(frameHeadBytes);
    this.output.queue(frame(FrameType.GOAWAY, 0, 0, Buffer.concat([head, Buffer.from(message)])));
    this.#end();
    this.#closeStreams(errorCode);
  }

  /** Says no more. What still comes is thrown away until the peer closes, so that it gets our last word. */
  #end(): void {
    this.#state = "closed";
    this.#block = undefined;
    this.#deadline = performance.now() + closingTimeoutMs;
    this.output.flush();
    this.#socket.end();
  }

  #closeStreams(errorCode: number): void {
    for (const [streamId, stream] of this.#streams) {
      this.#streams.delete(streamId);
      stream.close(new Http2StreamClosedError(errorCode));
      this.#forget(stream);
    }
  }
}

function withoutPadding(flags: number, payload: Buffer): Buffer {
  if ((flags & Flag.PADDED) === 0) {
    return payload;
  }
  const padding = payload[0];
  if (padding === undefined || padding >= payload.length) {
    throw protocolError("more padding than payload");
  }
  return payload.subarray(1, payload.length - padding);
}

/** The stream that a priority names first. */
function dependency(payload: Buffer): number {
  return payload.readUInt32BE(0) & windowMax;
}

function protocolError(message: string): Http2ConnectionError {
  return new Http2ConnectionError(ErrorCode.PROTOCOL_ERROR, message);
}

function calm(message: string): Http2ConnectionError {
  return new Http2ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, message);
}
