/**
 * Cuts what a socket brings into frames (RFC 9113, 4.1), after the client's preface (3.4).
 *
 * A frame that lies whole in one chunk, and nearly all do, is handed on as a view of it. State: the frame that is not
 * whole yet, of at most `framePayloadBytesMax`.
 */
import { clientPreface, ErrorCode, frameHeadBytes, framePayloadBytesMax, Http2ConnectionError } from "./frames.ts";

/**
 * Takes one frame. `payload` is a view: what is kept of it keeps its whole chunk.
 * @returns false: no more of them
 */
export type FrameListener = (type: number, flags: number, streamId: number, payload: Buffer) => boolean;

export class FrameReader {
  readonly #onFrame: FrameListener;
  #prefaceBytes = 0;
  readonly #head = Buffer.allocUnsafe(frameHeadBytes);
  #headBytes = 0;
  /** What has come of the payload of the frame whose head is whole; undefined: the head is not. */
  #payload: Buffer | undefined;
  #payloadBytes = 0;

  constructor(onFrame: FrameListener) {
    this.#onFrame = onFrame;
  }

  /** @throws {Http2ConnectionError} no preface, or a frame that is too long; and what `onFrame` throws */
  push(chunk: Buffer): void {
    let at = this.#prefaceBytes < clientPreface.length ? this.#readPreface(chunk) : 0;
    while (at < chunk.length) {
      if (this.#headBytes === 0 && chunk.length - at >= frameHeadBytes) {
        const length = payloadLength(chunk, at);
        const end = at + frameHeadBytes + length;
        if (end <= chunk.length) {
          if (!this.#emit(chunk, at, chunk.subarray(at + frameHeadBytes, end))) {
            return;
          }
          at = end;
          continue;
        }
      }
      const taken = this.#payload ? this.#fillPayload(chunk, at, this.#payload) : this.#fillHead(chunk, at);
      if (taken === 0) {
        return;
      }
      at += taken;
    }
  }

  /** @returns where the frames begin in this chunk */
  #readPreface(chunk: Buffer): number {
    const taken = Math.min(clientPreface.length - this.#prefaceBytes, chunk.length);
    const expected = clientPreface.subarray(this.#prefaceBytes, this.#prefaceBytes + taken);
    if (!expected.equals(chunk.subarray(0, taken))) {
      throw new Http2ConnectionError(ErrorCode.PROTOCOL_ERROR, "the client's preface is not HTTP/2's");
    }
    this.#prefaceBytes += taken;
    return taken;
  }

  /** @returns bytes taken; 0: no more frames are wanted */
  #fillHead(chunk: Buffer, at: number): number {
    const taken = Math.min(frameHeadBytes - this.#headBytes, chunk.length - at);
    chunk.copy(this.#head, this.#headBytes, at, at + taken);
    this.#headBytes += taken;
    if (this.#headBytes < frameHeadBytes) {
      return taken;
    }
    this.#payload = Buffer.allocUnsafe(payloadLength(this.#head, 0));
    this.#payloadBytes = 0;
    // A frame without payload is whole now.
    return this.#payload.length > 0 || this.#emitKept(this.#payload) ? taken : 0;
  }

  /** @returns bytes taken; 0: no more frames are wanted */
  #fillPayload(chunk: Buffer, at: number, payload: Buffer): number {
    const taken = Math.min(payload.length - this.#payloadBytes, chunk.length - at);
    chunk.copy(payload, this.#payloadBytes, at, at + taken);
    this.#payloadBytes += taken;
    return this.#payloadBytes < payload.length || this.#emitKept(payload) ? taken : 0;
  }

  #emitKept(payload: Buffer): boolean {
    this.#headBytes = 0;
    this.#payload = undefined;
    return this.#emit(this.#head, 0, payload);
  }

  #emit(head: Buffer, at: number, payload: Buffer): boolean {
    const streamId = head.readUInt32BE(at + 5) & 0x7fffffff;
    return this.#onFrame(head[at + 3] as number, head[at + 4] as number, streamId, payload);
  }
}

/** @throws {Http2ConnectionError} it is longer than we take */
function payloadLength(head: Buffer, at: number): number {
  const length = ((head[at] as number) << 16) | ((head[at + 1] as number) << 8) | (head[at + 2] as number);
  if (length > framePayloadBytesMax) {
    const message = `a frame of ${length} bytes, the limit is ${framePayloadBytesMax}`;
    throw new Http2ConnectionError(ErrorCode.FRAME_SIZE_ERROR, message);
  }
  return length;
}
