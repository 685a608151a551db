/** The pace of deliveries, on a clock that the test turns: what waits, how long, and what delivering then takes. */
import { describe, expect, test } from "bun:test";
import { create } from "@bufbuild/protobuf";
import { RoomStateSchema } from "../../gen/chat/v1/event_pb.ts";
import { MessageSchema } from "../../gen/chat/v1/message_pb.ts";
import { type Room as RoomDescription, RoomSchema, RoomStatus } from "../../gen/chat/v1/room_pb.ts";
import { encodeMessage, encodeRoomState } from "../../storage/log/log-event.ts";
import { FakeClock } from "./delivery-pace.fake-clock.ts";
import { DeliveryPace } from "./delivery-pace.ts";
import { FakeSink } from "./reader.fake-sink.ts";
import { Reader } from "./reader.ts";
import { Room } from "./room.ts";
import { Subscription } from "./subscription.ts";

const lingerMsMax = 20;
/** What delivering may take of a second. */
const deliveringMsMax = 50;

/** A room of one process's clock and pace, whose one reader takes `writeMs` to be written to. */
class TimedRoom {
  readonly room: Room;
  readonly sink = new FakeSink("plain");
  /** How long each entry waited until it was written, in order. */
  readonly waitsMs: number[] = [];
  /** How many entries each write held. */
  readonly writes: number[] = [];
  spentMs = 0;
  readonly #clock: FakeClock;
  readonly #cameAt: number[] = [];

