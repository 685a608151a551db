/**
 * The shortest way to an HTTP/2 stream's DATA frames on Bun: the native session behind node:http2.
 *
 * `stream.write` on Bun touches the stream, its Writable state, the session and then the native session, and puts a
 * callback on the next tick; with a connection for each reader that was 1.7 times a raw socket write, this is 1.3 times
 * (ADR 0008). It is not a documented interface: where it is not found as it was in Bun 1.4.5, `stream.write` serves.
 *
 *     writeStream(streamId, bytes, encoding, endStream, callback, …) ─► 16     all of it went out; no callback
 *                                                                       0      it waits for window or socket; callback once out
 *                                                                       false  the stream is gone; callback at once
 */
import type { ServerHttp2Stream } from "node:http2";

interface NativeSession {
  writeStream(
    streamId: number,
    bytes: Uint8Array,
    encoding: undefined,
    endStream: boolean,
    callback: () => void,
    isFlushTold: boolean,
  ): number | boolean;
}

/** The answer of `writeStream` that says that the bytes have left. */
const flushed = 16;

export class NativeHttp2Stream {
  readonly #session: NativeSession;
  readonly #streamId: number;
  readonly #onFlushed: () => void;
  #waitingBytes = 0;
  #onDrain: (() => void) | undefined;

  constructor(session: NativeSession, streamId: number) {
    this.#session = session;
    this.#streamId = streamId;
    this.#onFlushed = () => {
      this.#waitingBytes = 0;
      this.#onDrain?.();
    };
  }

  /** @returns whether the bytes have left; otherwise `onDrain` says when, unless the stream is gone */
  write(bytes: Uint8Array): boolean {
    if (this.#session.writeStream(this.#streamId, bytes, undefined, false, this.#onFlushed, true) === flushed) {
      return true;
    }
    this.#waitingBytes += bytes.length;
    return false;
  }

  get waitingBytes(): number {
    return this.#waitingBytes;
  }

  onDrain(listener: (() => void) | undefined): void {
    this.#onDrain = listener;
  }
}

/** Undefined: this is not the Bun that has it. For a stream whose head has been, or will be, sent before the first write. */
export function nativeHttp2Stream(stream: ServerHttp2Stream): NativeHttp2Stream | undefined {
  const { session, id } = stream;
  if (!session || id === undefined) {
    return undefined;
  }
  const prototype: object = Object.getPrototypeOf(session);
  const key = Object.getOwnPropertySymbols(prototype).find(({ description }) => description === "::bunhttp2native::");
  const native: unknown = key && (session as unknown as Record<symbol, unknown>)[key];
  return isNativeSession(native) ? new NativeHttp2Stream(native, id) : undefined;
}

function isNativeSession(value: unknown): value is NativeSession {
  return (
    typeof value === "object" && value !== null && "writeStream" in value && typeof value.writeStream === "function"
  );
}
