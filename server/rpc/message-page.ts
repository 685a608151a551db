/** chat.v1.ChatService.ListMessages: a page of a room's messages, out of entries of all kinds. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { ListMessagesRequest, ListMessagesResponseSchema } from "../../gen/chat/v1/chat_pb.ts";
import type { Message } from "../../gen/chat/v1/message_pb.ts";
import { decodeEntry } from "../../storage/log/log-event.ts";
import type { LogEntry } from "../../storage/log/room-log.ts";
import { formatPosition, type Position, parsePosition, positionAfter } from "../../storage/position.ts";
import type { RoomCatalog } from "../room/room-catalog.ts";
import type { RoomHistory } from "../room/room-history.ts";

const pageSizeDefault = 50;

/** Reads for one page; a page is shorter where so many stretches held too few messages among other entries. */
const readsMax = 20;

type Page = MessageInitShape<typeof ListMessagesResponseSchema>;

export async function messagePage(
  catalog: RoomCatalog,
  history: RoomHistory,
  { roomId, pageSize, cursor }: ListMessagesRequest,
): Promise<Page> {
  await catalog.get(roomId);
  const messagesMax = pageSize || pageSizeDefault;
  if (cursor.case === "after") {
    return newerPage(history, roomId, parsePosition(cursor.value), messagesMax);
  }
  const before = cursor.case === "before" ? parsePosition(cursor.value) : undefined;
  return olderPage(history, roomId, before, messagesMax);
}

async function newerPage(history: RoomHistory, roomId: string, after: Position, messagesMax: number): Promise<Page> {
  const messages: Message[] = [];
  let newer = after;
  for (let read = 0; read < readsMax && messages.length < messagesMax; read++) {
    const entries = await history.after(roomId, newer, messagesMax - messages.length);
    const last = entries.at(-1);
    if (!last) {
      break;
    }
    messages.push(...messagesOf(entries));
    newer = last.position;
  }
  const oldest = messages[0] ? parsePosition(messages[0].position) : positionAfter(newer);
  const hasOlder = (await history.before(roomId, oldest, 1)).length > 0;
  return { messages, older: hasOlder ? formatPosition(oldest) : "", newer: formatPosition(newer) };
}

async function olderPage(
  history: RoomHistory,
  roomId: string,
  before: Position | undefined,
  messagesMax: number,
): Promise<Page> {
  let messages: Message[] = [];
  let older = before;
  let newest: Position | undefined;
  let hasOlder = true;
  for (let read = 0; read < readsMax && messages.length < messagesMax && hasOlder; read++) {
    const entriesMax = messagesMax - messages.length;
    const entries = await history.before(roomId, older, entriesMax + 1);
    hasOlder = entries.length > entriesMax;
    const wanted = hasOlder ? entries.slice(1) : entries;
    messages = [...messagesOf(wanted), ...messages];
    older = wanted[0]?.position ?? older;
    newest ??= wanted.at(-1)?.position;
  }
  return {
    messages,
    older: hasOlder && older ? formatPosition(older) : "",
    newer: newest ? formatPosition(newest) : "",
  };
}

function messagesOf(entries: readonly LogEntry[]): Message[] {
  return entries.flatMap((entry) => {
    const { kind } = decodeEntry(entry);
    return kind.case === "message" ? [kind.value] : [];
  });
}