  constructor(clock: FakeClock, pace: DeliveryPace, writeMs: number) {
    this.#clock = clock;
    const delivered = (entries: number, _subscriptions: number, ms: number) => {
      this.writes.push(entries);
      this.spentMs += ms;
      for (let count = 0; count < entries; count++) {
        this.waitsMs.push(clock.now() - ms - (this.#cameAt[this.waitsMs.length] as number));
      }
    };
    this.room = new Room(description(1, RoomStatus.OPEN), 100_000, { delivered, undecodable() {} }, pace);
    this.room.followed(undefined);
    const write = this.sink.write.bind(this.sink);
    this.sink.write = (bytes) => {
      clock.spend(writeMs);
      return write(bytes);
    };
    const reader = new Reader(this.sink, "proto", true, { sendQueueBytesMax: 1_000_000, slowReaderTimeoutMs: 60_000 });
    reader.open();
    this.room.join(new Subscription(this.room, reader), undefined, 1);
  }

  get positions(): number[] {
    return this.sink.events().flatMap(({ position }) => (position ? [Number(position.split("-")[1])] : []));
  }

  get waitMsMost(): number {
    return Math.max(...this.waitsMs);
  }

  /** An entry comes, at the earliest at `at`, in a turn of its own. */
  async comes(at: number, event = said("x")): Promise<void> {
    this.#clock.runUntil(at);
    const seq = this.#cameAt.push(this.#clock.now()) - 1;
    this.room.entry({ roomId: "lobby", position: { epoch: 1, seq }, acceptedMs: 0, event });
    await Promise.resolve();
  }

  /** Entries come evenly. @returns when the next one would */
  async goesOn(from: number, perSecond: number, seconds: number): Promise<number> {
    const count = perSecond * seconds;
    for (let index = 0; index < count; index++) {
      await this.comes(from + (index * 1_000) / perSecond);
    }
    return from + seconds * 1_000;
  }
}

function description(version: number, status: RoomStatus): RoomDescription {
  return create(RoomSchema, { roomId: "lobby", status, version });
}

function said(text: string): Uint8Array {
  return encodeMessage(create(MessageSchema, { text, author: { name: "a" } }));
}

function timedRoom(
  writeMs: number,
  lingerMs = lingerMsMax,
): { clock: FakeClock; pace: DeliveryPace; timed: TimedRoom } {
  const clock = new FakeClock();
  const pace = new DeliveryPace(lingerMs, clock);
  return { clock, pace, timed: new TimedRoom(clock, pace, writeMs) };
}

describe("a quiet room", () => {
  test("is written to in the turn in which a message comes, whatever a write takes", async () => {
    const { timed } = timedRoom(40);
    await timed.goesOn(0, 10, 5);
    expect(timed.writes).toEqual(Array(50).fill(1));
    expect(timed.waitMsMost).toBe(0);
  });

  test("does not wait for the hot rooms of its process", async () => {
    const { clock, pace, timed: hot } = timedRoom(0.8);
    const quiet = new TimedRoom(clock, pace, 0.8);
    let at = 0;
    for (let second = 0; second < 5; second++) {
      at = await hot.goesOn(at, 1_000, 1);
      await quiet.comes(at);
    }
    expect(hot.waitMsMost).toBeGreaterThan(0);
    expect(quiet.waitMsMost).toBe(0);
  });

  test("that is many messages a second to few readers is never made to wait", async () => {
    const { timed } = timedRoom(0.04);
    await timed.goesOn(0, 1_000, 5);
    expect(timed.writes).toEqual(Array(5_000).fill(1));
  });
});

describe("a hot room", () => {
  test("gathers so much that delivering keeps to its share, and not more", async () => {
    const { timed } = timedRoom(0.8);
    const at = await timed.goesOn(0, 1_000, 5);
    const before = timed.spentMs;
    await timed.goesOn(at, 1_000, 10);
    const spentMsPerSecond = (timed.spentMs - before) / 10;
    expect(spentMsPerSecond).toBeLessThan(1.1 * deliveringMsMax);
    expect(spentMsPerSecond).toBeGreaterThan(0.8 * deliveringMsMax);
    expect(timed.waitMsMost).toBeLessThanOrEqual(lingerMsMax);
  });

  test("waits no longer than the limit, even if that is too short for the share", async () => {
    const { timed } = timedRoom(5);
    await timed.goesOn(0, 300, 10);
    expect(timed.spentMs / 10).toBeGreaterThan(deliveringMsMax);
    expect(timed.waitMsMost).toBeGreaterThan(0);
    expect(timed.waitMsMost).toBeLessThanOrEqual(lingerMsMax);
  });

  test("never waits where the limit is 0", async () => {
    const { timed } = timedRoom(0.8, 0);
    await timed.goesOn(0, 1_000, 5);
    expect(timed.waitMsMost).toBe(0);
  });

  test("shares the share with others: two take no more than one", async () => {
    const { clock, pace, timed: one } = timedRoom(0.2);
    const other = new TimedRoom(clock, pace, 0.2);
    let before = 0;
    for (let at = 0; at < 15_000; at++) {
      if (at === 5_000) {
        before = one.spentMs + other.spentMs;
      }
      await one.comes(at);
      await other.comes(at + 0.5);
    }
    expect((one.spentMs + other.spentMs - before) / 10).toBeLessThan(1.1 * deliveringMsMax);
    expect(one.waitMsMost).toBeGreaterThan(0);
    expect(other.waitMsMost).toBeGreaterThan(0);
  });

  test("delivers everything once and in order, and the room's closing with what came before it", async () => {
    const { clock, timed } = timedRoom(0.8);
    const at = await timed.goesOn(0, 1_000, 3);
    const room = description(2, RoomStatus.CLOSED);
    await timed.comes(at, encodeRoomState(create(RoomStateSchema, { room })));
    clock.runUntil(at + lingerMsMax);
    expect(timed.positions).toEqual(Array.from({ length: 3_001 }, (_, seq) => seq));
    const kinds = timed.sink.events().map(({ kind }) => kind.case);
    expect(kinds.slice(-3)).toEqual(["message", "roomState", "ended"]);
  });

  test("holds no more than a write's worth of bytes back", async () => {
    const { clock, timed } = timedRoom(0.8);
    const at = await timed.goesOn(0, 1_000, 3);
    clock.runUntil(at + lingerMsMax);
    const before = timed.positions.length;
    await timed.comes(at + lingerMsMax, said("x".repeat(20_000)));
    expect(timed.positions.length).toBe(before);
    await timed.comes(at + lingerMsMax, said("x".repeat(20_000)));
    expect(timed.positions.length).toBe(before + 2);
  });

  test("rests anew after a reader who joined brought its write forward", async () => {
    const { clock, timed } = timedRoom(0.8);
    const at = await timed.goesOn(0, 1_000, 3);
    timed.room.flush();
    await timed.comes(at);
    const before = timed.positions.length;
    clock.runUntil(at + lingerMsMax / 2);
    expect(timed.positions.length).toBe(before);
    clock.runUntil(at + lingerMsMax);
    expect(timed.positions.length).toBe(before + 1);
  });

  test("is quiet again when it has cooled down", async () => {
    const { clock, timed } = timedRoom(0.8);
    const at = await timed.goesOn(0, 1_000, 3);
    clock.runUntil(at + 10_000);
    const before = timed.waitsMs.length;
    await timed.goesOn(at + 10_000, 50, 10);
    expect(Math.max(...timed.waitsMs.slice(before))).toBe(0);
  });
});

test("gathering begins above the share and ends below half of it, so that a room at the edge does not go to and fro", () => {
  const pace = new DeliveryPace(lingerMsMax, new FakeClock());
  let now = 0;
  /** Whether rooms gather after some seconds in which delivering took so many ms each. */
  const after = (msPerSecond: number) => {
    for (const end = now + 10_000; now < end; now += 10) {
      pace.wrote(msPerSecond / 100, 1, now);
    }
    return pace.restMs(100, now) > 0;
  };
  const shares = [0.9, 1.1, 0.9, 0.6, 0.4, 0.6, 0.9, 1.1];
  const isGathering = shares.map((share) => after(share * deliveringMsMax));
  expect(isGathering).toEqual([false, true, true, true, false, false, false, true]);
});
