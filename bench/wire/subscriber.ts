/** What a reader is, however it is connected: something that is open and can be closed, and what it tells of. */
import type { TakeEnvelope } from "./envelope-reader.ts";

/** What a subscriber tells its owner. */
export interface SubscriberEvents {
  /** Each envelope of the stream, its last one too. */
  readonly envelope: TakeEnvelope;
  /** The stream is over, said once; never after `close()`. */
  readonly closed: (why: string) => void;
}

export interface Subscriber {
  /** Ends the stream, or where it has a connection of its own, cuts that. */
  close(): void;
}

/** What is asked of a server. */
export interface SubscribeCall {
  /** Origin: http://host:port or https://host:port. */
  readonly url: URL;
  /** As "/chat.v1.ChatService/Subscribe". */
  readonly path: string;
  readonly contentType: string;
  /** The request in its envelope. */
  readonly body: Buffer;
  /** A reader that takes no more than this; undefined: as fast as it comes. */
  readonly bytesPerSecond?: number | undefined;
}
