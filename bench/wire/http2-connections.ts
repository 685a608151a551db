/** The HTTP/2 connections of many readers, so many streams on each. Owns them. */
import { Http2Connection } from "./http2-connection.ts";
import type { SubscribeCall, Subscriber, SubscriberEvents } from "./subscriber.ts";

export class Http2Connections {
  readonly #streamsPerConnection: number;
  readonly #connections = new Set<Http2Connection>();
  /** The ones with room for another stream: of quick readers, and of slow ones. */
  #quick: Http2Connection | undefined;
  #slow: Http2Connection | undefined;

  constructor(streamsPerConnection: number) {
    this.#streamsPerConnection = streamsPerConnection;
  }

  open(call: SubscribeCall, events: SubscriberEvents): Subscriber {
    const isSlow = call.bytesPerSecond !== undefined;
    let connection = isSlow ? this.#slow : this.#quick;
    if (!connection || connection.isClosed || connection.streams >= this.#streamsPerConnection) {
      this.#forgetUnused();
      connection = new Http2Connection(call.url, isSlow);
      this.#connections.add(connection);
      if (isSlow) {
        this.#slow = connection;
      } else {
        this.#quick = connection;
      }
    }
    return connection.open(call, events);
  }

  /** Cuts all of them; no stream is told. */
  close(): void {
    for (const connection of this.#connections) {
      connection.close();
    }
    this.#connections.clear();
  }

  #forgetUnused(): void {
    for (const connection of this.#connections) {
      if (connection.isClosed) {
        this.#connections.delete(connection);
      } else if (connection.streams === 0) {
        connection.close();
        this.#connections.delete(connection);
      }
    }
  }
}
