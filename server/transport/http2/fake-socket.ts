/** For tests: a socket whose other end is the test. It keeps what it is written, and is full when told. */
import { EventEmitter } from "node:events";
import type { Socket } from "node:net";
import { frameHeadBytes } from "./frames.ts";

export interface Frame {
  type: number;
  flags: number;
  streamId: number;
  payload: Buffer;
}

export class FakeSocket extends EventEmitter {
  /** As written, one after the other. */
  readonly writes: Buffer[] = [];
  isFull = false;
  hasEnded = false;
  isDestroyed = false;
  #waiting: (() => void)[] = [];

  /** As the connection wants it. */
  get socket(): Socket {
    return this as unknown as Socket;
  }

  write(bytes: Uint8Array, written: () => void): boolean {
    this.writes.push(Buffer.from(bytes));
    if (this.isFull) {
      this.#waiting.push(written);
    } else {
      written();
    }
    return !this.isFull;
  }

  end(): void {
    this.hasEnded = true;
  }

  destroy(): void {
    if (!this.isDestroyed) {
      this.isDestroyed = true;
      this.emit("close");
    }
  }

  /** Bytes come from the peer. */
  receive(bytes: Uint8Array): void {
    this.emit("data", Buffer.from(bytes));
  }

  /** The peer reads again. */
  drain(): void {
    this.isFull = false;
    for (const written of this.#waiting.splice(0)) {
      written();
    }
  }

  /** What was written so far, as frames. */
  get frames(): Frame[] {
    const bytes = Buffer.concat(this.writes);
    const frames: Frame[] = [];
    for (let at = 0; at < bytes.length; ) {
      const end = at + frameHeadBytes + bytes.readUIntBE(at, 3);
      const payload = bytes.subarray(at + frameHeadBytes, end);
      frames.push({
        type: bytes.readUInt8(at + 3),
        flags: bytes.readUInt8(at + 4),
        streamId: bytes.readUInt32BE(at + 5),
        payload,
      });
      at = end;
    }
    return frames;
  }
}
