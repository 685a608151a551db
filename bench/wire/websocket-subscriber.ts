/**
 * One reader over WebSocket (RFC 6455): frames cut by hand on a raw socket, as cheap as the readers over HTTP. What a server
 * speaks on top of it (Centrifugo, Socket.IO) is a short dialogue that is given.
 */
import type net from "node:net";
import { dial } from "./dial.ts";
import type { Subscriber, SubscriberEvents } from "./subscriber.ts";

/** What a server wants to hear. */
export interface Dialogue {
  readonly path: string;
  /** Said when the connection is open. */
  readonly greeting: readonly string[];
  /** The answer to a text that is no message; undefined: none. */
  readonly answer: (text: string) => string | undefined;
}

const opcode = { text: 1, close: 8, ping: 9, pong: 10 } as const;

/** A text as long as the longest answer of a dialogue; what is longer is a message. */
const answeredBytesMax = 64;

export class WebSocketSubscriber implements Subscriber {
  readonly #socket: net.Socket;
  readonly #events: SubscriberEvents;
  readonly #dialogue: Dialogue;
  #unread: Buffer = Buffer.alloc(0);
  #isUpgraded = false;

  constructor(url: URL, dialogue: Dialogue, events: SubscriberEvents) {
    this.#events = events;
    this.#dialogue = dialogue;
    this.#socket = dial(url, "http/1.1");
    this.#socket.on("error", () => {});
    this.#socket.on("close", () => events.closed("the server closed the connection"));
    this.#socket.on("data", (data: Buffer) => this.#read(data));
    const key = Buffer.from(crypto.getRandomValues(new Uint8Array(16))).toString("base64");
    const head = [
      `GET ${dialogue.path} HTTP/1.1`,
      `host: ${url.host}`,
      "upgrade: websocket",
      "connection: upgrade",
      `sec-websocket-key: ${key}`,
      "sec-websocket-version: 13",
    ];
    this.#socket.write(`${head.join("\r\n")}\r\n\r\n`);
  }

  /** Says a text. */
  send(text: string): void {
    this.#socket.write(maskedFrame(opcode.text, Buffer.from(text)));
  }

  close(): void {
    this.#socket.removeAllListeners("close");
    this.#socket.destroy();
  }

  #read(data: Buffer): void {
    const bytes = this.#unread.length === 0 ? data : Buffer.concat([this.#unread, data]);
    let at = this.#isUpgraded ? 0 : this.#upgrade(bytes);
    for (let end = this.#isUpgraded ? frameEnd(bytes, at) : -1; end !== -1; end = frameEnd(bytes, at)) {
      this.#take((bytes[at] as number) & 0x0f, bytes, at + headBytes(bytes, at), end);
      at = end;
    }
    this.#unread = bytes.subarray(at);
  }

  /** @returns where frames begin; 0 while the head is not whole */
  #upgrade(bytes: Buffer): number {
    const end = bytes.indexOf("\r\n\r\n");
    if (end === -1) {
      return 0;
    }
    if (!bytes.subarray(0, 12).equals(Buffer.from("HTTP/1.1 101"))) {
      this.#events.closed(bytes.toString("latin1", 0, 200));
      this.close();
      return bytes.length;
    }
    this.#isUpgraded = true;
    for (const text of this.#dialogue.greeting) {
      this.send(text);
    }
    return end + 4;
  }

  #take(kind: number, bytes: Buffer, start: number, end: number): void {
    if (kind === opcode.ping) {
      this.#socket.write(maskedFrame(opcode.pong, bytes.subarray(start, end)));
    } else if (kind !== opcode.close && kind !== opcode.pong) {
      if (end - start <= answeredBytesMax) {
        const answer = this.#dialogue.answer(bytes.toString("utf8", start, end));
        if (answer !== undefined) {
          this.send(answer);
          return;
        }
      }
      this.#events.envelope(0, bytes, start, end);
    }
  }
}

/** Of a frame that begins there, with its length (RFC 6455, 5.2); a server does not mask. */
function headBytes(bytes: Buffer, at: number): number {
  const length = (bytes[at + 1] as number) & 0x7f;
  return length < 126 ? 2 : length === 126 ? 4 : 10;
}

/** @returns −1 where the frame is not whole */
function frameEnd(bytes: Buffer, at: number): number {
  if (bytes.length - at < 2) {
    return -1;
  }
  const head = headBytes(bytes, at);
  if (bytes.length - at < head) {
    return -1;
  }
  const short = (bytes[at + 1] as number) & 0x7f;
  const length = head === 2 ? short : head === 4 ? bytes.readUInt16BE(at + 2) : Number(bytes.readBigUInt64BE(at + 2));
  const end = at + head + length;
  return end <= bytes.length ? end : -1;
}

/** A client's frames are masked (RFC 6455, 5.3); a mask of zeros is one. */
function maskedFrame(kind: number, data: Buffer): Buffer {
  const isShort = data.length < 126;
  const head = Buffer.alloc(isShort ? 6 : 8);
  head[0] = 0x80 | kind;
  head[1] = 0x80 | (isShort ? data.length : 126);
  if (!isShort) {
    head.writeUInt16BE(data.length, 2);
  }
  return Buffer.concat([head, data]);
}
