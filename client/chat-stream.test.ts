import { describe, expect, test } from "bun:test";
import { Code, ConnectError } from "@connectrpc/connect";
import fc from "fast-check";
import { EndReason, type Gap, GapReason } from "../gen/chat/v1/event_pb.ts";
import { ChatStream, type ChatStreamOptions, type JoinOptions } from "./chat-stream.ts";
import type { EndedReason } from "./connection-state.ts";
import { FakeClock, until } from "./fake-clock.ts";
import { FakeGateway, refusal, type StreamScript } from "./fake-gateway.ts";

function joined(gateway: FakeGateway, options: Partial<ChatStreamOptions> = {}, join: Partial<JoinOptions> = {}) {
  const clock = new FakeClock();
  const texts: string[] = [];
  const gaps: Gap[] = [];
  const ends: EndedReason[] = [];
  const stream = new ChatStream({
    transport: gateway.transport(),
    author: { name: "민수" },
    clock,
    random: () => 0.5,
    ...options,
  });
  const room = stream.join(gateway.roomId, {
    start: { tail: 500 },
    onMessage: ({ text }) => texts.push(text),
    onGap: (gap) => gaps.push(gap),
    onEnded: (reason) => ends.push(reason),
    ...join,
  });
  return { clock, texts, gaps, ends, stream, room };
}

const atOnce = { retry: { baseMs: 0 } };

