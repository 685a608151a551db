import { describe, expect, test } from "bun:test";
import { create } from "@bufbuild/protobuf";
import { RoomStateSchema } from "../../gen/chat/v1/event_pb.ts";
import { AuthorSchema, MessageSchema } from "../../gen/chat/v1/message_pb.ts";
import { EmbeddedHotWords } from "../../storage/hot-words/embedded-hot-words.ts";
import type { HotWords } from "../../storage/hot-words/hot-words.ts";
import { encodeMessage, encodeRoomState } from "../../storage/log/log-event.ts";
import type { ConsumerGroup, Delivery, LogConsumer } from "../../storage/log/room-log.ts";
import { userKeyOf } from "../../storage/user-key.ts";
import { HotWordCounter, hotWordsLoop } from "./count-hot-words.ts";

const nowMs = 1_800_000_000_000;

let seq = 0;

function delivery(event: Uint8Array, acceptedMs = nowMs): Delivery {
  seq += 1;
  const entry = { roomId: "lobby", position: { epoch: nowMs, seq }, acceptedMs, event };
  return { id: String(seq), entry, attempts: 1 };
}

function said(text: string, author: { userId?: string; name?: string }, acceptedMs = nowMs): Delivery {
  return delivery(
    encodeMessage(create(MessageSchema, { text, author: create(AuthorSchema, { name: "Mina", ...author }) })),
    acceptedMs,
  );
}

/** A log of the given batches, after which `take` waits for the end. */
class FakeConsumer implements LogConsumer {
  readonly acked: string[] = [];
  readonly released: string[] = [];
  readonly drained = Promise.withResolvers<void>();

  constructor(readonly batches: Delivery[][]) {}

  async take(_entriesMax: number, signal: AbortSignal): Promise<Delivery[]> {
    const batch = this.batches.shift();
    if (batch) {
      return batch;
    }
    this.drained.resolve();
    await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
    return [];
  }

  async ack(deliveries: readonly Delivery[]): Promise<void> {
    this.acked.push(...deliveries.map(({ id }) => id));
  }

  async release(deliveries: readonly Delivery[]): Promise<void> {
    this.released.push(...deliveries.map(({ id }) => id));
    this.batches.unshift([...deliveries]);
  }

  async close(): Promise<void> {}
}

describe("HotWordCounter", () => {
  test("counts the words of each message for its author, at the time of the log", async () => {
    const hotWords = new EmbeddedHotWords();
    const counter = new HotWordCounter({ hotWords, onPoison: failOnPoison, now: () => nowMs });
    await counter.handle([
      said("페이커 미쳤다 ㅋㅋㅋ", { userId: "u1" }, nowMs - 30_000),
      said("페이커가 또 ㅋㅋㅋㅋㅋ", { userId: "u2" }),
      said("페이커는 신", { userId: "u1" }),
    ]);
    expect(await hotWords.top("lobby", 2, nowMs)).toEqual([
      { word: "ㅋㅋ", users: 2 },
      { word: "페이커", users: 2 },
    ]);
    expect(await hotWords.top("lobby", 10, nowMs + 30_000)).toEqual([
      { word: "ㅋㅋ", users: 1 },
      { word: "신", users: 1 },
      { word: "페이커가", users: 1 },
      { word: "페이커는", users: 1 },
    ]);
  });

  test("who gives no id is counted by name, and a name is never taken for an id", async () => {
    expect(userKeyOf(create(AuthorSchema, { name: "Mina" }))).toBe("name:Mina");
    expect(userKeyOf(create(AuthorSchema, { name: "Mina", userId: "name:Mina" }))).not.toBe("name:Mina");
    const hotWords = new EmbeddedHotWords();
    const counter = new HotWordCounter({ hotWords, onPoison: failOnPoison, now: () => nowMs });
    await counter.handle([
      said("goal", { name: "Mina" }),
      said("goal", { name: "Mina" }),
      said("goal", { name: "Juno" }),
      said("goal", { name: "Mina", userId: "Mina" }),
      said("goal", { name: "Hana", userId: "Mina" }),
    ]);
    expect(await hotWords.top("lobby", 10, nowMs)).toEqual([{ word: "goal", users: 3 }]);
  });

  test("what is no message counts nothing, what is no event is told and skipped", async () => {
    const hotWords = new EmbeddedHotWords();
    const poison: [string, unknown][] = [];
    const counter = new HotWordCounter({
      hotWords,
      onPoison: ({ id }, error) => poison.push([id, error]),
      now: () => nowMs,
    });
    const garbage = delivery(new Uint8Array([0xff, 0xff, 0xff]));
    const authorless = delivery(encodeMessage(create(MessageSchema, { text: "goal" })));
    await counter.handle([
      delivery(encodeRoomState(create(RoomStateSchema, {}))),
      garbage,
      authorless,
      said("goal", { userId: "u1" }),
    ]);
    expect(poison).toEqual([
      [garbage.id, expect.any(Error)],
      [authorless.id, expect.any(Error)],
    ]);
    expect(await hotWords.top("lobby", 10, nowMs)).toEqual([{ word: "goal", users: 1 }]);
  });

  test("entries that left the window while nobody counted are not even read", async () => {
    const hotWords = new EmbeddedHotWords();
    const counter = new HotWordCounter({ hotWords, onPoison: failOnPoison, now: () => nowMs });
    await counter.handle([
      delivery(new Uint8Array([0xff]), nowMs - 60_000),
      said("goal", { userId: "u1" }, nowMs - 59_999),
    ]);
    expect(await hotWords.top("lobby", 10, nowMs)).toEqual([{ word: "goal", users: 1 }]);
  });
});

