/**
 * The way from shared bytes to one reader's connection, past the response object.
 *
 * Connect writes the head of a streaming response and its first message; from then on the hub writes whole envelopes
 * here, and Connect writes the end. HTTP/2 takes them as they are. On HTTP/1.1 the response is chunked (RFC 9112, 7.1),
 * and the chunk's frame is already part of the bytes: writing them to the socket costs half of `response.write`.
 */
import type { Writable } from "node:stream";
import { type NativeHttp2Stream, nativeHttp2Stream } from "./native-http2-stream.ts";
import type { HttpRequest } from "./one-port-listener.ts";

/** What the bytes must be wrapped in: nothing, or the frame of an HTTP/1.1 chunk. */
export type Framing = "plain" | "chunked";

export interface WriteTarget {
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

/** For a request whose response Connect writes as a streaming one. */
export function responseSink(request: HttpRequest): ResponseSink {
  if ("stream" in request) {
    const native = nativeHttp2Stream(request.stream);
    return native ? new NativeHttp2Sink(request.stream, native) : new WritableSink(request.stream, "plain");
  }
  // An HTTP/1.0 client gets no chunks: its response ends with the connection.
  const framing = request.httpVersion === "1.0" ? "plain" : "chunked";
  return new WritableSink(request.socket, framing);
}

class NativeHttp2Sink implements ResponseSink {
  readonly framing = "plain";
  readonly target: NativeHttp2Stream;
  readonly #stream: Writable;

  constructor(stream: Writable, native: NativeHttp2Stream) {
    this.#stream = stream;
    this.target = native;
  }

  get bufferedBytes(): number {
    return this.target.waitingBytes + this.#stream.writableLength;
  }

  onDrain(listener: () => void): void {
    this.target.onDrain(listener);
  }

  release(): void {
    this.target.onDrain(undefined);
  }

  destroy(): void {
    this.#stream.destroy();
  }
}

class WritableSink implements ResponseSink {
  readonly framing: Framing;
  readonly target: Writable;
  #drainListener: (() => void) | undefined;

  constructor(writable: Writable, framing: Framing) {
    this.target = writable;
    this.framing = framing;
  }

  get bufferedBytes(): number {
    return this.target.writableLength;
  }

  onDrain(listener: () => void): void {
    this.#drainListener = listener;
    this.target.on("drain", listener);
  }

  release(): void {
    if (this.#drainListener) {
      this.target.off("drain", this.#drainListener);
    }
  }

  destroy(): void {
    this.target.destroy();
  }
}
