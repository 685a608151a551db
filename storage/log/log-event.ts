/**
 * From a log's entry to the event that readers get.
 *
 * The log stores a chat.v1.Event without what only the log can know: the room, the position and the time of acceptance.
 * Here they are put back, once per entry and process, on the way to sockets and pages.
 */
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { BinaryReader, BinaryWriter } from "@bufbuild/protobuf/wire";
import { TimestampSchema, timestampFromMs } from "@bufbuild/protobuf/wkt";
import { SubscribeResponseSchema } from "../../gen/chat/v1/chat_pb.ts";
import { type Event, EventSchema, type RoomState } from "../../gen/chat/v1/event_pb.ts";
import { type Message, MessageSchema } from "../../gen/chat/v1/message_pb.ts";
import { formatPosition, type Position, parsePosition, positionForm } from "../position.ts";
import type { LogEntry } from "./room-log.ts";

/** The bytes of NewEntry.event for a message; its position and sent_at are left out if set. */
export function encodeMessage(message: Message): Uint8Array {
  const value = { ...message, position: "", sentAt: undefined };
  return toBinary(EventSchema, create(EventSchema, { kind: { case: "message", value } }));
}

/** The bytes of NewEntry.event for a change of the room. */
export function encodeRoomState(roomState: RoomState): Uint8Array {
  return toBinary(EventSchema, create(EventSchema, { kind: { case: "roomState", value: roomState } }));
}

/**
 * A field that the log adds to the event of an epoch's first entry (append.lua), and that no reader is sent. Far from the
 * numbers of the API.
 */
const endBeforeField = 1_000;

/** How the field begins: its tag, 1000 << 3 | 2 as a varint. Never in text: these two bytes are no UTF-8. */
const endBeforeTag = Buffer.of(0xc2, 0x3e);
/** Tag, length, and a position of twice 15 digits. */
const endBeforeBytesMax = 34;

/**
 * The newest position of the room that was known when this entry began an epoch. What stood between the entry before it and
 * that position was there once: where neither log nor history have it, it is lost.
 * @returns undefined: the entry begins no epoch, or the room's first, or the log never loses its end
 */
export function endBefore({ position, event }: LogEntry): Position | undefined {
  if (position.seq !== 0) {
    return undefined;
  }
  // From the end: an entry that is no event, poison, is put into the log like any other.
  const end = Buffer.from(event.buffer, event.byteOffset, event.byteLength).subarray(-endBeforeBytesMax);
  const at = end.lastIndexOf(endBeforeTag);
  const length = end[at + endBeforeTag.length];
  const text = end.toString("latin1", at + endBeforeTag.length + 1);
  return at >= 0 && length === text.length && positionForm.test(text) ? parsePosition(text) : undefined;
}

/** @throws {Error} if the bytes are not a chat.v1.Event (a poison entry: somebody else wrote into the log) */
export function decodeEntry(entry: LogEntry): Event {
  const event = fromBinary(EventSchema, entry.event);
  const unknown = event.$unknown?.filter(({ no }) => no !== endBeforeField);
  if (unknown?.length === 0) {
    delete event.$unknown;
  } else if (unknown) {
    event.$unknown = unknown;
  }
  event.roomId = entry.roomId;
  event.position = formatPosition(entry.position);
  if (event.kind.case === "message") {
    event.kind.value.position = event.position;
    event.kind.value.sentAt = timestampFromMs(entry.acceptedMs);
  } else if (event.kind.case === "roomState") {
    event.kind.value.topPosition = event.position;
  }
  return event;
}

/**
 * The bytes of a chat.v1.SubscribeResponse with the event of an entry, as `decodeEntry` and encoding would give them but
 * for the order of fields. A message is not taken apart for it: what the log knows is put around its bytes. Encoding anew
 * what was just decoded cost as much as fifty deliveries.
 *
 *     0a ‹ 0a room_id │ 12 position │ 1a ‹ the message as stored │ 0a position │ 2a ‹ 08 seconds │ 10 nanos › › ›
 *
 * (Protocol Buffers, "Encoding": field number << 3 | 2, length, bytes; fields in any order.)
 * @returns undefined where the stored event is not one message and nothing else: then encode it as usual
 */
export function encodeMessageEntry({ roomId, position, acceptedMs, event }: LogEntry): Uint8Array | undefined {
  const reader = new BinaryReader(event);
  if (event.length === 0 || reader.uint32() !== tags.eventMessage) {
    return undefined;
  }
  const message = reader.bytes();
  if (reader.pos !== event.length) {
    return undefined;
  }
  const positionText = formatPosition(position);
  const seconds = Math.floor(acceptedMs / 1_000);
  const writer = new BinaryWriter();
  writer.uint32(tags.responseEvent).fork();
  writer.uint32(tags.eventRoomId).string(roomId);
  writer.uint32(tags.eventPosition).string(positionText);
  writer.uint32(tags.eventMessage).fork().raw(message);
  writer.uint32(tags.messagePosition).string(positionText);
  writer.uint32(tags.messageSentAt).fork();
  writer.uint32(tags.timestampSeconds).int64(seconds);
  writer.uint32(tags.timestampNanos).int32((acceptedMs - seconds * 1_000) * 1_000_000);
  return writer.join().join().join().finish();
}

/** Field number << 3 | wire type (2: length-delimited, 0: varint). */
const tags = {
  responseEvent: (SubscribeResponseSchema.field.event.number << 3) | 2,
  eventRoomId: (EventSchema.field.roomId.number << 3) | 2,
  eventPosition: (EventSchema.field.position.number << 3) | 2,
  eventMessage: (EventSchema.field.message.number << 3) | 2,
  messagePosition: (MessageSchema.field.position.number << 3) | 2,
  messageSentAt: (MessageSchema.field.sentAt.number << 3) | 2,
  timestampSeconds: TimestampSchema.field.seconds.number << 3,
  timestampNanos: TimestampSchema.field.nanos.number << 3,
};
