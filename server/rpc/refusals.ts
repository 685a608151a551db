/**
 * Everything that the gateway refuses: one table of reasons, and the errors made from it.
 *
 * A refusal carries google.rpc details on every protocol: ErrorInfo with the reason, BadRequest where fields are wrong,
 * RetryInfo where waiting helps. `docs/errors.md` is written from this table and a test compares them.
 */
import { create } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import { HistoryUnavailableError } from "../../storage/history/history-store.ts";
import {
  ClientMessageIdReusedError,
  RoomClosedError,
  RoomLogFullError,
  RoomLogUnavailableError,
} from "../../storage/log/errors.ts";
import {
  PageTokenError,
  RoomDirectoryUnavailableError,
  RoomExistsError,
  RoomNotFoundError,
  RoomNotOpenError,
  RoomVersionMismatchError,
} from "../../storage/rooms/room-directory.ts";

/** ErrorInfo.domain of every refusal. */
export const refusalDomain = "streaming-chat";

interface Refusal {
  code: Code;
  /** What has happened. */
  when: string;
  /** What the client should do. */
  remedy: string;
}

export const refusals = {
  INVALID_FIELD: {
    code: Code.InvalidArgument,
    when: "A field breaks its rule in the .proto. BadRequest names each field and its rule.",
    remedy: "Correct the fields named.",
  },
  PAGE_TOKEN_INVALID: {
    code: Code.InvalidArgument,
    when: "The page token is not one that this list gave out.",
    remedy: "Begin again with the first page.",
  },
  ROOM_NOT_FOUND: {
    code: Code.NotFound,
    when: "There is no room with this id.",
    remedy: "Create it, or ask for another.",
  },
  ROOM_EXISTS: {
    code: Code.AlreadyExists,
    when: "The id of the new room is taken.",
    remedy: "Choose another id.",
  },
  ROOM_CLOSED: {
    code: Code.FailedPrecondition,
    when: "The room is closed: it takes no messages and no changes.",
    remedy: "Read its history; talk elsewhere.",
  },
  ROOM_VERSION_MISMATCH: {
    code: Code.Aborted,
    when: "The room has changed since the version that the change was meant for.",
    remedy: "Get the room, look again, and change it with its new version.",
  },
  CLIENT_MESSAGE_ID_REUSED: {
    code: Code.AlreadyExists,
    when: "The author used this client_message_id for another text in the last five minutes.",
    remedy: "Give every message an id of its own.",
  },
  POSITION_OUT_OF_RANGE: {
    code: Code.OutOfRange,
    when: "The room has never been at this position.",
    remedy: "Begin with a tail instead.",
  },
  NOT_JOINED: {
    code: Code.FailedPrecondition,
    when: "A command of a two-way stream names a room that the stream has not joined.",
    remedy: "Join first.",
  },
  ALREADY_JOINED: {
    code: Code.AlreadyExists,
    when: "A two-way stream joins a room it is in.",
    remedy: "Nothing: the stream is in the room.",
  },
  TOO_MANY_ROOMS: {
    code: Code.ResourceExhausted,
    when: "A two-way stream joins more rooms than a stream may (20).",
    remedy: "Leave a room, or open another stream.",
  },
  TOO_MANY_STREAMS: {
    code: Code.ResourceExhausted,
    when: "This gateway has as many open streams as it may.",
    remedy: "Try again after the delay; another gateway may answer.",
  },
  SLOW_READER: {
    code: Code.ResourceExhausted,
    when: "The reader of a stream took too little for too long.",
    remedy: "Subscribe again after the last position seen.",
  },
  LOG_FULL: {
    code: Code.ResourceExhausted,
    when: "Storing is so far behind that the log takes no more for now.",
    remedy: "Send again after the delay, with the same client_message_id.",
  },
  LOG_UNAVAILABLE: {
    code: Code.Unavailable,
    when: "The room's log is out of reach. A send may or may not have been accepted.",
    remedy: "Repeat after the delay; a send with the same client_message_id.",
  },
  HISTORY_UNAVAILABLE: {
    code: Code.Unavailable,
    when: "The history is out of reach.",
    remedy: "Repeat after the delay.",
  },
  ROOMS_UNAVAILABLE: {
    code: Code.Unavailable,
    when: "The directory of rooms is out of reach.",
    remedy: "Repeat after the delay.",
  },
  DRAINING: {
    code: Code.Unavailable,
    when: "This gateway stops.",
    remedy: "Come back after the delay with the last position seen; another gateway answers.",
  },
  MAX_AGE: {
    code: Code.Unavailable,
    when: "The stream has reached its greatest age.",
    remedy: "Come back with the last position seen.",
  },
  INTERNAL: {
    code: Code.Internal,
    when: "A mistake of ours. The cause is in the gateway's log.",
    remedy: "Report it.",
  },
} as const satisfies Record<string, Refusal>;

