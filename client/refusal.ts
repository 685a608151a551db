/**
 * Reads the gateway's refusals: from an error of any call to the facts that a person or a retry needs. The gateway
 * attaches google.rpc details to every refusal (ErrorInfo of the domain "streaming-chat", BadRequest, RetryInfo).
 */
import { durationMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "../gen/google/rpc/error_details_pb.ts";
import type { Status } from "../gen/google/rpc/status_pb.ts";

/** A field of the request that broke its rule. */
export interface FieldViolation {
  /** Its path in the request, as "author.name". */
  field: string;
  /** The rule, in English. */
  description: string;
}

export interface Refusal {
  code: Code;
  /** The gateway's sentence, without the code in front. */
  message: string;
  /** ErrorInfo.reason, as "ROOM_NOT_FOUND". Undefined: the error is not the gateway's own (a proxy, the network). */
  reason: string | undefined;
  /** Empty unless the request broke its rules. */
  fieldViolations: FieldViolation[];
  /** How long the gateway asks to wait before the next try. Undefined: it does not say. */
  retryAfterMs: number | undefined;
}

/** Takes anything thrown by a call. Never throws. */
export function refusalOf(thrown: unknown): Refusal {
  const error = ConnectError.from(thrown);
  return {
    code: error.code,
    message: error.rawMessage,
    reason: error.findDetails(ErrorInfoSchema)[0]?.reason,
    fieldViolations: error
      .findDetails(BadRequestSchema)
      .flatMap((detail) => detail.fieldViolations)
      .map(({ field, description }) => ({ field, description })),
    retryAfterMs: retryAfterMs(error),
  };
}

/** RetryInfo.retry_delay in ms, at least 0; undefined where the error has none. */
export function retryAfterMs(error: ConnectError): number | undefined {
  const delay = error.findDetails(RetryInfoSchema)[0]?.retryDelay;
  return delay ? Math.max(0, durationMs(delay)) : undefined;
}

/**
 * How connect-es puts it that an answer breaks off, as of a gateway that is killed while a message is on its way: with
 * InvalidArgument, as if the request were at fault (its protocol/async-iterable.ts and protocol-connect/transport.ts).
 */
const brokenOff = /^protocol error: (incomplete envelope|promised \d+ bytes|missing EndStreamResponse)/;

/**
 * Whether a call failed on the way and not by a decision of the gateway, which gives a reason with every refusal. What a
 * lost connection looks like differs: connect-node on Bun says Canceled (HTTP/2) or Aborted, fetch says Unknown, a reset by
 * a proxy Internal, a message that breaks off InvalidArgument.
 */
export function isNetworkFailure(error: ConnectError): boolean {
  switch (error.code) {
    case Code.Canceled:
    case Code.Unknown:
    case Code.Aborted:
    case Code.Internal:
      return error.findDetails(ErrorInfoSchema).length === 0;
    case Code.InvalidArgument:
      return brokenOff.test(error.rawMessage);
    default:
      return false;
  }
}

/** A google.rpc.Status that came inside a stream, as the error that the unary call would have thrown. */
export function errorOfStatus(status: Status | undefined): ConnectError {
  if (!status) {
    return new ConnectError("the gateway refused without saying why", Code.Unknown);
  }
  const error = new ConnectError(status.message, status.code in Code ? status.code : Code.Unknown);
  error.details = status.details.map(({ typeUrl, value }) => ({
    type: typeUrl.slice(typeUrl.lastIndexOf("/") + 1),
    value,
  }));
  return error;
}
