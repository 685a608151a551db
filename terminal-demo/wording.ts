/**
 * What the terminal client says: messages, the connection, refusals, hot words, as lines ready to print. Text that came
 * from others passes through `terminal-text.ts`. Owns nothing.
 */
import { timestampDate } from "@bufbuild/protobuf/wkt";
import { Code } from "@connectrpc/connect";
import type { ConnectionState, EndedReason, Interruption } from "../client/connection-state.ts";
import { type Refusal, refusalOf } from "../client/refusal.ts";
import { EndReason, type Gap, GapReason } from "../gen/chat/v1/event_pb.ts";
import type { HotWord } from "../gen/chat/v1/hot_word_pb.ts";
import type { Message } from "../gen/chat/v1/message_pb.ts";
import type { Room } from "../gen/chat/v1/room_pb.ts";
import { commandHelp } from "./commands.ts";
import {
  avatarFor,
  bold,
  columnsOf,
  dim,
  inAuthorColour,
  padded,
  red,
  safeLine,
  safeLines,
  type TerminalStyle,
} from "./terminal-text.ts";

/** `12:34 🦊 민수: 안녕`; further lines of the text stand under its first. */
export function messageLines(message: Message, style: TerminalStyle, timeZone?: string): string {
  const name = safeLine(message.author?.name ?? "?");
  const avatar = safeLine(message.author?.avatar ?? "") || avatarFor(name);
  const time = message.sentAt ? clockTime(timestampDate(message.sentAt), timeZone) : "--:--";
  const identity = message.author?.userId || name;
  const [first, ...others] = safeLines(message.text);
  const head = `${dim(time, style)} ${avatar} ${inAuthorColour(name, identity, style)}: `;
  const indent = " ".repeat(columnsOf(`${time} `));
  return [head + first, ...others.map((line) => indent + line)].join("\n");
}

function clockTime(date: Date, timeZone: string | undefined): string {
  return date.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit", timeZone });
}

/**
 * What changed about the connection; undefined where it is not worth a line.
 * @param wasLive there was a connection before
 */
export function connectionLine(state: ConnectionState, wasLive: boolean, style: TerminalStyle): string | undefined {
  switch (state.kind) {
    case "connecting":
      return undefined;
    case "live": {
      if (state.resumedInMs === undefined) {
        return undefined;
      }
      const { caughtUp = 0 } = state;
      const missed = caughtUp === 0 ? "nothing missed" : `${counted(caughtUp, "message")} caught up`;
      return dim(`· resumed after ${seconds(state.resumedInMs)}, ${missed}`, style);
    }
    case "waiting": {
      const what = !wasLive ? "no connection" : state.attempt === 1 ? "connection lost" : "still no connection";
      const next = wasLive ? "back" : "next try";
      return dim(`· ${what} (${interruption(state.cause)}), ${next} in ${seconds(state.delayMs)} …`, style);
    }
    case "ended":
      return state.reason.kind === "refused" ? red(`✗ ${explained(refusalOf(state.reason.error))}`, style) : undefined;
  }
}

function interruption(cause: Interruption): string {
  switch (cause.kind) {
    case "failed":
      // How long to wait is said beside it.
      return explained({ ...refusalOf(cause.error), retryAfterMs: undefined });
    case "closed":
      return "the gateway ended the stream";
    case "draining":
      return "the gateway stops";
    case "silent":
      return `nothing heard for ${seconds(cause.silentMs)}`;
    case "behind":
      return "messages were missing";
    case "cursorRefused":
      return "the gateway has another history";
    case "ended":
      switch (cause.reason) {
        case EndReason.SLOW_READER:
          return "this terminal was too slow";
        case EndReason.DRAINING:
          return "the gateway stops";
        case EndReason.MAX_AGE:
          return "the gateway asked for a new connection";
        case EndReason.LOG_UNAVAILABLE:
          return "the gateway's storage is out of reach";
        default:
          return "the gateway ended the stream";
      }
  }
}

/** Why the room is over, with what to do; undefined where the person knows. */
export function roomEndedLine(roomId: string, reason: EndedReason, style: TerminalStyle): string | undefined {
  switch (reason.kind) {
    case "roomClosed":
      return dim(`· ${roomId} was closed; /rooms shows where else people talk`, style);
    case "refused": {
      const refusal = refusalOf(reason.error);
      return refusal.code === Code.NotFound
        ? red(`✗ there is no room ${roomId}; /create ${roomId} makes it, /rooms shows what there is`, style)
        : red(`✗ not in ${roomId}: ${explained(refusal)}`, style);
    }
    default:
      return undefined;
  }
}

