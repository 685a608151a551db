import { describe, expect, test } from "bun:test";
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { SubscribeResponseSchema } from "../../gen/chat/v1/chat_pb.ts";
import type { EventSchema } from "../../gen/chat/v1/event_pb.ts";
import { stampedId } from "./due-stamp.ts";
import { type ScannedMessage, scanMessage } from "./message-scan.ts";

function scan(event: MessageInitShape<typeof EventSchema>): ScannedMessage | undefined {
  const data = Buffer.from(toBinary(SubscribeResponseSchema, create(SubscribeResponseSchema, { event })));
  // Somewhere in a chunk, with other bytes around it.
  const chunk = Buffer.concat([Buffer.alloc(7, 0xff), data, Buffer.alloc(7, 0xff)]);
  const found: ScannedMessage = { epoch: -1, seq: -1, dueUs: -1 };
  return scanMessage(chunk, 7, 7 + data.length, found) ? found : undefined;
}

describe("scanMessage", () => {
  test("finds what the generated code wrote, in texts of every length", () => {
    const digits = fc.nat(999_999_999_999_999);
    fc.assert(
      fc.property(digits, digits, digits, fc.string({ maxLength: 400 }), (epoch, seq, dueUs, text) => {
        const message = { clientMessageId: stampedId(dueUs, "0-1"), text, author: { userId: "u", name: "민수" } };
        const position = `${epoch}-${seq}`;
        const kind = { case: "message" as const, value: { ...message, position, sentAt: { seconds: 5n, nanos: 7 } } };
        expect(scan({ roomId: "lobby", position, kind })).toEqual({ epoch, seq, dueUs });
      }),
    );
  });

  test("takes the message of somebody else without a time", () => {
    for (const clientMessageId of ["", "short", crypto.randomUUID(), "1234567890123456"]) {
      const kind = { case: "message" as const, value: { clientMessageId } };
      expect(scan({ position: "5-6", kind })).toEqual({ epoch: 5, seq: 6, dueUs: 0 });
    }
  });

  test("leaves every other event to the generated code", () => {
    expect(scan({ kind: { case: "heartbeat", value: { topPosition: "5-6" } } })).toBeUndefined();
    expect(scan({ kind: { case: "gap", value: { after: "5-6" } } })).toBeUndefined();
    expect(scan({ position: "5-6", kind: { case: "roomState", value: {} } })).toBeUndefined();
  });

  test("refuses bytes that are no protobuf", () => {
    const found: ScannedMessage = { epoch: 0, seq: 0, dueUs: 0 };
    expect(() => scanMessage(Buffer.from([0x0a, 0x7f, 0x00]), 0, 3, found)).toThrow(RangeError);
    expect(() => scanMessage(Buffer.from([0x0f]), 0, 1, found)).toThrow(RangeError);
    expect(() => scanMessage(Buffer.alloc(20, 0xff), 0, 20, found)).toThrow(RangeError);
  });
});
