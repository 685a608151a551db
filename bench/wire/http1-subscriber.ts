/**
 * One reader over HTTP/1.1: a request written by hand on a raw socket, and a response of which only the chunk sizes
 * (RFC 9112, 7.1) and the envelopes are read. A slow one stops reading until what it took is paid for.
 */
import type net from "node:net";
import { dial } from "./dial.ts";
import { EnvelopeReader } from "./envelope-reader.ts";
import { Pace } from "./pace.ts";
import type { SubscribeCall, Subscriber, SubscriberEvents } from "./subscriber.ts";

/** Where the parser stands in the response. */
type Place = "head" | "chunk-size" | "chunk" | "chunk-end";

/** Of the response's head, and of an error's text. */
const headCharsMax = 16 * 1024;

export class Http1Subscriber implements Subscriber {
  readonly #socket: net.Socket;
  readonly #envelopes: EnvelopeReader;
  #place: Place = "head";
  #head = "";
  #chunkSize = 0;
  #chunkRemaining = 0;
  #isClosed = false;

  constructor(call: SubscribeCall, events: SubscriberEvents) {
    this.#envelopes = new EnvelopeReader(events.envelope);
    this.#socket = dial(call.url, "http/1.1");
    const pace = call.bytesPerSecond === undefined ? undefined : new Pace(call.bytesPerSecond);
    const closed = (why: string) => {
      if (!this.#isClosed) {
        this.close();
        events.closed(why);
      }
    };
    this.#socket.on("error", (error: Error) => closed(error.message));
    this.#socket.on("close", () => closed(this.#place === "head" ? `closed early ${this.#head}` : "closed"));
    this.#socket.on("data", (data: Buffer) => {
      if (this.#isClosed) {
        return;
      }
      try {
        this.#read(data);
      } catch (error) {
        closed((error as Error).message);
      }
      if (pace) {
        this.#rest(pace.take(data.length, performance.now()));
      }
    });
    const head = [
      `POST ${call.path} HTTP/1.1`,
      `host: ${call.url.host}`,
      `content-type: ${call.contentType}`,
      "connect-protocol-version: 1",
      `content-length: ${call.body.length}`,
    ];
    this.#socket.write(Buffer.concat([Buffer.from(`${head.join("\r\n")}\r\n\r\n`), call.body]));
  }

  close(): void {
    this.#isClosed = true;
    this.#socket.destroy();
  }

  #rest(ms: number): void {
    this.#socket.pause();
    setTimeout(() => this.#isClosed || this.#socket.resume(), ms).unref();
  }

  /** @throws {Error} where the answer is no stream, or is over */
  #read(data: Buffer): void {
    let at = this.#place === "head" ? this.#readHead(data) : 0;
    while (at < data.length) {
      if (this.#place === "chunk") {
        const taken = Math.min(this.#chunkRemaining, data.length - at);
        this.#envelopes.push(data, at, at + taken);
        this.#chunkRemaining -= taken;
        at += taken;
        if (this.#chunkRemaining === 0) {
          this.#place = "chunk-end";
        }
        continue;
      }
      const byte = data[at++] as number;
      if (byte === 0x0a) {
        this.#endLine();
      } else if (byte !== 0x0d && this.#place === "chunk-size") {
        this.#chunkSize = this.#chunkSize * 16 + hexDigit(byte);
      }
    }
  }

  #endLine(): void {
    if (this.#place === "chunk-end") {
      this.#place = "chunk-size";
      return;
    }
    if (this.#chunkSize === 0) {
      throw new Error("the stream has ended");
    }
    this.#chunkRemaining = this.#chunkSize;
    this.#chunkSize = 0;
    this.#place = "chunk";
  }

  /** @returns where the body begins in these bytes */
  #readHead(data: Buffer): number {
    const before = this.#head.length;
    this.#head += data.toString("latin1");
    const end = this.#head.indexOf("\r\n\r\n");
    if (end === -1) {
      if (this.#head.length > headCharsMax) {
        throw new Error("the response has no end of its head");
      }
      return data.length;
    }
    if (!this.#head.startsWith("HTTP/1.1 200") || !/^transfer-encoding: chunked$/im.test(this.#head.slice(0, end))) {
      throw new Error(`expected a chunked answer 200, got ${this.#head}`);
    }
    this.#head = "";
    this.#place = "chunk-size";
    return end + 4 - before;
  }
}

/** @throws {Error} for what is none: extensions of chunks (RFC 9112, 7.1.1) are not understood */
function hexDigit(byte: number): number {
  const digit = byte <= 0x39 ? byte - 0x30 : (byte | 0x20) - 0x57;
  if (!(digit >= 0 && digit < 16)) {
    throw new Error(`no hexadecimal digit in a chunk's size: ${String.fromCharCode(byte)}`);
  }
  return digit;
}
