/**
 * Bytes on their way to many sockets: encoded once, shared by all.
 *
 * gRPC, gRPC-Web and Connect put the same five bytes before a message of a stream (gRPC over HTTP/2,
 * "Length-Prefixed-Message"; the Connect protocol, "Enveloped-Message"), so one buffer serves all three; JSON needs a
 * second, and HTTP its frame around either: a chunk, or DATA. Whose stream the DATA is, each stream writes into it.
 *
 *     http2:     9 bytes │ 00 00 00 00 b7 │ message │ 00 00 … │ message
 *     chunked:  "1a4\r\n" │ 00 00 00 00 b7 │ message │ 00 00 … │ message │ "\r\n"
 *     plain:                └──────────── envelopes ────────────┘
 */
import { create, type DescMessage, type MessageShape, toBinary, toJsonString } from "@bufbuild/protobuf";
import { SubscribeResponseSchema } from "../../gen/chat/v1/chat_pb.ts";
import type { Event } from "../../gen/chat/v1/event_pb.ts";
import { encodeMessageEntry } from "../../storage/log/log-event.ts";
import type { LogEntry } from "../../storage/log/room-log.ts";
import type { Position } from "../../storage/position.ts";
import { FrameType, frameHeadBytes, writeFrameHead } from "../transport/http2/frames.ts";
import type { Framing } from "../transport/response-sink.ts";

/** How messages of a stream are encoded, from its content type. */
export type Codec = "proto" | "json";

/** Entries of one room's log: all positions in (after, through]. */
export interface EntryRange {
  /** Undefined: from the beginning. */
  after: Position | undefined;
  through: Position;
}

/** Envelopes in one codec, by framing. */
interface Forms {
  plain: Buffer;
  chunked: Buffer | undefined;
  http2: Buffer | undefined;
}

/** What goes out as one write. Each form of it is made when the first reader needs it, and kept. */
export abstract class Outgoing {
  /** What of a room's log it holds; undefined: nothing, so a reader who is behind can go without it. */
  readonly range: EntryRange | undefined;
  #proto: Forms | undefined;
  #json: Forms | undefined;

  constructor(range: EntryRange | undefined) {
    this.range = range;
  }

  /** Shared by all who are sent it, and theirs only as long as they write it. */
  bytes(codec: Codec, framing: Framing): Buffer {
    const forms = this.#forms(codec);
    if (framing === "chunked") {
      forms.chunked ??= chunk(forms.plain);
      return forms.chunked;
    }
    if (framing === "http2") {
      forms.http2 ??= dataFrame(forms.plain);
      return forms.http2;
    }
    return forms.plain;
  }

  #forms(codec: Codec): Forms {
    if (codec === "proto") {
      this.#proto ??= this.#encode(codec);
      return this.#proto;
    }
    this.#json ??= this.#encode(codec);
    return this.#json;
  }

  #encode(codec: Codec): Forms {
    return { plain: this.envelopes(codec), chunked: undefined, http2: undefined };
  }

  protected abstract envelopes(codec: Codec): Buffer;
}

/** One message of a stream. */
export class OutgoingMessage<Desc extends DescMessage> extends Outgoing {
  readonly #schema: Desc;
  readonly #message: MessageShape<Desc>;

  constructor(schema: Desc, message: MessageShape<Desc>, range?: EntryRange) {
    super(range);
    this.#schema = schema;
    this.#message = message;
  }

  protected envelopes(codec: Codec): Buffer {
    return envelope(
      codec === "proto"
        ? toBinary(this.#schema, this.#message)
        : Buffer.from(toJsonString(this.#schema, this.#message)),
    );
  }
}

/** The event of one entry of a room's log. */
export class OutgoingEntry extends Outgoing {
  readonly #entry: LogEntry;
  readonly #event: Event;

  /** @param event the entry's, decoded */
  constructor(entry: LogEntry, event: Event, range?: EntryRange) {
    super(range);
    this.#entry = entry;
    this.#event = event;
  }

  protected envelopes(codec: Codec): Buffer {
    const ready = codec === "proto" ? encodeMessageEntry(this.#entry) : undefined;
    if (ready) {
      return envelope(ready);
    }
    const response = create(SubscribeResponseSchema, { event: this.#event });
    return envelope(
      codec === "proto"
        ? toBinary(SubscribeResponseSchema, response)
        : Buffer.from(toJsonString(SubscribeResponseSchema, response)),
    );
  }
}

/** Several as one, in order: what each was encoded to is copied, not made again. */
export class OutgoingSeries extends Outgoing {
  readonly #parts: readonly Outgoing[];

  constructor(parts: readonly Outgoing[], range: EntryRange | undefined) {
    super(range);
    this.#parts = parts;
  }

  protected envelopes(codec: Codec): Buffer {
    return Buffer.concat(this.#parts.map((part) => part.bytes(codec, "plain")));
  }
}

/** Five bytes before the message. The flags: not compressed, not the end of the stream. */
function envelope(message: Uint8Array): Buffer {
  const buffer = Buffer.allocUnsafeSlow(5 + message.length);
  buffer.writeUInt8(0, 0);
  buffer.writeUInt32BE(message.length, 1);
  buffer.set(message, 5);
  return buffer;
}

/** One chunk of RFC 9112, 7.1. */
function chunk(data: Buffer): Buffer {
  const head = `${data.length.toString(16)}\r\n`;
  const buffer = Buffer.allocUnsafeSlow(head.length + data.length + 2);
  buffer.write(head, 0, "latin1");
  buffer.set(data, head.length);
  buffer.write("\r\n", head.length + data.length, "latin1");
  return buffer;
}

/** One DATA frame of RFC 9113, 6.1, of no stream yet. One that is too long for a frame is cut by the stream. */
function dataFrame(data: Buffer): Buffer {
  const buffer = Buffer.allocUnsafeSlow(frameHeadBytes + data.length);
  writeFrameHead(buffer, 0, data.length, FrameType.DATA, 0, 0);
  buffer.set(data, frameHeadBytes);
  return buffer;
}
