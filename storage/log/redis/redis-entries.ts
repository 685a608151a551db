/**
 * The shapes in which an entry goes through Redis, and back:
 *
 *     room's log     id = position    t accepted ms   e event
 *     shard's log    id = Redis time  r room  p position  t accepted ms  e event
 *     channel        "<position> <accepted ms> <event>"
 */
import { type Position, parsePosition } from "../../position.ts";
import type { LogEntry } from "../room-log.ts";

const space = 0x20;

/** A stream's entry as a script answers it. */
type StreamEntry = [id: Buffer, fields: Buffer[]];

/** @throws {Error} somebody else wrote this */
export function parseRoomEntry(roomId: string, [id, fields]: StreamEntry): LogEntry {
  return {
    roomId,
    position: parsePosition(id.toString("latin1")),
    acceptedMs: parseMs(field(fields, "t")),
    event: field(fields, "e"),
  };
}

/**
 * An entry of a shard's log. What is no entry of ours still is one, of no room and with bytes that are no event, so that
 * the worker takes it for the poison that it is: the bytes are those of its fields, after one that no event begins with.
 */
export function parseShardEntry([id, fields]: StreamEntry): LogEntry {
  try {
    return {
      roomId: field(fields, "r").toString(),
      position: parsePosition(field(fields, "p").toString("latin1")),
      acceptedMs: parseMs(field(fields, "t")),
      event: field(fields, "e"),
    };
  } catch {
    const [ms = "0", seq = "0"] = id.toString("latin1").split("-");
    const parts = fields.flatMap((part) => [Buffer.of(space), part]);
    return {
      roomId: "",
      position: { epoch: Number(ms), seq: Number(seq) },
      acceptedMs: Number(ms),
      // A tag of wire type 7, which does not exist.
      event: Buffer.concat([Buffer.of(0x0f), ...parts]),
    };
  }
}

/** @throws {Error} somebody else published this */
export function parsePublished(roomId: string, payload: Buffer): LogEntry {
  const first = payload.indexOf(space);
  const second = payload.indexOf(space, first + 1);
  if (first < 0 || second < 0) {
    throw new Error("not an entry");
  }
  return {
    roomId,
    position: parsePosition(payload.toString("latin1", 0, first)),
    acceptedMs: parseMs(payload.subarray(first + 1, second)),
    event: payload.subarray(second + 1),
  };
}

export function parseOptionalPosition(value: unknown): Position | undefined {
  return value === null || value === undefined || value === false ? undefined : parsePosition(String(value));
}

function field(fields: readonly Buffer[], name: string): Buffer {
  for (let at = 0; at + 1 < fields.length; at += 2) {
    if (fields[at]?.toString("latin1") === name) {
      return fields[at + 1] as Buffer;
    }
  }
  throw new Error(`no field ${name}`);
}

function parseMs(value: Buffer): number {
  const ms = Number(value.toString("latin1"));
  if (!Number.isSafeInteger(ms) || ms <= 0) {
    throw new Error("not a time");
  }
  return ms;
}