describe("a two-way stream", () => {
  test("shows the room, sends, and ends when all sends are answered", async () => {
    const gateway = new FakeGateway();
    gateway.say("어서 와");
    const { texts, stream, room } = joined(gateway);
    const sending = stream.send("lobby", "안녕", { clientMessageId: "mine" });
    const closing = stream.close();
    expect(await sending).toEqual({ clientMessageId: "mine", position: "1-1", duplicate: false, sentAtMs: 1_000 });
    expect(await closing).toEqual({ kind: "stopped" });
    expect(gateway.log.length).toBe(2);
    expect(texts[0]).toBe("어서 와");
    expect(room.cursor).toBeDefined();
  });

  test("shows each message once and in order and has each send in the room once, wherever it is cut", async () => {
    const script: fc.Arbitrary<StreamScript> = fc.record({
      eventsMax: fc.nat({ max: 8 }),
      end: fc.constantFrom<NonNullable<StreamScript["end"]>[]>("error", "close", { reason: EndReason.SLOW_READER }),
      repeat: fc.nat({ max: 4 }),
    });
    const lostAnswer = { refuse: new ConnectError("cut", Code.Unavailable) };
    await fc.assert(
      fc.asyncProperty(
        fc.array(script, { maxLength: 8 }),
        fc.array(fc.option(fc.boolean()), { maxLength: 3 }),
        fc.integer({ min: 1, max: 8 }),
        async (scripts, answersLost, sends) => {
          const gateway = new FakeGateway();
          gateway.scripts.push(...scripts);
          gateway.sendScripts.push(
            ...answersLost.flatMap((logged) => (logged === null ? [] : [{ ...lostAnswer, logged }])),
          );
          const { texts, stream } = joined(gateway, atOnce);
          const sent: Promise<unknown>[] = [];
          for (let i = 0; i < sends; i += 1) {
            sent.push(stream.send("lobby", `mine ${i}`));
            gateway.say(`theirs ${i}`);
            await new Promise((resolve) => setImmediate(resolve));
          }
          await Promise.all(sent);
          gateway.say("last");
          await until(() => texts.at(-1) === "last");
          const inTheRoom = gateway.log.map(({ kind }) => (kind.case === "message" ? kind.value.text : ""));
          expect(texts).toEqual(inTheRoom);
          expect(inTheRoom.filter((text) => text.startsWith("mine")).sort()).toEqual(
            Array.from({ length: sends }, (_, i) => `mine ${i}`),
          );
          stream.stop();
          await stream.done;
        },
      ),
      { numRuns: 150 },
    );
  }, 60_000);

  test("sends again after the delay of a refusal that passes, and not after another", async () => {
    const gateway = new FakeGateway();
    gateway.sendScripts.push(
      { refuse: refusal(Code.ResourceExhausted, "ROOM_TOO_FAST", 2_000), logged: false },
      { refuse: refusal(Code.InvalidArgument, "INVALID_REQUEST"), logged: false },
    );
    const { clock, stream } = joined(gateway);
    const sending = stream.send("lobby", "하나");
    await until(() => gateway.sendIds.length === 1);
    const refused = stream.send("lobby", "");
    await expect(refused).rejects.toMatchObject({ code: Code.InvalidArgument });
    expect(stream.pendingSends).toBe(1);
    clock.advance(2_000);
    expect(await sending).toMatchObject({ duplicate: false });
    expect(gateway.sendIds.length).toBe(3);
    stream.stop();
  });

  test("rejects a send that the gateway asks to delay beyond its time", async () => {
    const gateway = new FakeGateway();
    gateway.sendScripts.push({ refuse: refusal(Code.ResourceExhausted, "SLOW_MODE", 60_000), logged: false });
    const { stream } = joined(gateway);
    await expect(stream.send("lobby", "하나")).rejects.toMatchObject({ code: Code.ResourceExhausted });
    stream.stop();
  });

  test("rejects a send that got no answer in its time", async () => {
    const gateway = new FakeGateway();
    gateway.scripts.push({ refuse: refusal(Code.Unavailable, "DRAINING", 60_000) });
    const { clock, stream } = joined(gateway);
    const sending = stream.send("lobby", "하나", { timeoutMs: 700 });
    clock.advance(700);
    await expect(sending).rejects.toMatchObject({ code: Code.DeadlineExceeded });
    stream.stop();
  });

  test("refuses more sends than it may hold, and sends to rooms that are not on it", async () => {
    const gateway = new FakeGateway();
    gateway.scripts.push({ refuse: refusal(Code.Unavailable, "DRAINING", 60_000) });
    const { stream } = joined(gateway, { pendingSendsMax: 1 });
    const first = stream.send("lobby", "하나");
    await expect(stream.send("lobby", "둘")).rejects.toMatchObject({ code: Code.ResourceExhausted });
    await expect(stream.send("elsewhere", "둘")).rejects.toThrow(RangeError);
    stream.stop();
    await expect(first).rejects.toMatchObject({ code: Code.Canceled });
  });

  test("leaves a room and goes on; the room can be joined again", async () => {
    const gateway = new FakeGateway();
    const { ends, stream } = joined(gateway);
    await until(() => stream.state.kind === "live");
    expect(() => stream.join("lobby", { onMessage: () => {} })).toThrow(RangeError);
    await stream.leave("lobby");
    expect(ends).toEqual([{ kind: "left" }]);
    await stream.leave("lobby");
    expect(stream.state.kind).toBe("live");
    stream.join("lobby", { onMessage: () => {} });
    await until(() => gateway.starts.length === 2);
    stream.stop();
  });

  test("ends a room that is refused for good, and a room that was closed", async () => {
    const closed = new FakeGateway();
    closed.scripts.push({ eventsMax: 2, end: { reason: EndReason.ROOM_CLOSED } });
    const first = joined(closed);
    await until(() => first.ends.length === 1);
    expect(first.ends).toEqual([{ kind: "roomClosed" }]);
    first.stream.stop();

    const refusing = new FakeGateway();
    refusing.scripts.push({ refuse: refusal(Code.Unauthenticated, "TOKEN_INVALID") });
    const second = joined(refusing);
    expect(await second.stream.done).toMatchObject({ kind: "refused", error: { code: Code.Unauthenticated } });
    expect(second.ends).toMatchObject([{ kind: "refused" }]);
  });

  test("starts a room again, after a gap, where its cursor is refused", async () => {
    const gateway = new FakeGateway();
    gateway.say("새로");
    const { gaps, texts, stream } = joined(gateway, {}, { start: { after: "9-9" } });
    await stream.send("lobby", "나도");
    await until(() => texts.length === 2);
    expect(gaps).toMatchObject([{ after: "9-9", reason: GapReason.LOST }]);
    expect(gateway.starts).toMatchObject([{ value: "9-9" }, { case: "tail", value: 500 }]);
    stream.stop();
  });

  test("that falls silent is left for another one", async () => {
    const gateway = new FakeGateway();
    gateway.scripts.push({ mute: true });
    const { clock, stream } = joined(gateway, atOnce);
    await until(() => gateway.openStreams === 1);
    clock.advance(10_000);
    await until(() => stream.state.kind === "live");
    expect(gateway.starts.length).toBe(2);
    stream.stop();
  });
});
