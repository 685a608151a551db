/**
 * The recorded history of a run under faults: what clients asked for and saw, and what the storage held at the end. One
 * JSON object a line, in the order in which it happened (`at` rises); the recorder writes it, the checker reads it.
 *
 * Nothing in it comes from the gateways' own logs: it is the outside view.
 */

/** Monotonic time of the recording process, ns. */
export type MonotonicNs = number;

/** A try, or several under one key, to say something begins. */
export interface InvokeEvent {
  type: "invoke";
  at: MonotonicNs;
  /** Names this operation in the whole history: its answer refers to it. */
  op: number;
  room: string;
  /** Author and client_message_id: what the gateway recognises a repetition by. */
  key: string;
  /** Of all that the sender gave: author and text. */
  hash: string;
}

/** It was acknowledged. */
export interface OkEvent {
  type: "ok";
  at: MonotonicNs;
  op: number;
  position: string;
  sentAtMs: number;
  /** The gateway says that it was there before. */
  duplicate: boolean;
  /** Calls that were made for it, at least 1. */
  tries: number;
}

/** Every call for it was refused in a way that promises that nothing happened. */
export interface FailEvent {
  type: "fail";
  at: MonotonicNs;
  op: number;
  tries: number;
  code: string;
}

/** Given up without an answer that can be relied on: the message may be in the room, or get there. */
export interface InfoEvent {
  type: "info";
  at: MonotonicNs;
  op: number;
  tries: number;
  code: string;
}

/** A reader begins: after a position ("" is the beginning of the room), or with the newest `tail` messages. */
export interface StartEvent {
  type: "start";
  at: MonotonicNs;
  reader: string;
  room: string;
  after?: string;
  tail?: number;
  /** With `tail`: the room's newest position when the reader joined, "" where there was none. */
  top?: string;
  /** Nobody knows where it begins: its first observation is the first that is due. */
  anywhere?: boolean;
}

/** The stream carries what happens now: history, or what was missed, is through. */
export interface LiveEvent {
  type: "live";
  at: MonotonicNs;
  reader: string;
  room: string;
  /** The cursor that the stream was opened with; unset on a stream that was opened without one. */
  resumedFrom?: string;
}

/** The application was handed a message. */
export interface SawEvent {
  type: "saw";
  at: MonotonicNs;
  reader: string;
  room: string;
  position: string;
  key: string;
  hash: string;
  sentAtMs: number;
}

/** Why messages are missing, as in chat.v1.GapReason. */
export type GapReasonName = "slow-reader" | "lost" | "expired" | "unspecified";

/** The application was told that every position in (after, through] is missing. */
export interface GapEvent {
  type: "gap";
  at: MonotonicNs;
  reader: string;
  room: string;
  /** "": from the beginning. */
  after: string;
  /** "": nobody can know how far. */
  through: string;
  reason: GapReasonName;
  /** The reader's cursor was of a history that is gone: it has begun anew, and what follows may repeat older messages. */
  reset?: boolean;
}

/** The reader noticed that its stream is gone. */
export interface CutEvent {
  type: "cut";
  at: MonotonicNs;
  reader: string;
  room: string;
  why: string;
}

/** The reader was stopped. */
export interface EndEvent {
  type: "end";
  at: MonotonicNs;
  reader: string;
  room: string;
  /** It had all the time there was after the last fault and the last send: what it has not seen, it never would. */
  settled: boolean;
}

/** Where stored rows were read: the store itself, or ListMessages through a gateway. */
export type RowSourceName = "storage" | "api";

/** A stored message, oldest first in each room and source. */
export interface RowEvent {
  type: "row";
  room: string;
  source: RowSourceName;
  position: string;
  key: string;
  hash: string;
  sentAtMs: number;
}

/** A position that belongs to an entry of the log that is no message, as a change of the room. */
export interface OtherEvent {
  type: "other";
  room: string;
  position: string;
}

/** All rows of the room were read from the source; says how many, so that a cut file does not look complete. */
export interface RowsEvent {
  type: "rows";
  room: string;
  source: RowSourceName;
  count: number;
}

/** The driver did something to the deployment. For figures; decides nothing. */
export interface FaultEvent {
  type: "fault";
  at: MonotonicNs;
  name: string;
  target: string;
  phase: "begin" | "end";
}

export type HistoryEvent =
  | InvokeEvent
  | OkEvent
  | FailEvent
  | InfoEvent
  | StartEvent
  | LiveEvent
  | SawEvent
  | GapEvent
  | CutEvent
  | EndEvent
  | RowEvent
  | OtherEvent
  | RowsEvent
  | FaultEvent;

/** Reads a history line by line; blank lines are passed over. @yields undefined for a line that is not JSON */
export async function* readHistory(path: string): AsyncGenerator<HistoryEvent | undefined> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of Bun.file(path).stream()) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) {
      if (line !== "") {
        yield parseLine(line);
      }
    }
  }
  if (rest !== "") {
    yield parseLine(rest);
  }
}

function parseLine(line: string): HistoryEvent | undefined {
  try {
    return JSON.parse(line) as HistoryEvent;
  } catch {
    return undefined;
  }
}