/** A refusal in one line: the sentence, the fields, the reason, when to try again. */
export function explained(refusal: Refusal): string {
  const fields = refusal.fieldViolations.map(({ field, description }) => `${field} ${description}`);
  const sentence = fields.length > 0 ? fields.join("; ") : refusal.message || Code[refusal.code];
  const reason = refusal.reason ? ` [${refusal.reason}]` : "";
  const retry = refusal.retryAfterMs === undefined ? "" : `; try again in ${seconds(refusal.retryAfterMs)}`;
  return safeLine(`${sentence}${reason}${retry}`);
}

export function notSentLine(text: string, thrown: unknown, style: TerminalStyle): string {
  return red(`✗ not sent: ${explained(refusalOf(thrown))}`, style) + dim(`  « ${safeLine(text, " ⏎ ")} »`, style);
}

export function gapLine(gap: Gap, style: TerminalStyle): string {
  const why: Record<GapReason, string> = {
    [GapReason.UNSPECIFIED]: "",
    [GapReason.SLOW_READER]: ": more came than this terminal took",
    [GapReason.LOST]: ": the gateway's storage lost them",
    [GapReason.EXPIRED]: ": they are older than what is kept",
  };
  return dim(`· messages are missing here${why[gap.reason] ?? ""}`, style);
}

/** The room on entering it. */
export function roomLine(room: Room, style: TerminalStyle): string {
  const id = room.title === "" || room.title === room.roomId ? "" : ` (${room.roomId})`;
  const about = room.description === "" ? "" : ` — ${safeLine(room.description)}`;
  return bold(safeLine(room.title || room.roomId), style) + dim(id + about, style);
}

export function roomListLines(rooms: readonly Room[], currentId: string | undefined, style: TerminalStyle): string {
  if (rooms.length === 0) {
    return dim("· no room is open; /create ROOM makes one", style);
  }
  const columns = Math.max(...rooms.map(({ roomId }) => columnsOf(roomId)));
  return rooms
    .map(({ roomId, title }) => {
      const mark = roomId === currentId ? "▸" : " ";
      return `${mark} ${bold(padded(roomId, columns), style)}  ${safeLine(title)}`;
    })
    .join("\n");
}

export function viewersLine(viewers: number | undefined, style: TerminalStyle): string {
  return dim(viewers === undefined ? "· the gateway has not said yet" : `· ${viewers} watching`, style);
}

const barColumnsMax = 24;
const eighths = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];

/** A bar for each word, the longest for the hottest. */
export function hotWordLines(words: readonly HotWord[], windowMs: number, style: TerminalStyle): string {
  const window = `the last ${seconds(windowMs)}`;
  if (words.length === 0) {
    return dim(`· no hot words in ${window}`, style);
  }
  const shown = words.map(({ word, users }) => ({ word: safeLine(word), users }));
  const columns = Math.max(...shown.map(({ word }) => columnsOf(word)));
  const most = Math.max(1, ...shown.map(({ users }) => users));
  const rows = shown.map(({ word, users }) => {
    const units = Math.round((users / most) * barColumnsMax * 8);
    const bar = "█".repeat(Math.floor(units / 8)) + eighths[units % 8];
    return `  ${padded(word, columns)}  ${inAuthorColour(bar, word, style)} ${users}`;
  });
  return [dim(`· hot words of ${window}, by how many people used them`, style), ...rows].join("\n");
}

export function helpLines(style: TerminalStyle): string {
  const columns = Math.max(...commandHelp.map(([usage]) => columnsOf(usage)));
  return commandHelp.map(([usage, what]) => `  ${bold(padded(usage, columns), style)}  ${what}`).join("\n");
}

/** `0.8 s`, `12 s`, `5 min`. */
export function seconds(ms: number): string {
  if (ms >= 120_000) {
    return `${Math.round(ms / 60_000)} min`;
  }
  return ms < 9_950 ? `${(ms / 1_000).toFixed(1)} s` : `${Math.round(ms / 1_000)} s`;
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}