export type RefusalReason = keyof typeof refusals;

export interface RefusalDetails {
  /** When trying again makes sense. */
  retryAfterMs?: number;
  fieldViolations?: { field: string; description: string }[];
  /** ErrorInfo.metadata: the numbers and names of this case. */
  metadata?: Record<string, string>;
  cause?: unknown;
}

/** The error of a refusal: throw it. @param message for people: names the value and the limit */
export function refuse(reason: RefusalReason, message: string, details: RefusalDetails = {}): ConnectError {
  const { retryAfterMs, fieldViolations, metadata, cause } = details;
  const error = new ConnectError(message, refusals[reason].code, undefined, undefined, cause);
  const info = create(ErrorInfoSchema, { reason, domain: refusalDomain, metadata: metadata ?? {} });
  error.details.push({ desc: ErrorInfoSchema, value: info });
  if (fieldViolations) {
    error.details.push({ desc: BadRequestSchema, value: create(BadRequestSchema, { fieldViolations }) });
  }
  if (retryAfterMs !== undefined) {
    const retry = create(RetryInfoSchema, { retryDelay: durationFromMs(retryAfterMs) });
    error.details.push({ desc: RetryInfoSchema, value: retry });
  }
  return error;
}

/** Turns what a seam threw into a refusal. Undefined: it is none of the known failures. */
export function refusalOf(error: unknown): ConnectError | undefined {
  if (error instanceof ConnectError) {
    return error;
  }
  if (error instanceof RoomNotFoundError) {
    return refuse("ROOM_NOT_FOUND", error.message, { metadata: { room_id: error.roomId } });
  }
  if (error instanceof RoomClosedError || error instanceof RoomNotOpenError) {
    return refuse("ROOM_CLOSED", error.message, { metadata: { room_id: error.roomId } });
  }
  if (error instanceof RoomExistsError) {
    return refuse("ROOM_EXISTS", error.message, { metadata: { room_id: error.roomId } });
  }
  if (error instanceof RoomVersionMismatchError) {
    return refuse("ROOM_VERSION_MISMATCH", error.message, {
      metadata: { room_id: error.roomId, version: String(error.version) },
    });
  }
  if (error instanceof PageTokenError) {
    return refuse("PAGE_TOKEN_INVALID", error.message);
  }
  if (error instanceof ClientMessageIdReusedError) {
    return refuse("CLIENT_MESSAGE_ID_REUSED", error.message, { metadata: { room_id: error.roomId } });
  }
  if (error instanceof RoomLogFullError) {
    return refuse("LOG_FULL", error.message, { retryAfterMs: error.retryAfterMs });
  }
  if (error instanceof RoomLogUnavailableError) {
    return refuse("LOG_UNAVAILABLE", error.message, { retryAfterMs: error.retryAfterMs, cause: error });
  }
  if (error instanceof RoomDirectoryUnavailableError) {
    return refuse("ROOMS_UNAVAILABLE", error.message, { retryAfterMs: error.retryAfterMs, cause: error });
  }
  if (error instanceof HistoryUnavailableError) {
    return refuse("HISTORY_UNAVAILABLE", error.message, { retryAfterMs: error.retryAfterMs, cause: error });
  }
  return undefined;
}
