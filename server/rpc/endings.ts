/** How a call ends when its subscription does: one line for every EndReason; nothing else ends a subscription. */
import type { ConnectError } from "@connectrpc/connect";
import { EndReason } from "../../gen/chat/v1/event_pb.ts";
import type { Ending } from "../room/reader.ts";
import { refuse } from "./refusals.ts";

/** The error with which the call ends where the reader should come back; undefined: the call ends well. */
export function endingError({ reason, retryAfterMs }: Ending): ConnectError | undefined {
  switch (reason) {
    case EndReason.UNSPECIFIED:
    case EndReason.ROOM_CLOSED:
    case EndReason.LEFT:
      return undefined;
    case EndReason.SLOW_READER:
      return refuse("SLOW_READER", "the reader took too little for too long", { retryAfterMs });
    case EndReason.DRAINING:
      return refuse("DRAINING", "the gateway stops", { retryAfterMs });
    case EndReason.MAX_AGE:
      return refuse("MAX_AGE", "the stream has reached its greatest age", { retryAfterMs });
    case EndReason.LOG_UNAVAILABLE:
      return refuse("LOG_UNAVAILABLE", "the room's log is out of reach", { retryAfterMs });
  }
}
