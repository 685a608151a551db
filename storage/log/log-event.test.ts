import { expect, test } from "bun:test";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { SubscribeResponseSchema } from "../../gen/chat/v1/chat_pb.ts";
import { EventSchema, RoomStateSchema } from "../../gen/chat/v1/event_pb.ts";
import { MessageSchema } from "../../gen/chat/v1/message_pb.ts";
import { decodeEntry, encodeMessage, encodeMessageEntry, encodeRoomState } from "./log-event.ts";
import type { LogEntry } from "./room-log.ts";

const position = { epoch: 1_800_000_000_000, seq: 7 };
const entryOf = (event: Uint8Array, acceptedMs = 1_800_000_000_123): LogEntry => ({
  roomId: "lobby",
  position,
  acceptedMs,
  event,
});

test("a message's bytes, put together, are what encoding its decoded event gives", () => {
  const message = fc.record({
    text: fc.string({ unit: "grapheme", maxLength: 500 }),
    clientMessageId: fc.uuid(),
    author: fc.record({ userId: fc.string(), name: fc.string({ unit: "grapheme" }), avatar: fc.string() }),
  });
  fc.assert(
    fc.property(message, fc.integer({ min: 0, max: 4_000_000_000_000 }), (said, acceptedMs) => {
      const entry = entryOf(encodeMessage(create(MessageSchema, said)), acceptedMs);
      const bytes = encodeMessageEntry(entry) as Uint8Array;
      const expected = create(SubscribeResponseSchema, { event: decodeEntry(entry) });
      // Not the bytes themselves: their fields stand in another order.
      expect(fromBinary(SubscribeResponseSchema, bytes)).toEqual(
        fromBinary(SubscribeResponseSchema, toBinary(SubscribeResponseSchema, expected)),
      );
    }),
  );
});

test("what is not one message and nothing else is left to the usual way", () => {
  const roomState = encodeRoomState(create(RoomStateSchema, { room: { roomId: "lobby" } }));
  const message = encodeMessage(create(MessageSchema, { text: "a" }));
  const withRoom = toBinary(EventSchema, create(EventSchema, { roomId: "other" }));
  for (const event of [new Uint8Array(), roomState, withRoom, Buffer.concat([message, withRoom])]) {
    expect(encodeMessageEntry(entryOf(event))).toBeUndefined();
  }
});
