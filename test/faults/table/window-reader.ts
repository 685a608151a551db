/**
 * A reader on an HTTP/2 connection of its own that takes so many bytes a second and no more: it gives the gateway no more
 * of its flow-control window (RFC 9113, section 5.2). Bare frames, because a library would read on. Owns its socket.
 */
import { connect, type Socket } from "node:net";
import { envelope } from "../../harness/envelope-stream.ts";

/** RFC 9113, section 6. */
const frame = { data: 0, headers: 1, reset: 3, settings: 4, ping: 6, goAway: 7, windowUpdate: 8 } as const;
const flag = { endStream: 1, ack: 1, endHeaders: 4 } as const;
const headBytes = 9;
const stream = 1;

export class WindowReader {
  /** Bytes of the body so far. */
  received = 0;
  /** performance.now when the gateway ended the stream. Undefined: it is open. */
  endedAtMs: number | undefined;
  readonly #socket: Socket;
  /** What was taken and is not given back. */
  #owed = 0;
  #isSlow = false;
  #rest: Buffer = Buffer.alloc(0);
  #last = "";
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(gatewayUrl: string, room: string) {
    const { hostname, port } = new URL(gatewayUrl);
    this.#socket = connect({ host: hostname, port: Number(port), noDelay: true });
    this.#socket.on("data", (chunk: Buffer) => this.#read(chunk));
    this.#socket.on("close", () => this.#ended());
    // "close" follows.
    this.#socket.on("error", () => {});
    const headers = [
      [":method", "POST"],
      [":scheme", "http"],
      [":path", "/chat.v1.ChatService/Subscribe"],
      [":authority", `${hostname}:${port}`],
      ["content-type", "application/connect+json"],
      ["connect-protocol-version", "1"],
    ] as const;
    this.#socket.write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    this.#send(frame.settings, 0, 0);
    this.#send(frame.headers, flag.endHeaders, stream, Buffer.concat(headers.map(literal)));
    this.#send(frame.data, flag.endStream, stream, envelope(JSON.stringify({ roomId: room })));
  }

  /** From now on it takes so many bytes a second. */
  slowDown(bytesPerSecond: number): void {
    this.#isSlow = true;
    this.#timer = setInterval(() => this.#give(Math.min(this.#owed, bytesPerSecond)), 1_000);
  }

  /** It takes everything again. */
  goOn(): void {
    clearInterval(this.#timer);
    this.#isSlow = false;
    this.#give(this.#owed);
  }

  /** The newest part of what it read. */
  get last(): string {
    return this.#last;
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#socket.destroy();
  }

  #read(chunk: Buffer): void {
    this.#rest = Buffer.concat([this.#rest, chunk]);
    while (this.#rest.length >= headBytes) {
      const end = headBytes + this.#rest.readUIntBE(0, 3);
      if (this.#rest.length < end) {
        return;
      }
      this.#take(this.#rest.readUInt8(3), this.#rest.readUInt8(4), this.#rest.subarray(headBytes, end));
      this.#rest = this.#rest.subarray(end);
    }
  }

  #take(type: number, flags: number, body: Buffer): void {
    if (type === frame.data) {
      this.received += body.length;
      this.#owed += body.length;
      this.#last = (this.#last + body.toString()).slice(-2_000);
      if (!this.#isSlow) {
        this.#give(this.#owed);
      }
    } else if (type === frame.settings && (flags & flag.ack) === 0) {
      this.#send(frame.settings, flag.ack, 0);
    } else if (type === frame.ping && (flags & flag.ack) === 0) {
      this.#send(frame.ping, flag.ack, 0, body);
    }
    const endsStream = (type === frame.data || type === frame.headers) && (flags & flag.endStream) !== 0;
    if (endsStream || type === frame.reset) {
      this.#ended();
    }
  }

  #give(bytes: number): void {
    if (bytes > 0 && this.#socket.writable) {
      this.#owed -= bytes;
      const increment = Buffer.alloc(4);
      increment.writeUInt32BE(bytes);
      this.#send(frame.windowUpdate, 0, 0, increment);
      this.#send(frame.windowUpdate, 0, stream, increment);
    }
  }

  #ended(): void {
    this.endedAtMs ??= performance.now();
  }

  #send(type: number, flags: number, id: number, body: Uint8Array = Buffer.alloc(0)): void {
    const head = Buffer.alloc(headBytes);
    head.writeUIntBE(body.length, 0, 3);
    head.writeUInt8(type, 3);
    head.writeUInt8(flags, 4);
    head.writeUInt32BE(id, 5);
    this.#socket.write(Buffer.concat([head, body]));
  }
}

/** A field never indexed, name and value as they are (RFC 7541, section 6.2.3); both shorter than 127 bytes. */
function literal([name, value]: readonly [string, string]): Buffer {
  const text = (of: string) => Buffer.concat([Buffer.of(Buffer.byteLength(of)), Buffer.from(of)]);
  return Buffer.concat([Buffer.of(0x10), text(name), text(value)]);
}
