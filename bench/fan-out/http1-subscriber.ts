/**
 * One reader over HTTP/1.1: a request written by hand on a raw socket, and a response of which only the chunk sizes
 * (RFC 9112, 7.1) and the envelopes' prefixes are read.
 */
import net from "node:net";
import { EnvelopeCounter } from "./envelope-counter.ts";

/** Where the parser stands in the response. */
type Place = "head" | "chunk-size" | "chunk" | "chunk-end";

export class Http1Subscriber {
  readonly counter: EnvelopeCounter;
  /** Resolves with the first byte of the body: the subscription is open. */
  readonly opened: Promise<void>;
  readonly #socket: net.Socket;
  #place: Place = "head";
  #head = "";
  #chunkSize = "";
  #chunkRemaining = 0;

  /** @param body one envelope @param contentType of Connect's or gRPC-Web's streaming calls */
  constructor(port: number, path: string, contentType: string, body: Buffer, messageBytesMin: number) {
    this.counter = new EnvelopeCounter(messageBytesMin);
    this.#socket = net.connect({ host: "127.0.0.1", port, noDelay: true });
    this.opened = new Promise((resolve, reject) => {
      this.#socket.once("error", reject);
      this.#socket.once("close", () => reject(new Error(`the gateway closed the connection: ${this.#head}`)));
      this.#socket.on("data", (data: Buffer) => {
        this.#read(data);
        if (this.#place !== "head") {
          resolve();
        }
      });
    });
    const head = [
      `POST ${path} HTTP/1.1`,
      "host: 127.0.0.1",
      `content-type: ${contentType}`,
      "connect-protocol-version: 1",
      `content-length: ${body.length}`,
    ];
    this.#socket.write(Buffer.concat([Buffer.from(`${head.join("\r\n")}\r\n\r\n`), body]));
  }

  close(): void {
    this.#socket.destroy();
  }

  #read(data: Buffer): void {
    let at = this.#place === "head" ? this.#readHead(data) : 0;
    while (at < data.length) {
      if (this.#place === "chunk") {
        const taken = Math.min(this.#chunkRemaining, data.length - at);
        this.counter.push(data, at, at + taken);
        this.#chunkRemaining -= taken;
        at += taken;
        if (this.#chunkRemaining === 0) {
          this.#place = "chunk-end";
        }
        continue;
      }
      const byte = data[at++];
      if (byte !== 0x0a) {
        this.#chunkSize += this.#place === "chunk-size" && byte !== 0x0d ? String.fromCharCode(byte as number) : "";
      } else if (this.#place === "chunk-end") {
        this.#place = "chunk-size";
      } else {
        this.#chunkRemaining = Number.parseInt(this.#chunkSize, 16);
        this.#chunkSize = "";
        this.#place = "chunk";
      }
    }
  }

  /** @returns where the body begins in these bytes */
  #readHead(data: Buffer): number {
    const before = this.#head.length;
    this.#head += data.toString("latin1");
    const end = this.#head.indexOf("\r\n\r\n");
    if (end === -1) {
      return data.length;
    }
    this.#head = this.#head.slice(0, end);
    if (!this.#head.startsWith("HTTP/1.1 200") || !/^transfer-encoding: chunked$/im.test(this.#head)) {
      throw new Error(`expected a chunked answer 200, got ${this.#head}`);
    }
    this.#place = "chunk-size";
    return end + 4 - before;
  }
}
