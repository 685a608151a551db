/**
 * Many readers on one HTTP/2 connection, over native gRPC: frames written by hand on a raw socket (RFC 9113), and of what
 * comes only frame headers and envelopes are read. A whole client library would cost more than the gateway.
 *
 * Windows are as large as they may be, so that nothing is held up and hardly one is ever updated; a slow reader's is small
 * and opened again at its pace. Owns the socket and its streams.
 */
import type net from "node:net";
import { dial } from "./dial.ts";
import { EnvelopeReader } from "./envelope-reader.ts";
import { Pace } from "./pace.ts";
import type { SubscribeCall, Subscriber, SubscriberEvents } from "./subscriber.ts";

const frameType = { data: 0, headers: 1, rstStream: 3, settings: 4, ping: 6, goAway: 7, windowUpdate: 8 } as const;
const flag = { ack: 0x1, endStream: 0x1, endHeaders: 0x4 } as const;

/** The largest window there is (RFC 9113, 6.9.1). */
const windowMax = 2 ** 31 - 1;
const windowDefault = 65_535;
/** Opened again after so much. */
const windowUpdateBytes = 2 ** 30;
/** Of a slow reader: as much as its application would hold. */
const slowWindowBytes = 16 * 1024;
/** CANCEL (RFC 9113, 7). */
const cancel = 8;

/** One open stream. */
interface Stream {
  readonly envelopes: EnvelopeReader;
  readonly events: SubscriberEvents;
  readonly pace: Pace | undefined;
  /** Taken since the window was opened last. */
  takenBytes: number;
}

export class Http2Connection {
  readonly #url: URL;
  readonly #socket: net.Socket;
  readonly #streams = new Map<number, Stream>();
  readonly #opening = new Map<string, Buffer>();
  #nextStreamId = 1;
  #takenBytes = 0;
  #unread: Buffer = Buffer.alloc(0);
  #isClosed = false;

