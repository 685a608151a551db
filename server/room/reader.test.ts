import { describe, expect, test } from "bun:test";
import { create } from "@bufbuild/protobuf";

import { EndReason, GapReason } from "../../gen/chat/v1/event_pb.ts";
import { MessageSchema } from "../../gen/chat/v1/message_pb.ts";
import { type Room as RoomDescription, RoomSchema, RoomStatus } from "../../gen/chat/v1/room_pb.ts";
import { encodeMessage } from "../../storage/log/log-event.ts";
import { DeliveryPace } from "./delivery-pace.ts";
import { FakeSink } from "./reader.fake-sink.ts";
import { Reader } from "./reader.ts";
import { Room, type RoomObserver } from "./room.ts";
import { Subscription } from "./subscription.ts";

const limits = { sendQueueBytesMax: 1_000, slowReaderTimeoutMs: 5_000 };
const observer: RoomObserver = { delivered() {}, undecodable() {} };
const description: RoomDescription = create(RoomSchema, {
  roomId: "lobby",
  title: "lobby",
  status: RoomStatus.OPEN,
  version: 1,
});

function liveRoom(): Room {
  const room = new Room(description, 100, observer, new DeliveryPace(0));
  room.followed(undefined);
  return room;
}

function liveReader(
  room: Room,
  endsWithLastRoom = true,
): { reader: Reader; sink: FakeSink; subscription: Subscription } {
  const sink = new FakeSink("plain");
  const reader = new Reader(sink, "proto", endsWithLastRoom, limits);
  const subscription = new Subscription(room, reader);
  reader.open();
  room.join(subscription, undefined, 1);
  return { reader, sink, subscription };
}

function say(room: Room, seq: number, text = `message ${seq}`): void {
  const event = encodeMessage(create(MessageSchema, { text, author: { name: "a" } }));
  room.entry({ roomId: "lobby", position: { epoch: 1, seq }, acceptedMs: 0, event });
  room.flush();
}

const kinds = (sink: FakeSink) => sink.events().map(({ kind }) => kind.case);
const positions = (sink: FakeSink) => sink.events().flatMap(({ position }) => (position ? [position] : []));

