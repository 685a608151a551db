/** How the feeder names a refusal in its counts, and the interceptor that sees each refused try. */
import { Code, ConnectError, type Interceptor } from "@connectrpc/connect";
import { type Refusal, refusalOf } from "../../client/index.ts";
import { SendMessageRequestSchema } from "../../gen/chat/v1/chat_pb.ts";

/** The gateway's reason ("ROOM_CLOSED"), or the code of what came from elsewhere ("unavailable"). */
export function refusalReason(refusal: Refusal): string {
  return refusal.reason ?? Code[refusal.code].replace(/(?<=[a-z])[A-Z]/g, "_$&").toLowerCase();
}

/** Counts the sends refused, those that will be tried again too: the client does not show them. */
export function countRefusedSends(countRefusal: (reason: string) => void): Interceptor {
  return (next) => async (request) => {
    try {
      return await next(request);
    } catch (thrown) {
      const error = ConnectError.from(thrown);
      if (request.method.input === SendMessageRequestSchema && error.code !== Code.Canceled) {
        countRefusal(refusalReason(refusalOf(error)));
      }
      throw thrown;
    }
  };
}
