/** The people of the benchmark who send, in a process of their own: calls of SendMessage over one transport. */
import { createClient } from "@connectrpc/connect";
import { createNodeTransport } from "../../client/node-transports.ts";
import { ChatService } from "../../gen/chat/v1/chat_pb.ts";
import { obeyParent } from "../measuring/asked-process.ts";
import { chatMessages } from "../measuring/chat-messages.ts";
import { type ClosedLoopResult, closedLoop } from "../measuring/closed-loop.ts";

export interface SendCommand {
  /** Of the gateway. */
  url: string;
  protocol: "grpc" | "connect";
  roomIds: string[];
  inFlight: number;
  seconds: number;
}

const nextMessage = chatMessages();

obeyParent(({ url, protocol, roomIds, inFlight, seconds }: SendCommand): Promise<ClosedLoopResult> => {
  // gRPC: all calls on one HTTP/2 connection. Connect: HTTP/1.1, a connection for each call in flight.
  const transport = createNodeTransport({ baseUrl: url, protocol, httpVersion: protocol === "grpc" ? "2" : "1.1" });
  const chat = createClient(ChatService, transport);
  let n = 0;
  return closedLoop(inFlight, seconds, () => {
    const { author, text, clientMessageId } = nextMessage();
    const roomId = roomIds[n++ % roomIds.length] ?? "";
    return chat.sendMessage({ roomId, author, text, clientMessageId });
  });
});
