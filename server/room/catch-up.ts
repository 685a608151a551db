/**
 * Joins history to the live part: a reader gets everything after its cursor once, in order, and then what comes.
 *
 * Pages are read and sent, as fast as the reader takes them, until what is missing is all in the room's memory; that is
 * sent together with going live in one step. A hole in the numbering of an epoch, or a cursor that nobody has written,
 * is something that was lost: the reader is told with a Gap.
 */
import { GapReason } from "../../gen/chat/v1/event_pb.ts";
import { decodeEntry } from "../../storage/log/log-event.ts";
import type { LogEntry } from "../../storage/log/room-log.ts";
import { comparePositions, formatPosition, type Position, positionBefore } from "../../storage/position.ts";
import { refuse } from "../rpc/refusals.ts";
import { type Outgoing, OutgoingEntry, OutgoingSeries } from "./outgoing.ts";
import type { Room } from "./room.ts";
import { isAfterLoss, type RoomHistory } from "./room-history.ts";
import { outgoingGap, type Subscription } from "./subscription.ts";

/** Where a subscription begins. */
export type Start = { case: "live" } | { case: "after"; position: Position } | { case: "tail"; messages: number };

/** The resolved start. */
export interface StartCursor {
  position: Position | undefined;
  /** A reader has seen it, so it must exist; otherwise it only marks a place. */
  isReaders: boolean;
}

/** Entries read at once. */
const pageEntriesMax = 200;

/** How long a room of this process may be behind a cursor that the log has reached. */
const laggingTimeoutMs = 5_000;

/**
 * Turns a start into a cursor.
 * @throws {ConnectError} POSITION_OUT_OF_RANGE for a position that the room has not reached
 */
export async function startCursor(room: Room, history: RoomHistory, start: Start): Promise<StartCursor> {
  switch (start.case) {
    case "live":
      return { position: room.top, isReaders: false };
    case "after":
      await reach(room, history, start.position);
      return { position: start.position, isReaders: true };
    case "tail":
      return { position: await tailCursor(room, history, start.messages), isReaders: false };
  }
}

async function reach(room: Room, history: RoomHistory, position: Position): Promise<void> {
  const isReached = (top: Position | undefined) => top !== undefined && comparePositions(top, position) >= 0;
  if (isReached(room.top)) {
    return;
  }
  // Another gateway may have shown the reader what has not come here yet: the log decides.
  const top = await history.top(room.roomId);
  if (!isReached(top)) {
    const reached = top ? `the newest is ${formatPosition(top)}` : "it has no entry yet";
    throw refuse(
      "POSITION_OUT_OF_RANGE",
      `room ${room.roomId} has never been at ${formatPosition(position)}: ${reached}`,
      {
        metadata: { room_id: room.roomId, top_position: top ? formatPosition(top) : "" },
      },
    );
  }
  await room.reached(position, laggingTimeoutMs);
}

/** The position before the `messages` newest messages. */
async function tailCursor(room: Room, history: RoomHistory, messages: number): Promise<Position | undefined> {
  if (messages === 0) {
    return room.top;
  }
  let wanted = messages;
  for (let index = room.recent.length - 1; index >= 0; index--) {
    const { position, event } = room.recent[index] as Room["recent"][number];
    if (event.kind.case === "message" && --wanted === 0) {
      return positionBefore(position);
    }
  }
  if (room.recentFloor === undefined) {
    return undefined;
  }
  let before: Position | undefined = room.recent[0]?.position;
  for (;;) {
    const entries = await history.before(room.roomId, before, Math.max(wanted, 20));
    for (const entry of entries.toReversed()) {
      if (isMessage(entry) && --wanted === 0) {
        return positionBefore(entry.position);
      }
    }
    if (entries.length === 0) {
      return undefined;
    }
    before = (entries[0] as LogEntry).position;
  }
}

/**
 * Sends everything after `start` and lets the subscription go live. Resolves when it is live or has ended.
 * @param knownVersion the version of the room that the reader was told first: older states are not sent again
 */
export async function catchUp(
  subscription: Subscription,
  history: RoomHistory,
  start: StartCursor,
  knownVersion: number,
): Promise<void> {
  const { room, reader } = subscription;
  let cursor = start.position;
  subscription.begin(cursor);
  // What the reader brought may be of something that was lost; what was read here is there.
  let unproven = start.isReaders ? cursor : undefined;
  let isDense = start.isReaders;
  while (!room.holdsAfter(cursor)) {
    const entries = await history.after(room.roomId, cursor, pageEntriesMax);
    const last = entries.at(-1);
    if (!last) {
      cursor = room.recentFloor;
      break;
    }
    if (unproven && unproven.epoch !== entries[0]?.position.epoch) {
      await tellIfLost(subscription, history, unproven);
    }
    sendPage(subscription, cursor, entries, knownVersion, isDense || cursor === undefined);
    cursor = last.position;
    unproven = undefined;
    isDense = true;
    await reader.writable();
    if (subscription.isEnded) {
      return;
    }
  }
  const next = room.recent.find(({ position }) => !cursor || comparePositions(position, cursor) > 0);
  if (unproven && unproven.epoch !== (next?.position ?? room.top)?.epoch) {
    await tellIfLost(subscription, history, unproven);
  }
  if (!subscription.isEnded) {
    // Waiting above may have let the room's memory move on past the cursor: then the rest is read as before.
    if (!room.holdsAfter(cursor)) {
      return catchUp(subscription, history, { position: cursor, isReaders: false }, knownVersion);
    }
    room.join(subscription, cursor, knownVersion);
  }
}

/** A cursor of an earlier epoch that nobody can find: the log lost the end of that epoch. */
async function tellIfLost(subscription: Subscription, history: RoomHistory, cursor: Position): Promise<void> {
  const { room, reader } = subscription;
  if (!(await history.has(room.roomId, cursor))) {
    reader.send(outgoingGap(room.roomId, { after: cursor, through: undefined }, GapReason.LOST));
  }
}

function sendPage(
  subscription: Subscription,
  after: Position | undefined,
  entries: readonly LogEntry[],
  knownVersion: number,
  isDense: boolean,
): void {
  const { roomId } = subscription.room;
  const parts: Outgoing[] = [];
  let previous = isDense ? after : undefined;
  for (const [index, entry] of entries.entries()) {
    const { position } = entry;
    if ((index > 0 || isDense) && isAfterLoss(entry, previous)) {
      // Nobody knows what else it had accepted.
      parts.push(outgoingGap(roomId, { after: previous, through: undefined }, GapReason.LOST));
    } else if (previous && previous.epoch === position.epoch && position.seq > previous.seq + 1) {
      parts.push(outgoingGap(roomId, { after: previous, through: positionBefore(position) }, GapReason.LOST));
    }
    previous = position;
    const event = decodeEntry(entry);
    if (event.kind.case !== "roomState" || (event.kind.value.room?.version ?? 0) > knownVersion) {
      parts.push(new OutgoingEntry(entry, event));
    }
  }
  const through = (entries.at(-1) as LogEntry).position;
  subscription.catchUp(new OutgoingSeries(parts, { after, through }), through);
}

function isMessage(entry: LogEntry): boolean {
  return decodeEntry(entry).kind.case === "message";
}
