/**
 * Reads of a message only what the load tool needs, out of the bytes as they came: with thousands of readers in a process,
 * decoding each copy would make the tool the bottleneck. Fields may come in any order; unknown ones are stepped over.
 *
 *     SubscribeResponse { event = 1: Event { position = 2, message = 3: Message { client_message_id = 2 } } }
 */
import { stampDigits } from "./due-stamp.ts";

/** What `scanMessage` found. */
export interface ScannedMessage {
  epoch: number;
  seq: number;
  /** When it was due (`due-stamp.ts`); 0: it is somebody else's message. */
  dueUs: number;
}

const lengthDelimited = 2;

/**
 * @param bytes a chat.v1.SubscribeResponse from `at` to before `end`
 * @param found what is found is written there
 * @returns false where it is another event than a message
 * @throws {RangeError} for bytes that are no protobuf
 */
export function scanMessage(bytes: Buffer, at: number, end: number, found: ScannedMessage): boolean {
  const event = field(bytes, at, end, 1);
  if (!event) {
    return false;
  }
  const eventAt = fieldAt;
  const eventEnd = fieldEnd;
  if (!field(bytes, eventAt, eventEnd, 3)) {
    return false;
  }
  found.dueUs = field(bytes, fieldAt, fieldEnd, 2) ? stampAt(bytes, fieldAt, fieldEnd) : 0;
  if (!field(bytes, eventAt, eventEnd, 2)) {
    return false;
  }
  readPosition(bytes, fieldAt, fieldEnd, found);
  return true;
}

/** What `field` found, and where `varint` stopped: two numbers need no object for each field of each copy. */
let fieldAt = 0;
let fieldEnd = 0;

/** Looks for a length-delimited field (protobuf.dev, "Encoding"). @returns whether it is there: at `fieldAt` to `fieldEnd` */
function field(bytes: Buffer, start: number, end: number, number: number): boolean {
  let at = start;
  while (at < end) {
    const tag = varint(bytes, at, end);
    at = fieldAt;
    const wireType = tag & 7;
    if (wireType === lengthDelimited) {
      const length = varint(bytes, at, end);
      at = fieldAt + length;
      if (at > end) {
        throw new RangeError("a field is longer than its message");
      }
      if (tag >>> 3 === number) {
        fieldEnd = at;
        return true;
      }
    } else if (wireType === 0) {
      varint(bytes, at, end);
      at = fieldAt;
    } else if (wireType === 1 || wireType === 5) {
      at += wireType === 1 ? 8 : 4;
    } else {
      throw new RangeError(`no wire type: ${wireType}`);
    }
  }
  return false;
}

/** Leaves `fieldAt` behind it. */
function varint(bytes: Buffer, at: number, end: number): number {
  let value = 0;
  let scale = 1;
  for (let next = at; next < end && next < at + 10; next++) {
    const byte = bytes[next] as number;
    value += (byte & 0x7f) * scale;
    if (byte < 0x80) {
      fieldAt = next + 1;
      return value;
    }
    scale *= 128;
  }
  throw new RangeError("a number has no end");
}

function stampAt(bytes: Buffer, at: number, end: number): number {
  if (end - at <= stampDigits) {
    return 0;
  }
  let value = 0;
  for (let index = at; index < at + stampDigits; index++) {
    const digit = (bytes[index] as number) - 0x30;
    if (!(digit >= 0 && digit <= 9)) {
      return 0;
    }
    value = value * 10 + digit;
  }
  return value;
}

function readPosition(bytes: Buffer, at: number, end: number, found: ScannedMessage): void {
  let value = 0;
  for (let index = at; index < end; index++) {
    const byte = bytes[index] as number;
    if (byte === 0x2d) {
      found.epoch = value;
      value = 0;
    } else {
      value = value * 10 + (byte - 0x30);
    }
  }
  found.seq = value;
}
