/**
 * What one HTTP/2 connection sends: gathered to few writes, and written the shortest way.
 *
 * Two ways lead to the socket. What a turn of the event loop answers (`queue`) goes out together when the turn is over.
 * What the hub delivers (`send`) goes out at once, behind what is queued; between `cork` and `uncork` it is gathered, so
 * that one delivery to many streams of a connection is one write.
 *
 * State: the frames queued in this turn, the connection's window, and whether the socket holds more than the kernel takes.
 */
import type { Socket } from "node:net";
import { type NativeSocket, nativeSocket } from "../native-socket.ts";
import type { SharedConnection } from "../response-sink.ts";
import { windowDefault } from "./frames.ts";

/** One for all connections of a listener: it holds bytes within a synchronous stretch only. */
export class GatherBuffer {
  readonly bytes = Buffer.allocUnsafeSlow(64 * 1024);
}

/** Beyond it DATA waits for the next turn: what the kernel does not take of one turn is kept in this process. */
const queuedBytesMax = 64 * 1024;

export class ConnectionOutput implements SharedConnection {
  // What every delivery touches stands first: with thousands of connections each further cache line is a miss.
  readonly #native: NativeSocket | undefined;
  /** What the peer takes on all streams together (RFC 9113, 6.9); the streams that send count it down. */
  sendWindow = windowDefault;
  /** Counted for what the peer may send in answer. */
  dataFramesSent = 0;
  /** Bytes that the socket holds because the kernel does not take them. */
  #waitingBytes = 0;
  #queuedBytes = 0;
  #isCorked = false;
  #isFlushScheduled = false;
  /** Bytes in the gather buffer, while corked. */
  #gathered = 0;
  readonly #queue: Uint8Array[] = [];
  readonly #socket: Socket;
  readonly #gather: GatherBuffer;
  readonly #onDrain: () => void;

  /** @param onDrain called when it has been full and is not any more */
  constructor(socket: Socket, gather: GatherBuffer, onDrain: () => void) {
    this.#socket = socket;
    this.#native = nativeSocket(socket);
    this.#gather = gather;
    this.#onDrain = onDrain;
  }

  /** Whether only what must be said is to be queued, and nothing sent: `onDrain` tells when that is over. */
  get isFull(): boolean {
    return this.#waitingBytes > 0 || this.#queuedBytes >= queuedBytesMax;
  }

  /** Bytes that the kernel does not take. */
  get waitingBytes(): number {
    return this.#waitingBytes;
  }

  /** Adds frames to what goes out when this turn is over. The bytes are kept until then. */
  queue(bytes: Uint8Array): void {
    this.#queue.push(bytes);
    this.#queuedBytes += bytes.length;
    if (!this.#isFlushScheduled) {
      this.#isFlushScheduled = true;
      setImmediate(this.#flushScheduled);
    }
  }

  /** Sends a frame now. The bytes are the caller's again when this returns. Not while `isFull`. */
  send(bytes: Uint8Array): void {
    if (this.#isCorked) {
      this.#gatherBytes(bytes);
    } else if (this.#queuedBytes > 0) {
      this.queue(Buffer.from(bytes));
    } else {
      this.#write(bytes);
    }
  }

  /** What is sent until `uncork` goes out as one write. No other connection may be corked meanwhile. */
  cork(): void {
    this.flush();
    this.#isCorked = true;
  }

  uncork(): void {
    this.#isCorked = false;
    this.#writeGathered();
  }

  /** Writes what is queued. */
  flush(): void {
    if (this.#queue.length === 0) {
      return;
    }
    const wasFull = this.isFull;
    if (this.#queue.length === 1) {
      this.#write(this.#queue[0] as Uint8Array);
    } else {
      for (const bytes of this.#queue) {
        this.#gatherBytes(bytes);
      }
      this.#writeGathered();
    }
    this.#queue.length = 0;
    this.#queuedBytes = 0;
    if (wasFull && !this.isFull) {
      this.#onDrain();
    }
  }

  readonly #flushScheduled = (): void => {
    this.#isFlushScheduled = false;
    this.flush();
  };

  #gatherBytes(bytes: Uint8Array): void {
    if (this.#gathered + bytes.length > this.#gather.bytes.length) {
      this.#writeGathered();
    }
    if (bytes.length > this.#gather.bytes.length) {
      this.#write(bytes);
      return;
    }
    this.#gather.bytes.set(bytes, this.#gathered);
    this.#gathered += bytes.length;
  }

  #writeGathered(): void {
    if (this.#gathered > 0) {
      const { bytes } = this.#gather;
      const gathered = this.#gathered;
      this.#gathered = 0;
      this.#write(bytes.subarray(0, gathered));
    }
  }

  /** What the kernel does not take is copied and left to the socket. */
  #write(bytes: Uint8Array): void {
    const written = this.#native && this.#waitingBytes === 0 ? this.#native.write(bytes) : 0;
    if (written === bytes.length || written < 0) {
      return;
    }
    const rest = Buffer.from(bytes.subarray(written));
    this.#waitingBytes += rest.length;
    this.#socket.write(rest, () => this.#written(rest.length));
  }

  #written(bytes: number): void {
    this.#waitingBytes -= bytes;
    if (this.#waitingBytes === 0) {
      this.#onDrain();
    }
  }
}
