/** The frame of every call whose events the reader writes itself: opening, waiting for the end, giving back. */
import type { HandlerContext } from "@connectrpc/connect";
import { EndReason } from "../../gen/chat/v1/event_pb.ts";
import type { Hub } from "../room/hub.ts";
import type { Reader } from "../room/reader.ts";
import { responseSink } from "../transport/response-sink.ts";
import { endingError } from "./endings.ts";
import { abortedError } from "./interceptors.ts";
import { incomingRequest } from "./rpc-handlers.ts";

/** How long a connection that takes nothing may take for the end of its stream before it is cut. */
const endGraceMs = 5_000;

/**
 * Opens a reader on the response of this call; it ends when the client goes or its deadline passes.
 * @param endsWithLastRoom whether the call is over once the reader has left its last room
 * @throws {ConnectError} TOO_MANY_STREAMS, DRAINING
 */
export function openReader(hub: Hub, context: HandlerContext, endsWithLastRoom: boolean): Reader {
  const request = context.values.get(incomingRequest);
  if (!request) {
    throw new Error("a stream was called without the listener that owns its connection");
  }
  const isJson = context.requestHeader.get("content-type")?.includes("json") ?? false;
  const reader = hub.openReader(responseSink(request), isJson ? "json" : "proto", endsWithLastRoom);
  const leave = () => reader.end(EndReason.LEFT);
  if (context.signal.aborted) {
    leave();
  } else {
    context.signal.addEventListener("abort", leave, { once: true });
  }
  return reader;
}

/** Resolves when the stream shall end well. @throws {ConnectError} with which it ends otherwise */
export async function endOf(reader: Reader, signal: AbortSignal): Promise<void> {
  const ending = await reader.ended;
  if (signal.aborted) {
    throw abortedError(signal);
  }
  const error = endingError(ending);
  if (error) {
    throw error;
  }
}

/** Gives the reader back; a connection that does not take even the end is cut. */
export function closeReader(hub: Hub, reader: Reader): void {
  hub.closeReader(reader);
  reader.release();
  if (reader.isBehind) {
    setTimeout(() => reader.destroyIfStuck(), endGraceMs).unref();
  }
}
