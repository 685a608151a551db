/** The message of the benches, and what a reader of the gateway says to get it. */
import { create, toBinary } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { SubscribeRequestSchema, SubscribeResponseSchema } from "../../gen/chat/v1/chat_pb.ts";
import { MessageSchema } from "../../gen/chat/v1/message_pb.ts";
import { encodeMessage } from "../../storage/log/log-event.ts";
import { envelopeOf } from "../wire/envelope-reader.ts";

export const benchRoomId = "bench";
export const benchAuthor = { userId: "bench", name: "벤치마크" };
/** As long as a long chat line. */
export const benchText =
  "오늘 방송 진짜 재밌다 ㅋㅋㅋㅋ 페이커 미쳤다 hello from the bench, how is everybody doing tonight? ".repeat(2);

export const subscribePath = "/chat.v1.ChatService/Subscribe";

/** A chat.v1.SubscribeRequest in its envelope, base64. */
export function subscribeRequest(roomId = benchRoomId): string {
  const request = create(SubscribeRequestSchema, { roomId });
  return envelopeOf(toBinary(SubscribeRequestSchema, request)).toString("base64");
}

/** The length of the event that readers of the gateway get, without envelope, as long as it will really be. */
export function eventBytes(): number {
  // A time of usual length, the same in every run.
  const sentMs = 1_790_000_000_123;
  const position = `${sentMs}-10000`;
  const value = {
    position,
    author: benchAuthor,
    text: benchText,
    sentAt: timestampFromMs(sentMs),
    clientMessageId: crypto.randomUUID(),
  };
  const event = { roomId: benchRoomId, position, kind: { case: "message" as const, value } };
  return toBinary(SubscribeResponseSchema, create(SubscribeResponseSchema, { event })).length;
}

/** The message as the log has it. @param stamp of `publicationStamp`: it stands in the client_message_id (`due-stamp.ts`) */
export function loggedMessage(stamp: string): Uint8Array {
  // As long as a UUID.
  const clientMessageId = `${stamp.slice(0, 16)}-${stamp.slice(16)}`.padEnd(36, "x");
  return encodeMessage(create(MessageSchema, { text: benchText, author: benchAuthor, clientMessageId }));
}
