/**
 * chat.v1.ChatService: what its rpcs mean.
 *
 * Subscribe and Chat yield one message, so that Connect writes the head of the response; from then on the reader writes
 * to the connection itself, and the handler waits for the end, which Connect writes again.
 */
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import type { Logger } from "pino";
import type { ChatService, SubscribeRequest } from "../../gen/chat/v1/chat_pb.ts";
import type { Author } from "../../gen/chat/v1/message_pb.ts";
import type { RoomLog } from "../../storage/log/room-log.ts";
import { formatPosition, parsePosition } from "../../storage/position.ts";
import { catchUp, type Start, startCursor } from "../room/catch-up.ts";
import type { Hub } from "../room/hub.ts";
import type { RoomCatalog } from "../room/room-catalog.ts";
import type { RoomHistory } from "../room/room-history.ts";
import { Subscription } from "../room/subscription.ts";
import { messagePage } from "./message-page.ts";
import { closeReader, endOf, openReader } from "./reader-stream.ts";
import { sendMessage } from "./send-message.ts";
import { TwoWayStream } from "./two-way-stream.ts";
import type { RequestValidation } from "./validation.ts";

export interface ChatServiceParts {
  catalog: RoomCatalog;
  log: RoomLog;
  history: RoomHistory;
  hub: Hub;
  validation: RequestValidation;
  logger: Logger;
}

export function chatService(parts: ChatServiceParts): ServiceImpl<typeof ChatService> {
  const { catalog, log, history, hub } = parts;
  return {
    async sendMessage({ roomId, clientMessageId, author, text }) {
      const said = { roomId, clientMessageId, author: author as Author, text };
      const { position, acceptedMs, duplicate } = await sendMessage(catalog, log, said);
      return { position: formatPosition(position), sentAt: timestampFromMs(acceptedMs), duplicate };
    },

    async *subscribe(request, context) {
      const description = await catalog.get(request.roomId);
      const reader = openReader(hub, context, true);
      try {
        const room = await hub.room(description);
        const subscription = new Subscription(room, reader);
        const start = await startCursor(room, history, startOf(request.start));
        const { version } = room.description;
        yield { event: room.state() };
        reader.open();
        await catchUp(subscription, history, start, version);
        subscription.sendHeartbeat();
        await endOf(reader, context.signal);
      } finally {
        closeReader(hub, reader);
      }
    },

    async *chat(commands, context) {
      const reader = openReader(hub, context, false);
      try {
        const stream = new TwoWayStream(parts, reader);
        const commandsEnd = stream.run(commands);
        const first = await Promise.race([stream.first, commandsEnd.then(() => stream.first)]);
        if (first) {
          yield first;
          reader.open();
        }
        await Promise.race([endOf(reader, context.signal), commandsEnd.then(() => endOf(reader, context.signal))]);
      } finally {
        closeReader(hub, reader);
      }
    },

    listMessages(request) {
      return messagePage(catalog, history, request);
    },
  };
}

/** Where a request wants to begin. */
export function startOf(start: SubscribeRequest["start"]): Start {
  switch (start.case) {
    case "after":
      return { case: "after", position: parsePosition(start.value) };
    case "tail":
      return { case: "tail", messages: start.value };
    default:
      return { case: "live" };
  }
}
