/**
 * Many readers on one HTTP/2 connection, over native gRPC: frames written by hand on a raw socket (RFC 9113), and of what
 * comes only frame headers and envelopes' prefixes are read. A whole client library would cost more than the gateway.
 */
import net from "node:net";
import { EnvelopeCounter } from "./envelope-counter.ts";

const frameType = { data: 0, headers: 1, rstStream: 3, settings: 4, ping: 6, goAway: 7, windowUpdate: 8 } as const;
const flag = { ack: 0x1, endStream: 0x1, endHeaders: 0x4 } as const;

/** The largest window there is (RFC 9113, 6.9.1): no run of the benchmark fills it, so none is ever updated. */
const windowMax = 2 ** 31 - 1;
const windowDefault = 65_535;

export class Http2Connection {
  /** One per stream. */
  readonly counters: EnvelopeCounter[] = [];
  /** Resolves when every stream has its first envelope. */
  readonly opened: Promise<void>;
  readonly #socket: net.Socket;
  #unread = Buffer.alloc(0);

  /** @param body one envelope */
  constructor(port: number, path: string, streams: number, body: Buffer, messageBytesMin: number) {
    this.#socket = net.connect({ host: "127.0.0.1", port, noDelay: true });
    const waiting = new Set<number>();
    const opening = [Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "latin1"), settings(), windowUpdate()];
    const headers = headerBlock(path);
    for (let index = 0; index < streams; index++) {
      const streamId = 2 * index + 1;
      waiting.add(streamId);
      this.counters.push(new EnvelopeCounter(messageBytesMin));
      opening.push(frame(frameType.headers, flag.endHeaders, streamId, headers));
      opening.push(frame(frameType.data, flag.endStream, streamId, body));
    }
    this.opened = new Promise((resolve, reject) => {
      this.#socket.once("error", reject);
      this.#socket.once("close", () => reject(new Error("the gateway closed the connection")));
      this.#socket.on("data", (data: Buffer) => {
        this.#read(data, reject, (streamId) => {
          if (waiting.delete(streamId) && waiting.size === 0) {
            resolve();
          }
        });
      });
    });
    this.#socket.write(Buffer.concat(opening));
  }

  close(): void {
    this.#socket.destroy();
  }

  #read(data: Buffer, fail: (error: Error) => void, onData: (streamId: number) => void): void {
    const bytes = this.#unread.length === 0 ? data : Buffer.concat([this.#unread, data]);
    let at = 0;
    while (bytes.length - at >= 9) {
      const length = bytes.readUIntBE(at, 3);
      const end = at + 9 + length;
      if (end > bytes.length) {
        break;
      }
      const type = bytes[at + 3];
      const flags = bytes[at + 4] as number;
      const streamId = bytes.readUInt32BE(at + 5);
      if (type === frameType.data) {
        (this.counters[(streamId - 1) / 2] as EnvelopeCounter).push(bytes, at + 9, end);
        onData(streamId);
      } else if (type === frameType.settings && (flags & flag.ack) === 0) {
        this.#socket.write(frame(frameType.settings, flag.ack, 0, Buffer.alloc(0)));
      } else if (type === frameType.ping && (flags & flag.ack) === 0) {
        this.#socket.write(frame(frameType.ping, flag.ack, 0, bytes.subarray(at + 9, end)));
      } else if (type === frameType.rstStream || type === frameType.goAway) {
        fail(new Error(`the gateway sent a frame of type ${type} on stream ${streamId}`));
      } else if (type === frameType.headers && (flags & flag.endStream) !== 0) {
        fail(new Error(`stream ${streamId} has ended`));
      }
      at = end;
    }
    this.#unread = Buffer.from(bytes.subarray(at));
  }
}

function frame(type: number, flags: number, streamId: number, payload: Buffer): Buffer {
  const bytes = Buffer.alloc(9 + payload.length);
  bytes.writeUIntBE(payload.length, 0, 3);
  bytes[3] = type;
  bytes[4] = flags;
  bytes.writeUInt32BE(streamId, 5);
  payload.copy(bytes, 9);
  return bytes;
}

/** SETTINGS_INITIAL_WINDOW_SIZE (0x4) at its greatest. */
function settings(): Buffer {
  const payload = Buffer.alloc(6);
  payload.writeUInt16BE(0x4, 0);
  payload.writeUInt32BE(windowMax, 2);
  return frame(frameType.settings, 0, 0, payload);
}

/** Opens the connection's window to the greatest. */
function windowUpdate(): Buffer {
  const payload = Buffer.alloc(4);
  payload.writeUInt32BE(windowMax - windowDefault, 0);
  return frame(frameType.windowUpdate, 0, 0, payload);
}

/** A gRPC request's headers, every one a literal without indexing and with a new name (RFC 7541, 6.2.2). */
function headerBlock(path: string): Buffer {
  const fields = [
    [":method", "POST"],
    [":scheme", "http"],
    [":path", path],
    [":authority", "127.0.0.1"],
    ["content-type", "application/grpc+proto"],
    ["te", "trailers"],
  ];
  return Buffer.concat(
    fields.flatMap(([name, value]) => [Buffer.from([0]), text(name as string), text(value as string)]),
  );
}

/** A string without Huffman coding (RFC 7541, 5.2). Up to 126 bytes: one byte of length. */
function text(value: string): Buffer {
  if (value.length > 126) {
    throw new RangeError(`too long for one byte of length: ${value}`);
  }
  return Buffer.concat([Buffer.from([value.length]), Buffer.from(value, "latin1")]);
}