describe("a reader", () => {
  test("that takes everything is written to at once, and the bytes are the room's own", () => {
    const room = liveRoom();
    const one = liveReader(room);
    const other = liveReader(room);
    say(room, 0);
    expect(positions(one.sink)).toEqual(["1-0"]);
    expect(one.sink.writes[0]).toBe(other.sink.writes[0] as Uint8Array);
  });

  test("that falls behind gets what waited as one write when it is back", () => {
    const room = liveRoom();
    const { sink } = liveReader(room);
    sink.isFull = true;
    for (let seq = 0; seq < 4; seq++) {
      say(room, seq);
    }
    expect(sink.writes).toHaveLength(1);
    sink.drain();
    expect(sink.writes).toHaveLength(2);
    expect(positions(sink)).toEqual(["1-0", "1-1", "1-2", "1-3"]);
  });

  test("over its byte budget is left out, told which range, and goes on live; the room does not notice", () => {
    const room = liveRoom();
    const slow = liveReader(room);
    const other = liveReader(room);
    slow.sink.isFull = true;
    const count = 200;
    for (let seq = 0; seq < count; seq++) {
      say(room, seq);
      expect(slow.reader.waitingBytes).toBeLessThanOrEqual(limits.sendQueueBytesMax + slow.sink.bufferedBytes);
    }
    slow.sink.drain();
    say(room, count);
    const seen = slow.sink.events();
    const gap = seen.find(({ kind }) => kind.case === "gap")?.kind.value;
    expect(gap).toMatchObject({ after: "1-0", through: `1-${count - 1}`, reason: GapReason.SLOW_READER });
    expect(kinds(slow.sink)).toEqual(["message", "gap", "roomState", "message"]);
    expect(positions(slow.sink)).toEqual(["1-0", `1-${count}`]);
    expect(positions(other.sink)).toHaveLength(count + 1);
  });

  test("that is left out twice gets two gaps that do not overlap", () => {
    const room = liveRoom();
    const { sink } = liveReader(room);
    let seq = 0;
    const overflow = () => {
      sink.isFull = true;
      for (const end = seq + 100; seq < end; seq++) {
        say(room, seq);
      }
      sink.drain();
    };
    overflow();
    overflow();
    const gaps = sink
      .events()
      .flatMap(({ kind }) => (kind.case === "gap" ? [[kind.value.after, kind.value.through]] : []));
    expect(gaps).toEqual([
      ["1-0", "1-99"],
      ["1-100", "1-199"],
    ]);
  });

  test("that takes nothing for too long is ended with the cursor of what it was last sent", async () => {
    const room = liveRoom();
    const { reader, sink, subscription } = liveReader(room);
    say(room, 0);
    sink.isFull = true;
    say(room, 1);
    say(room, 2);
    expect(reader.endIfStalled(performance.now())).toBe(false);
    expect(reader.endIfStalled(performance.now() + limits.slowReaderTimeoutMs)).toBe(true);
    expect(await reader.ended).toEqual({ reason: EndReason.SLOW_READER, retryAfterMs: 0 });
    expect(subscription.isEnded).toBe(true);
    expect(room.viewers).toBe(0);
    // Position 1-1 was handed to the connection before it said that it is full.
    expect(sink.events().at(-1)?.kind).toMatchObject({
      case: "ended",
      value: { reason: EndReason.SLOW_READER, resumeAfter: "1-1" },
    });
  });

  test("gets nothing of what was said before it opened out of order", () => {
    const room = liveRoom();
    const sink = new FakeSink("plain");
    const reader = new Reader(sink, "proto", true, limits);
    const subscription = new Subscription(room, reader);
    room.join(subscription, undefined, 1);
    say(room, 0);
    say(room, 1);
    expect(sink.writes).toHaveLength(0);
    reader.open();
    expect(positions(sink)).toEqual(["1-0", "1-1"]);
  });

  test("is told that its room closed, and its stream ends once that has gone out", async () => {
    const room = liveRoom();
    const { reader, sink } = liveReader(room);
    sink.isFull = true;
    say(room, 0);
    room.endAll(EndReason.ROOM_CLOSED);
    expect(reader.isEnded).toBe(false);
    sink.drain();
    expect((await reader.ended).reason).toBe(EndReason.ROOM_CLOSED);
    expect(kinds(sink)).toEqual(["message", "ended"]);
  });

  test("of several rooms stays when one of them ends", () => {
    const room = liveRoom();
    const { reader, sink } = liveReader(room, false);
    room.endAll(EndReason.ROOM_CLOSED);
    expect(reader.isEnded).toBe(false);
    expect(kinds(sink)).toEqual(["ended"]);
  });
});

test("the chunked form is the plain one in the frame of one chunk (RFC 9112, 7.1)", () => {
  const room = liveRoom();
  const plain = liveReader(room);
  const sink = new FakeSink("chunked");
  const reader = new Reader(sink, "proto", true, limits);
  reader.open();
  room.join(new Subscription(room, reader), undefined, 1);
  say(room, 0, "안녕");
  const envelope = Buffer.from(plain.sink.writes[0] as Uint8Array);
  const frame = [Buffer.from(`${envelope.length.toString(16)}\r\n`), envelope, Buffer.from("\r\n")];
  expect(Buffer.from(sink.writes[0] as Uint8Array)).toEqual(Buffer.concat(frame));
});

test("what arrives in one turn goes out as one write", async () => {
  const room = liveRoom();
  const { sink } = liveReader(room);
  const event = encodeMessage(create(MessageSchema, { text: "x", author: { name: "a" } }));
  for (let seq = 0; seq < 3; seq++) {
    room.entry({ roomId: "lobby", position: { epoch: 1, seq }, acceptedMs: 0, event });
  }
  expect(sink.writes).toHaveLength(0);
  await Promise.resolve();
  expect(sink.writes).toHaveLength(1);
  expect(positions(sink)).toEqual(["1-0", "1-1", "1-2"]);
});
