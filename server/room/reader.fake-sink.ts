/** For tests: a connection that keeps what it is written, and is full or drains when told. */
import { fromBinary } from "@bufbuild/protobuf";
import { SubscribeResponseSchema } from "../../gen/chat/v1/chat_pb.ts";
import type { Event } from "../../gen/chat/v1/event_pb.ts";
import type { Framing, ResponseSink } from "../transport/response-sink.ts";

export class FakeSink implements ResponseSink {
  readonly framing: Framing;
  readonly target = this;
  readonly connection = undefined;
  readonly writes: Uint8Array[] = [];
  isFull = false;
  isDestroyed = false;
  bufferedBytes = 0;
  #onDrain = () => {};

  constructor(framing: Framing) {
    this.framing = framing;
  }

  write(bytes: Uint8Array): boolean {
    this.writes.push(bytes);
    if (this.isFull) {
      this.bufferedBytes += bytes.length;
    }
    return !this.isFull;
  }

  onDrain(listener: () => void): void {
    this.#onDrain = listener;
  }

  release(): void {
    this.#onDrain = () => {};
  }

  /** The peer has taken everything. */
  drain(): void {
    this.isFull = false;
    this.bufferedBytes = 0;
    this.#onDrain();
  }

  destroy(): void {
    this.isDestroyed = true;
  }

  /** The events in what was written, in order (framing "plain"). */
  events(): Event[] {
    const bytes = Buffer.concat(this.writes);
    const events: Event[] = [];
    for (let offset = 0; offset < bytes.length; ) {
      const length = bytes.readUInt32BE(offset + 1);
      const message = bytes.subarray(offset + 5, offset + 5 + length);
      events.push(fromBinary(SubscribeResponseSchema, message).event as Event);
      offset += 5 + length;
    }
    return events;
  }
}
