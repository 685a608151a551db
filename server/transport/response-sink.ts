/**
 * The way from shared bytes to one reader's connection, past the response object.
 *
 * Connect writes the head of a streaming response and its first message; from then on the hub writes whole envelopes
 * here, and Connect writes the end. The frame that HTTP puts around them is part of the bytes already: a chunk (RFC 9112,
 * 7.1) on HTTP/1.1, which goes past `response.write` to the socket, and DATA (RFC 9113, 6.1) on HTTP/2.
 */
import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import { ErrorCode } from "./http2/frames.ts";
import { Http2Stream } from "./http2/http2-stream.ts";
import { type NativeSocket, nativeSocket } from "./native-socket.ts";

/** What the bytes must be wrapped in: nothing, the frame of an HTTP/1.1 chunk, or that of HTTP/2's DATA. */
export type Framing = "plain" | "chunked" | "http2";

/** A connection of several targets. */
export interface SharedConnection {
  /** What its targets write until `uncork` goes out as one write. No other connection may be corked meanwhile. */
  cork(): void;
  uncork(): void;
}

export interface WriteTarget {
  /** Undefined: no other target has the same. */
  readonly connection: SharedConnection | undefined;
  /**
   * Writes whole envelopes, framed as the sink says. Never refuses: false means that the connection holds more than it
   * can send now, and that the sink's `onDrain` will say when it has caught up, or that it is gone.
   */
  write(bytes: Uint8Array): boolean;
}

export interface ResponseSink {
  readonly framing: Framing;
  /** The least there is between us and the connection: whoever delivers to thousands keeps this at hand and nothing around it. */
  readonly target: WriteTarget;
  /** Bytes handed over and not yet taken by the kernel or, on HTTP/2, by the reader's window. */
  readonly bufferedBytes: number;
  /** @param listener called whenever the connection has caught up, until `release` */
  onDrain(listener: () => void): void;
  /** Gives the connection back: HTTP/1.1 may use it for the next request. */
  release(): void;
  /** Cuts the stream (HTTP/2: RST_STREAM(CANCEL)) or the connection off. */
  destroy(): void;
}

/** A request, as its connection has it. */
export type IncomingRequest = IncomingMessage | Http2Stream;

/** For a request whose response Connect writes as a streaming one. */
export function responseSink(request: IncomingRequest): ResponseSink {
  if (request instanceof Http2Stream) {
    return new Http2Sink(request);
  }
  // An HTTP/1.0 client gets no chunks: its response ends with the connection.
  return new Http1Sink(request.socket, request.httpVersion === "1.0" ? "plain" : "chunked");
}

class Http2Sink implements ResponseSink {
  readonly framing = "http2";
  readonly target: Http2Stream;

  constructor(stream: Http2Stream) {
    this.target = stream;
  }

  get bufferedBytes(): number {
    return this.target.bufferedBytes;
  }

  onDrain(listener: () => void): void {
    this.target.onDrain(listener);
  }

  release(): void {
    this.target.onDrain(undefined);
  }

  destroy(): void {
    this.target.reset(ErrorCode.CANCEL);
  }
}

class Http1Sink implements ResponseSink {
  readonly framing: Framing;
  readonly target: Http1Target;
  readonly #socket: Socket;
  #drainListener: (() => void) | undefined;

  constructor(socket: Socket, framing: Framing) {
    this.#socket = socket;
    this.target = new Http1Target(socket);
    this.framing = framing;
  }

  get bufferedBytes(): number {
    return this.#socket.writableLength;
  }

  onDrain(listener: () => void): void {
    this.#drainListener = listener;
    this.#socket.on("drain", listener);
  }

  release(): void {
    if (this.#drainListener) {
      this.#socket.off("drain", this.#drainListener);
    }
  }

  destroy(): void {
    this.#socket.destroy();
  }
}

/** A socket that nobody else writes to meanwhile. */
class Http1Target implements WriteTarget {
  readonly connection = undefined;
  readonly #socket: Socket;
  readonly #native: NativeSocket | undefined;
  /** Whether nothing waits in the socket's own queue, which a native write would overtake. */
  #isClear = false;

  constructor(socket: Socket) {
    this.#socket = socket;
    this.#native = nativeSocket(socket);
  }

  write(bytes: Uint8Array): boolean {
    if (!this.#isClear) {
      if (!this.#native || this.#socket.writableLength > 0) {
        return this.#socket.write(bytes);
      }
      this.#isClear = true;
    }
    const written = (this.#native as NativeSocket).write(bytes);
    if (written === bytes.length || written < 0) {
      return written >= 0;
    }
    this.#isClear = false;
    return this.#socket.write(bytes.subarray(written));
  }
}