  /** @param forSlow whether its readers are slow ones */
  constructor(url: URL, forSlow = false) {
    this.#url = url;
    this.#socket = dial(url, "h2");
    this.#socket.on("error", (error: Error) => this.#fail(error.message));
    this.#socket.on("close", () => this.#fail("the connection was closed"));
    this.#socket.on("data", (data: Buffer) => this.#read(data));
    const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "latin1");
    const settings = initialWindow(forSlow ? slowWindowBytes : windowMax);
    this.#socket.write(Buffer.concat([preface, settings, windowUpdate(0, windowMax - windowDefault)]));
  }

  /** Open streams. */
  get streams(): number {
    return this.#streams.size;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** @param call with the URL of the connection */
  open(call: SubscribeCall, events: SubscriberEvents): Subscriber {
    const streamId = this.#nextStreamId;
    this.#nextStreamId += 2;
    this.#streams.set(streamId, {
      envelopes: new EnvelopeReader(events.envelope),
      events,
      pace: call.bytesPerSecond === undefined ? undefined : new Pace(call.bytesPerSecond),
      takenBytes: 0,
    });
    let headers = this.#opening.get(call.path);
    if (!headers) {
      headers = headerBlock(this.#url, call.path, call.contentType);
      this.#opening.set(call.path, headers);
    }
    const opening = [frame(frameType.headers, flag.endHeaders, streamId, headers)];
    opening.push(frame(frameType.data, flag.endStream, streamId, call.body));
    this.#socket.write(Buffer.concat(opening));
    return {
      close: () => {
        if (this.#streams.delete(streamId) && !this.#isClosed) {
          const code = Buffer.alloc(4);
          code.writeUInt32BE(cancel, 0);
          this.#socket.write(frame(frameType.rstStream, 0, streamId, code));
        }
      },
    };
  }

  /** Cuts the connection; its streams are not told. */
  close(): void {
    this.#isClosed = true;
    this.#streams.clear();
    this.#socket.destroy();
  }

  #fail(why: string): void {
    const streams = [...this.#streams.values()];
    this.close();
    for (const { events } of streams) {
      events.closed(why);
    }
  }

  #end(streamId: number, why: string): void {
    const stream = this.#streams.get(streamId);
    this.#streams.delete(streamId);
    stream?.events.closed(why);
  }

  #read(data: Buffer): void {
    const bytes = this.#unread.length === 0 ? data : Buffer.concat([this.#unread, data]);
    let at = 0;
    while (bytes.length - at >= 9 && !this.#isClosed) {
      const length = bytes.readUIntBE(at, 3);
      const end = at + 9 + length;
      if (end > bytes.length) {
        break;
      }
      this.#take(bytes, at, end);
      at = end;
    }
    this.#unread = Buffer.from(bytes.subarray(at));
  }

  /** One frame: its header from `at`, its payload to before `end`. */
  #take(bytes: Buffer, at: number, end: number): void {
    const type = bytes[at + 3];
    const flags = bytes[at + 4] as number;
    const streamId = bytes.readUInt32BE(at + 5);
    const isAck = (flags & flag.ack) !== 0;
    if (type === frameType.data) {
      this.#takeData(streamId, bytes, at + 9, end);
    } else if (type === frameType.settings && !isAck) {
      this.#socket.write(frame(frameType.settings, flag.ack, 0, Buffer.alloc(0)));
    } else if (type === frameType.ping && !isAck) {
      this.#socket.write(frame(frameType.ping, flag.ack, 0, bytes.subarray(at + 9, end)));
    } else if (type === frameType.rstStream) {
      this.#end(streamId, `the stream was reset with code ${bytes.readUInt32BE(at + 9)}`);
    } else if (type === frameType.goAway && bytes.readUInt32BE(at + 13) !== 0) {
      this.#fail(`GOAWAY with code ${bytes.readUInt32BE(at + 13)}`);
    }
    if ((type === frameType.headers || type === frameType.data) && (flags & flag.endStream) !== 0) {
      this.#end(streamId, "the stream has ended");
    }
  }

  #takeData(streamId: number, bytes: Buffer, start: number, end: number): void {
    const length = end - start;
    this.#takenBytes += length;
    if (this.#takenBytes >= windowUpdateBytes) {
      this.#socket.write(windowUpdate(0, this.#takenBytes));
      this.#takenBytes = 0;
    }
    const stream = this.#streams.get(streamId);
    if (!stream) {
      return;
    }
    if (stream.pace) {
      this.#openLater(streamId, length, stream.pace.take(length, performance.now()));
    } else {
      stream.takenBytes += length;
      if (stream.takenBytes >= windowUpdateBytes) {
        this.#socket.write(windowUpdate(streamId, stream.takenBytes));
        stream.takenBytes = 0;
      }
    }
    try {
      stream.envelopes.push(bytes, start, end);
    } catch (error) {
      this.#end(streamId, (error as Error).message);
    }
  }

  #openLater(streamId: number, bytes: number, ms: number): void {
    const open = () => {
      if (bytes > 0 && this.#streams.has(streamId)) {
        this.#socket.write(windowUpdate(streamId, bytes));
      }
    };
    setTimeout(open, ms).unref();
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

/** SETTINGS_INITIAL_WINDOW_SIZE (0x4). */
function initialWindow(bytes: number): Buffer {
  const payload = Buffer.alloc(6);
  payload.writeUInt16BE(0x4, 0);
  payload.writeUInt32BE(bytes, 2);
  return frame(frameType.settings, 0, 0, payload);
}

/** @param streamId 0: of the connection */
function windowUpdate(streamId: number, bytes: number): Buffer {
  const payload = Buffer.alloc(4);
  payload.writeUInt32BE(bytes, 0);
  return frame(frameType.windowUpdate, 0, streamId, payload);
}

/** A gRPC request's headers, every one a literal without indexing and with a new name (RFC 7541, 6.2.2). */
function headerBlock(url: URL, path: string, contentType: string): Buffer {
  const fields = [
    [":method", "POST"],
    [":scheme", url.protocol.slice(0, -1)],
    [":path", path],
    [":authority", url.host],
    ["content-type", contentType],
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
