/** Says something in a room: the one way in, for the unary call and for the two-way stream. */
import { create } from "@bufbuild/protobuf";
import { type Author, MessageSchema } from "../../gen/chat/v1/message_pb.ts";
import { encodeMessage } from "../../storage/log/log-event.ts";
import type { Appended, RoomLog } from "../../storage/log/room-log.ts";
import { userKeyOf } from "../../storage/user-key.ts";
import type { RoomCatalog } from "../room/room-catalog.ts";

export interface Said {
  roomId: string;
  /** Empty: one is made, and a repetition is not recognised. */
  clientMessageId: string;
  author: Author;
  text: string;
}

/** @throws as RoomCatalog.open and RoomLog.append */
export async function sendMessage(catalog: RoomCatalog, log: RoomLog, said: Said): Promise<Appended> {
  const { roomId, author, text } = said;
  await catalog.open(roomId);
  const clientMessageId = said.clientMessageId || crypto.randomUUID();
  const event = encodeMessage(create(MessageSchema, { clientMessageId, author, text }));
  if (!said.clientMessageId) {
    return log.append({ roomId, event });
  }
  const dedupe = { key: `${userKeyOf(author)}/${clientMessageId}`, digest: Bun.hash(text).toString(36) };
  return log.append({ roomId, event, dedupe });
}