describe("hotWordsLoop", () => {
  test("consumes the group hot-words and acknowledges everything, poison too", async () => {
    const hotWords = new EmbeddedHotWords();
    const deliveries = [
      said("goal", { userId: "u1" }),
      delivery(new Uint8Array([0xff])),
      said("goal", { userId: "u2" }),
    ];
    const consumer = new FakeConsumer([deliveries.slice(0, 2), deliveries.slice(2)]);
    const joined: [ConsumerGroup, string][] = [];
    const log = {
      consumer: async (...member: [ConsumerGroup, string]) => {
        joined.push(member);
        return consumer;
      },
    };
    const poison: string[] = [];
    const loop = hotWordsLoop({
      log,
      hotWords,
      name: "here",
      onPoison: ({ id }) => poison.push(id),
      now: () => nowMs,
    });
    loop.start();
    await consumer.drained.promise;
    await loop.stop();
    expect(joined).toEqual([["hot-words", "here"]]);
    expect(consumer.acked).toEqual(deliveries.map(({ id }) => id));
    expect(poison).toEqual([(deliveries[1] as Delivery).id]);
    expect(await hotWords.top("lobby", 10, nowMs)).toEqual([{ word: "goal", users: 2 }]);
  });

  test("a batch whose counting failed comes again, and nobody counts twice", async () => {
    const embedded = new EmbeddedHotWords();
    let failures = 1;
    const hotWords: HotWords = {
      windowMs: embedded.windowMs,
      top: (...question) => embedded.top(...question),
      close: () => embedded.close(),
      observe: async (...observation) => {
        if (observation[1] === "id:u2" && failures > 0) {
          failures -= 1;
          throw new Error("out of reach");
        }
        await embedded.observe(...observation);
      },
    };
    const batch = [said("goal", { userId: "u1" }), said("goal", { userId: "u2" })];
    const consumer = new FakeConsumer([batch]);
    const failed: string[] = [];
    const loop = hotWordsLoop({
      log: { consumer: async () => consumer },
      hotWords,
      name: "here",
      onPoison: failOnPoison,
      now: () => nowMs,
      backoff: { baseMs: 1, maxMs: 1 },
      observer: { failed: (step) => failed.push(step) },
    });
    loop.start();
    await consumer.drained.promise;
    await loop.stop();
    expect(failed).toEqual(["handle"]);
    expect(consumer.released).toEqual(batch.map(({ id }) => id));
    expect(consumer.acked).toEqual(batch.map(({ id }) => id));
    expect(await embedded.top("lobby", 10, nowMs)).toEqual([{ word: "goal", users: 2 }]);
  });
});

function failOnPoison(_delivery: Delivery, error: unknown): never {
  throw error;
}
