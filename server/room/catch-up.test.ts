import { afterEach, describe, expect, test } from "bun:test";
import { create } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import fc from "fast-check";
import { GapReason } from "../../gen/chat/v1/event_pb.ts";
import { MessageSchema } from "../../gen/chat/v1/message_pb.ts";
import { type Room as RoomDescription, RoomSchema, RoomStatus } from "../../gen/chat/v1/room_pb.ts";
import { type EmbeddedStorage, openEmbeddedStorage } from "../../storage/embedded.ts";
import { encodeMessage } from "../../storage/log/log-event.ts";
import type { LogConsumer } from "../../storage/log/room-log.ts";
import { formatPosition, type Position, parsePosition } from "../../storage/position.ts";
import { catchUp, type Start, startCursor } from "./catch-up.ts";
import { FakeClock } from "./delivery-pace.fake-clock.ts";
import { Hub } from "./hub.ts";
import { FakeSink } from "./reader.fake-sink.ts";
import type { Reader } from "./reader.ts";
import { RoomHistory } from "./room-history.ts";
import { Subscription } from "./subscription.ts";

const description: RoomDescription = create(RoomSchema, {
  roomId: "lobby",
  title: "lobby",
  status: RoomStatus.OPEN,
  version: 1,
});

const hubLimits = {
  sendQueueBytesMax: 1_000_000,
  slowReaderTimeoutMs: 60_000,
  streamsMax: 100,
  recentEntriesMax: 4,
  heartbeatIntervalMs: 60_000,
  streamAgeMaxMs: 3_600_000,
  roomIdleMs: 60_000,
  roomLingerMsMax: 1_000,
};

/**
 * One gateway on real embedded storage whose memory holds little, so that readers cross all its parts. Its clock makes
 * every write a long one, so that rooms soon gather what comes; time passes when the test says so.
 */
class Gateway {
  readonly clock = new FakeClock(20);
  readonly storage: EmbeddedStorage;
  readonly hub: Hub;
  readonly history: RoomHistory;
  readonly consumer: Promise<LogConsumer>;
  readonly said: string[] = [];

  constructor(roomLogEntriesMax = 3) {
    this.storage = openEmbeddedStorage({ directory: ":memory:", log: { roomLogEntriesMax } });
    this.hub = new Hub(this.storage.log, hubLimits, { delivered() {}, undecodable() {} }, Math.random, this.clock);
    this.history = new RoomHistory(this.storage.log, this.storage.history);
    this.consumer = this.storage.log.consumer("persist", "test");
  }

  async say(): Promise<Position> {
    const text = `message ${this.said.length}`;
    const event = encodeMessage(create(MessageSchema, { text, author: { name: "a" } }));
    const { position } = await this.storage.log.append({ roomId: "lobby", event });
    this.said.push(formatPosition(position));
    return position;
  }

  /** Moves up to so many entries from the log to the history. */
  async persist(entriesMax: number): Promise<void> {
    const consumer = await this.consumer;
    const deliveries = await consumer.take(entriesMax, AbortSignal.timeout(0));
    await this.storage.history.write(deliveries.map(({ entry }) => entry));
    await consumer.ack(deliveries);
  }

  async subscribe(start: Start): Promise<{ sink: FakeSink; reader: Reader; live: Promise<void> }> {
    const sink = new FakeSink("plain");
    const reader = this.hub.openReader(sink, "proto", true);
    const room = await this.hub.room(description);
    const subscription = new Subscription(room, reader);
    const cursor = await startCursor(room, this.history, start);
    reader.open();
    return { sink, reader, live: catchUp(subscription, this.history, cursor, room.description.version) };
  }

  /** What is gathered goes out. */
  rested(): void {
    this.clock.runUntil(this.clock.now() + hubLimits.roomLingerMsMax);
  }

  async close(): Promise<void> {
    this.hub.close();
    await (await this.consumer).close();
    await this.storage.close();
  }
}

let gateway: Gateway;
afterEach(() => gateway.close());

const positions = (sink: FakeSink) => sink.events().flatMap(({ position }) => (position ? [position] : []));

/** What happens around readers who come, stall and go on, at any moment. */
type Step =
  | { do: "say"; times: number }
  | { do: "persist"; entries: number }
  | { do: "subscribe"; from: "live" | "tail" | "after"; at: number }
  | { do: "stall"; reader: number }
  | { do: "drain"; reader: number }
  | { do: "rest" };

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant("say" as const), times: fc.integer({ min: 1, max: 6 }) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("persist" as const), entries: fc.integer({ min: 1, max: 8 }) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant("subscribe" as const),
      from: fc.constantFrom("live" as const, "tail" as const, "after" as const),
      at: fc.nat(20),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("stall" as const), reader: fc.nat(5) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("drain" as const), reader: fc.nat(5) }) },
  { weight: 1, arbitrary: fc.constant({ do: "rest" as const }) },
);

