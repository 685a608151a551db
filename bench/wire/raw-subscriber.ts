/** A reader at the floor: a bare socket on which messages of one length follow each other, after a first byte that says it is in. */
import type net from "node:net";
import { dial } from "./dial.ts";
import type { Subscriber, SubscriberEvents } from "./subscriber.ts";

export class RawSubscriber implements Subscriber {
  readonly #socket: net.Socket;
  #unread: Buffer = Buffer.alloc(0);
  #isIn = false;

  constructor(url: URL, messageBytes: number, events: SubscriberEvents) {
    this.#socket = dial(url, "http/1.1");
    this.#socket.on("error", () => {});
    this.#socket.on("close", () => events.closed("the server closed the connection"));
    this.#socket.on("data", (data: Buffer) => {
      const bytes = this.#unread.length === 0 ? data : Buffer.concat([this.#unread, data]);
      let at = 0;
      if (!this.#isIn) {
        this.#isIn = true;
        events.envelope(0, bytes, 0, 1);
        at = 1;
      }
      for (; bytes.length - at >= messageBytes; at += messageBytes) {
        events.envelope(0, bytes, at, at + messageBytes);
      }
      this.#unread = bytes.subarray(at);
    });
  }

  close(): void {
    this.#socket.removeAllListeners("close");
    this.#socket.destroy();
  }
}
