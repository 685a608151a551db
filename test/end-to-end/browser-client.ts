/**
 * connect-web in a page: bundled by the test and run in a real browser. Reads a room over one protocol and speaks in it;
 * what it reads goes to the test through `record`.
 */
import { createClient } from "@connectrpc/connect";
import { createWebTransport, type WebProtocol } from "../../client/web-transports.ts";
import { ChatService } from "../../gen/chat/v1/chat_pb.ts";

declare global {
  interface Window {
    /** The test's: takes the position and text of a message, or no position when the subscription opens. */
    record(protocol: WebProtocol, position: string, text: string): Promise<void>;
    readRoom(protocol: WebProtocol, roomId: string): void;
    say(protocol: WebProtocol, roomId: string, text: string): Promise<void>;
  }
}

function client(protocol: WebProtocol) {
  return createClient(ChatService, createWebTransport({ baseUrl: window.location.origin, protocol }));
}

window.readRoom = async (protocol, roomId) => {
  for await (const { event } of client(protocol).subscribe({ roomId })) {
    if (event?.kind.case === "roomState") {
      await window.record(protocol, "", "");
    } else if (event?.kind.case === "message") {
      await window.record(protocol, event.position, event.kind.value.text);
    }
  }
};

window.say = async (protocol, roomId, text) => {
  await client(protocol).sendMessage({ roomId, text, author: { name: `browser ${protocol}` } });
};