describe("a reader who joins", () => {
  test("gets everything after its start exactly once and in order, whatever happens meanwhile", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 30 }), fc.nat(3), async (steps, turns) => {
        gateway = new Gateway();
        const readers: { sink: FakeSink; live: Promise<void>; wanted: () => string[] }[] = [];
        for (const each of steps) {
          switch (each.do) {
            case "say":
              // Not awaited one by one: readers join between an append and its delivery too.
              await Promise.all(Array.from({ length: each.times }, () => gateway.say()));
              break;
            case "persist":
              await gateway.persist(each.entries);
              break;
            case "subscribe": {
              const { said } = gateway;
              let start: Start = { case: "live" };
              let first = said.length;
              if (each.from === "tail") {
                start = { case: "tail", messages: each.at };
                first = Math.max(0, said.length - each.at);
              } else if (each.from === "after" && said.length > 0) {
                const cursor = each.at % said.length;
                start = { case: "after", position: parsePosition(said[cursor] as string) };
                first = cursor + 1;
              }
              const { sink, live } = await gateway.subscribe(start);
              readers.push({ sink, live, wanted: () => said.slice(first) });
              // Between the pages of a reader who catches up, other steps take their turn.
              for (let turn = 0; turn < turns; turn++) {
                await Promise.resolve();
              }
              break;
            }
            case "stall": {
              const reader = readers[each.reader];
              if (reader) {
                reader.sink.isFull = true;
              }
              break;
            }
            case "drain":
              readers[each.reader]?.sink.drain();
              break;
            case "rest":
              gateway.rested();
              break;
          }
        }
        for (const { sink } of readers) {
          sink.drain();
        }
        await Promise.all(readers.map(({ live }) => live));
        await gateway.say();
        gateway.rested();
        for (const { sink, wanted } of readers) {
          sink.drain();
          expect(positions(sink)).toEqual(wanted());
          expect(sink.events().filter(({ kind }) => kind.case === "gap")).toEqual([]);
        }
        await gateway.close();
      }),
      { numRuns: 300 },
    );
    gateway = new Gateway();
  });

  test("after a position that the room has not reached is refused", async () => {
    gateway = new Gateway();
    const { epoch, seq } = await gateway.say();
    await expect(gateway.subscribe({ case: "after", position: { epoch, seq: seq + 1 } })).rejects.toThrow(
      `room lobby has never been at ${epoch}-${seq + 1}: the newest is ${epoch}-${seq}`,
    );
  });

  test("across the end of an epoch that the log lost is told so, wherever it begins before it", async () => {
    gateway = new Gateway();
    const { log, history } = gateway.storage;
    const epoch = 1_000;
    const message = encodeMessage(create(MessageSchema, { text: "stored", author: { name: "a" } }));
    await history.write([{ roomId: "lobby", position: { epoch, seq: 0 }, acceptedMs: 1, event: message }]);
    // As append.lua does it where a server came back without the end of what this process had seen.
    const end = new BinaryWriter().tag(1_000, WireType.LengthDelimited).string(`${epoch}-7`).finish();
    const { position } = await log.append({ roomId: "lobby", event: new Uint8Array([...message, ...end]) });
    for (const start of [
      { case: "after", position: { epoch, seq: 0 } },
      { case: "tail", messages: 10 },
    ] as const) {
      const { sink, live } = await gateway.subscribe(start);
      await live;
      const told = sink.events().map((event) => (event.kind.case === "gap" ? event.kind.value : event.position));
      const at = told.indexOf(formatPosition(position));
      expect(told[at - 1]).toMatchObject({ after: `${epoch}-0`, through: "", reason: GapReason.LOST });
      expect(told.includes(`${epoch}-0`)).toBe(start.case === "tail");
    }
  });

  test("after a position that was lost is told so, and gets what there is", async () => {
    gateway = new Gateway();
    const first = await gateway.say();
    const lost = { epoch: first.epoch - 1, seq: 7 };
    const { sink, live } = await gateway.subscribe({ case: "after", position: lost });
    await live;
    expect(sink.events().map(({ kind }) => kind.case)).toEqual(["gap", "message"]);
    expect(sink.events()[0]?.kind.value).toMatchObject({
      after: formatPosition(lost),
      through: "",
      reason: GapReason.LOST,
    });
  });

  test("is told of a hole in the history, where it is", async () => {
    gateway = new Gateway(1);
    for (let count = 0; count < 6; count++) {
      await gateway.say();
    }
    const consumer = await gateway.consumer;
    const deliveries = await consumer.take(10, AbortSignal.timeout(0));
    await gateway.storage.history.write(deliveries.filter((_, index) => index !== 2).map(({ entry }) => entry));
    await consumer.ack(deliveries);
    const [first, second, third, fourth] = gateway.said as [string, string, string, string];
    const { sink, live } = await gateway.subscribe({ case: "after", position: parsePosition(first) });
    await live;
    const seen = sink.events().map((event) => (event.kind.case === "gap" ? event.kind.value.through : event.position));
    expect(seen.slice(0, 3)).toEqual([second, third, fourth]);
    expect(sink.events()[1]?.kind).toMatchObject({ case: "gap", value: { after: second, reason: GapReason.LOST } });
  });
});
