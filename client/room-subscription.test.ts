import { describe, expect, test } from "bun:test";
import { create } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import fc from "fast-check";
import { EndReason, type Event, type Gap, GapReason, GapSchema } from "../gen/chat/v1/event_pb.ts";
import { ChatClient } from "./chat-client.ts";
import type { ConnectionOptions } from "./connection-options.ts";
import type { ConnectionState } from "./connection-state.ts";
import { FakeClock, until } from "./fake-clock.ts";
import { FakeGateway, refusal, type StreamScript } from "./fake-gateway.ts";
import type { SubscribeOptions } from "./room-subscription.ts";

/** A reader of the gateway's room, and all it was told. */
function reader(
  gateway: FakeGateway,
  options: Partial<SubscribeOptions> = {},
  connection: Partial<ConnectionOptions> = {},
) {
  const clock = new FakeClock();
  const texts: string[] = [];
  const states: ConnectionState[] = [];
  const gaps: Gap[] = [];
  const chat = new ChatClient({ transport: gateway.transport(), clock, random: () => 0.5, ...connection });
  const subscription = chat.subscribe(gateway.roomId, {
    start: { tail: 500 },
    onMessage: ({ text }) => texts.push(text),
    onState: (state) => states.push(state),
    onGap: (gap) => gaps.push(gap),
    ...options,
  });
  return { clock, texts, states, gaps, subscription };
}

/** No pause between streams. */
const atOnce = { retry: { baseMs: 0 } };

const kinds = (states: ConnectionState[]) => states.map(({ kind }) => kind);

describe("a subscription", () => {
  test("shows history, then what is said, and ends when it is stopped", async () => {
    const gateway = new FakeGateway();
    gateway.say("어제");
    gateway.say("오늘");
    const { texts, states, subscription } = reader(gateway, { start: { tail: 1 } });
    await until(() => subscription.state.kind === "live");
    gateway.say("지금");
    await until(() => texts.length === 2);
    expect(texts).toEqual(["오늘", "지금"]);
    expect(subscription.cursor).toBe("1-2");
    subscription.stop();
    expect(await subscription.done).toEqual({ kind: "stopped" });
    await until(() => gateway.openStreams === 0);
    expect(states).toEqual([
      { kind: "connecting", attempt: 1 },
      { kind: "live", resumedFrom: undefined, caughtUp: 1 },
      { kind: "ended", reason: { kind: "stopped" } },
    ]);
  });

  test("ends by its signal, also one that has aborted before", async () => {
    const gateway = new FakeGateway();
    const { subscription } = reader(gateway, { signal: AbortSignal.abort() });
    expect(await subscription.done).toEqual({ kind: "stopped" });
    expect(gateway.starts).toEqual([]);
    const abort = new AbortController();
    const later = reader(gateway, { signal: abort.signal });
    await until(() => later.subscription.state.kind === "live");
    abort.abort();
    expect(await later.subscription.done).toEqual({ kind: "stopped" });
  });

  test("sees each message once and in order, wherever its streams are cut and whatever is repeated", async () => {
    const script: fc.Arbitrary<StreamScript> = fc.record({
      eventsMax: fc.nat({ max: 12 }),
      end: fc.constantFrom<NonNullable<StreamScript["end"]>[]>(
        "error",
        "close",
        { reason: EndReason.MAX_AGE },
        { reason: EndReason.SLOW_READER },
      ),
      repeat: fc.nat({ max: 5 }),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(script, { maxLength: 12 }),
        fc.array(fc.nat({ max: 6 }), { minLength: 1, maxLength: 15 }),
        fc.constantFrom({ tail: 500 }, { tail: 0 }, undefined),
        fc.nat({ max: 2 }),
        async (scripts, bursts, start, saidBefore) => {
          const gateway = new FakeGateway();
          gateway.scripts.push(...scripts);
          let said = 0;
          for (; said < saidBefore; said += 1) {
            gateway.say(String(said));
          }
          let saidWhenFirstLive: number | undefined;
          const { texts, gaps, subscription } = reader(
            gateway,
            {
              start,
              onState: ({ kind }) => {
                saidWhenFirstLive ??= kind === "live" ? said : undefined;
              },
            },
            atOnce,
          );
          for (const burst of bursts) {
            for (let i = 0; i < burst; i += 1) {
              gateway.say(String(said));
              said += 1;
            }
            await new Promise((resolve) => setImmediate(resolve));
          }
          // From its first live moment on, also a reader who asked for no history misses nothing.
          await until(() => saidWhenFirstLive !== undefined);
          gateway.say("last");
          await until(() => texts.at(-1) === "last");
          const numbers = texts.slice(0, -1).map(Number);
          const first = start?.tail === 500 ? 0 : (numbers[0] ?? said);
          expect(numbers).toEqual(Array.from({ length: said - first }, (_, i) => first + i));
          expect(first).toBeLessThanOrEqual(saidWhenFirstLive ?? 0);
          expect(gaps).toEqual([]);
          expect(subscription.stats.messages).toBe(texts.length);
          subscription.stop();
          await subscription.done;
        },
      ),
      { numRuns: 150 },
    );
  }, 60_000);

  test("counts the repetitions that it drops, and the streams it needed", async () => {
    const gateway = new FakeGateway();
    for (const text of ["가", "나", "다"]) {
      gateway.say(text);
    }
    gateway.scripts.push({ eventsMax: 5, end: "error" }, { repeat: 2 });
    const { texts, subscription } = reader(gateway, {}, atOnce);
    await until(() => subscription.stats.reconnects === 1);
    expect(texts).toEqual(["가", "나", "다"]);
    expect(subscription.stats).toEqual({ messages: 3, duplicatesDropped: 2, gaps: 0, reconnects: 1 });
  });

  test("waits with full jitter, longer with each failure, and at once when told that the network is back", async () => {
    const gateway = new FakeGateway();
    gateway.scripts.push(...Array.from({ length: 7 }, () => ({ refuse: new ConnectError("down", Code.Unavailable) })));
    const { clock, states, subscription } = reader(gateway, {}, { retry: { baseMs: 1_000, maxMs: 8_000 } });
    const waits = () => states.filter(({ kind }) => kind === "waiting");
    for (const [index, delayMs] of [500, 1_000, 2_000, 4_000, 4_000, 4_000].entries()) {
      await until(() => waits().length === index + 1);
      expect(waits()[index]).toMatchObject({ attempt: index + 1, delayMs, cause: { kind: "failed" } });
      clock.advance(delayMs - 1);
      expect(gateway.scripts.length).toBe(6 - index);
      clock.advance(1);
    }
    await until(() => waits().length === 7);
    subscription.retryNow();
    await until(() => subscription.state.kind === "live");
    expect(subscription.state).not.toHaveProperty("resumedFrom", expect.anything());
    expect(subscription.stats.reconnects).toBe(0);
    subscription.stop();
  });

  test("starts over with short pauses after a stream that lasted", async () => {
    const gateway = new FakeGateway();
    const down = { refuse: new ConnectError("down", Code.Unavailable) };
    gateway.scripts.push(down, down, {}, down);
    const { clock, states, subscription } = reader(gateway, {}, { retry: { baseMs: 1_000, stableAfterMs: 5_000 } });
    const waits = () => states.filter(({ kind }) => kind === "waiting");
    for (const [index, delayMs] of [500, 1_000].entries()) {
      await until(() => waits().length === index + 1);
      clock.advance(delayMs);
    }
    await until(() => subscription.state.kind === "live");
    clock.advance(5_000);
    gateway.push({ case: "ended", value: endedAs(EndReason.MAX_AGE) });
    await until(() => subscription.state.kind === "waiting");
    expect(subscription.state).toMatchObject({ attempt: 2, delayMs: 1_000 });
    subscription.stop();
  });

  test("says where it resumed, how long it was away and how much it caught up", async () => {
    const gateway = new FakeGateway();
    gateway.say("가");
    gateway.scripts.push({}, { refuse: new ConnectError("down", Code.Unavailable) });
    const { clock, texts, states, subscription } = reader(gateway);
    await until(() => subscription.state.kind === "live");
    gateway.push({ case: "ended", value: endedAs(EndReason.LOG_UNAVAILABLE, 700) });
    await until(() => subscription.state.kind === "waiting");
    expect(subscription.state).toMatchObject({ cause: { kind: "ended", reason: EndReason.LOG_UNAVAILABLE } });
    gateway.say("나");
    gateway.say("다");
    clock.advance(770); // 700 and the jitter
    await until(() => states.filter(({ kind }) => kind === "waiting").length === 2);
    clock.advance(500);
    await until(() => subscription.state.kind === "live");
    expect(subscription.state).toEqual({ kind: "live", resumedFrom: "1-0", resumedInMs: 1_270, caughtUp: 2 });
    expect(texts).toEqual(["가", "나", "다"]);
    subscription.stop();
  });

  describe("lets the gateway say when to come back", () => {
    test("by RetryInfo in an error", async () => {
      const gateway = new FakeGateway();
      gateway.scripts.push({ refuse: refusal(Code.ResourceExhausted, "TOO_MANY_STREAMS", 3_000) });
      const { subscription } = reader(gateway, {}, { random: () => 0 });
      await until(() => subscription.state.kind === "waiting");
      expect(subscription.state).toMatchObject({ delayMs: 3_000 });
      subscription.stop();
      await subscription.done;
    });

    test("by Ended.retry_after; without it there is no wait, once", async () => {
      const gateway = new FakeGateway();
      const end = { reason: EndReason.SLOW_READER };
      gateway.scripts.push(
        { eventsMax: 2, end },
        { eventsMax: 2, end },
        { eventsMax: 2, end: { ...end, retryAfterMs: 900 } },
      );
      const { clock, states, subscription } = reader(gateway, {}, { random: () => 0.9 });
      await until(() => subscription.state.kind === "waiting");
      expect(kinds(states)).toEqual(["connecting", "live", "connecting", "live", "waiting"]);
      clock.advance(900); // 0.9 of at most 1,000: the second failure in a row
      await until(() => gateway.starts.length === 3 && subscription.state.kind === "waiting");
      expect(subscription.state).toMatchObject({ delayMs: 1_062 }); // 900 and 18 %
      subscription.stop();
      await subscription.done;
    });

    test("but not for longer than the client's own limit", async () => {
      const gateway = new FakeGateway();
      gateway.scripts.push({ refuse: refusal(Code.Unavailable, "DRAINING", 86_400_000) });
      const { subscription } = reader(gateway, {}, { random: () => 0, retry: { gatewayDelayMaxMs: 60_000 } });
      await until(() => subscription.state.kind === "waiting");
      expect(subscription.state).toMatchObject({ delayMs: 60_000 });
      subscription.stop();
      await subscription.done;
    });

    test("by Draining: it reads on until the moment named, then changes over at its cursor", async () => {
      const gateway = new FakeGateway();
      const { clock, texts, states, subscription } = reader(gateway);
      await until(() => subscription.state.kind === "live");
      gateway.push({
        case: "draining",
        value: { $typeName: "chat.v1.Draining", reconnectAfter: durationFromMs(2_000), resumeAfter: "" },
      });
      gateway.say("아직");
      await until(() => texts.length === 1);
      clock.advance(1_999);
      expect(gateway.starts.length).toBe(1);
      clock.advance(1);
      await until(() => gateway.starts.length === 2 && subscription.state.kind === "live");
      expect(gateway.starts[1]).toEqual({ case: "after", value: "1-0" });
      expect(kinds(states)).toEqual(["connecting", "live", "connecting", "live"]);
      subscription.stop();
    });

    test("by Draining: if the stream ends before, the rest of the delay is waited for", async () => {
      const gateway = new FakeGateway();
      const { clock, subscription } = reader(gateway, {}, { random: () => 0 });
      await until(() => subscription.state.kind === "live");
      gateway.push({
        case: "draining",
        value: { $typeName: "chat.v1.Draining", reconnectAfter: durationFromMs(2_000), resumeAfter: "" },
      });
      gateway.push({ case: "viewerCount", value: { $typeName: "chat.v1.ViewerCount", viewers: 1 } });
      await new Promise((resolve) => setImmediate(resolve));
      clock.advance(500);
      gateway.push({ case: "ended", value: endedAs(EndReason.DRAINING) });
      await until(() => subscription.state.kind === "waiting");
      expect(subscription.state).toMatchObject({
        delayMs: 1_500,
        cause: { kind: "ended", reason: EndReason.DRAINING },
      });
      subscription.stop();
    });
  });

  describe("notices that a stream is dead", () => {
    test("when the first event does not come", async () => {
      const gateway = new FakeGateway();
      gateway.scripts.push({ mute: true });
      const { clock, states, subscription } = reader(gateway, {}, atOnce);
      await until(() => gateway.openStreams === 1);
      clock.advance(9_999);
      expect(kinds(states)).toEqual(["connecting"]);
      clock.advance(1);
      await until(() => subscription.state.kind === "live");
      expect(gateway.starts.length).toBe(2);
      await until(() => gateway.openStreams === 1);
      subscription.stop();
    });

    test("when heartbeats stop; while they come it stays", async () => {
      const gateway = new FakeGateway();
      const { clock, states, subscription } = reader(gateway);
      let heartbeats = 0;
      await until(() => subscription.state.kind === "live");
      for (; heartbeats < 5; heartbeats += 1) {
        clock.advance(34_000);
        gateway.push({ case: "heartbeat", value: { $typeName: "chat.v1.Heartbeat", topPosition: "" } });
        for (let turn = 0; turn < 20; turn += 1) {
          await new Promise((resolve) => setImmediate(resolve));
        }
      }
      expect(gateway.starts.length).toBe(1);
      clock.advance(35_000);
      await until(() => subscription.state.kind === "waiting");
      expect(states.at(-1)).toMatchObject({ cause: { kind: "silent", silentMs: 35_000 } });
      subscription.stop();
    });

    test("when a heartbeat names a position that never comes; the next stream brings what was missing", async () => {
      const gateway = new FakeGateway();
      gateway.scripts.push({ deaf: true });
      const { clock, texts, states, subscription } = reader(gateway, {}, atOnce);
      await until(() => subscription.state.kind === "live");
      gateway.say("들려?");
      gateway.push({ case: "heartbeat", value: { $typeName: "chat.v1.Heartbeat", topPosition: gateway.topPosition } });
      await until(() => subscription.topPosition === "1-0");
      clock.advance(5_000);
      await until(() => texts.length === 1 && subscription.state.kind === "live");
      expect(kinds(states)).toEqual(["connecting", "live", "connecting", "live"]);
      subscription.stop();
    });

    test("but does not ask twice for a position that a resync did not bring", async () => {
      const gateway = new FakeGateway();
      const { clock, subscription } = reader(gateway, {}, atOnce);
      gateway.say("가");
      await until(() => subscription.state.kind === "live");
      const heartbeat = { case: "heartbeat", value: { $typeName: "chat.v1.Heartbeat", topPosition: "1-7" } } as const;
      gateway.push(heartbeat);
      await until(() => subscription.topPosition === "1-7");
      clock.advance(5_000);
      await until(() => gateway.starts.length === 2 && subscription.state.kind === "live");
      gateway.push(heartbeat);
      await until(() => subscription.topPosition === "1-7");
      clock.advance(30_000);
      expect(subscription.state.kind).toBe("live");
      expect(gateway.starts.length).toBe(2);
      subscription.stop();
    });
  });

  describe("ends for good", () => {
    test("when the room is closed or left", async () => {
      for (const [reason, kind] of [
        [EndReason.ROOM_CLOSED, "roomClosed"],
        [EndReason.LEFT, "left"],
      ] as const) {
        const gateway = new FakeGateway();
        gateway.scripts.push({ eventsMax: 2, end: { reason } });
        const { subscription, states } = reader(gateway);
        expect(await subscription.done).toEqual({ kind });
        expect(states.at(-1)).toEqual({ kind: "ended", reason: { kind } });
        expect(gateway.starts.length).toBe(1);
      }
    });

    test.each([
      Code.NotFound,
      Code.InvalidArgument,
      Code.PermissionDenied,
      Code.Unauthenticated,
      Code.Unimplemented,
      Code.FailedPrecondition,
    ])("when the gateway refuses with code %d", async (code) => {
      const gateway = new FakeGateway();
      gateway.scripts.push({ refuse: refusal(code, "SOME_REASON") });
      const { subscription } = reader(gateway);
      const reason = await subscription.done;
      expect(reason).toMatchObject({ kind: "refused", error: { code } });
      expect(gateway.starts.length).toBe(1);
    });

    test("when a callback throws, and says so", async () => {
      const gateway = new FakeGateway();
      gateway.say("가");
      const { subscription } = reader(gateway, {
        onMessage: () => {
          throw new TypeError("broken page");
        },
      });
      expect(subscription.done).rejects.toThrow("broken page");
      await subscription.done.catch(() => undefined);
      expect(subscription.state).toMatchObject({ kind: "ended", reason: { kind: "callbackFailed" } });
    });
  });

  describe("with a cursor", () => {
    test("goes on after it", async () => {
      const gateway = new FakeGateway();
      for (const text of ["가", "나", "다"]) {
        gateway.say(text);
      }
      const { texts, subscription } = reader(gateway, { start: { after: "1-1" } });
      await until(() => subscription.state.kind === "live");
      expect(texts).toEqual(["다"]);
      expect(subscription.state).toMatchObject({ resumedFrom: "1-1", caughtUp: 1 });
      subscription.stop();
    });

    test("that the gateway has never reached, tells the gap and starts again with a tail", async () => {
      const gateway = new FakeGateway();
      gateway.say("옛날");
      gateway.scripts.push({ eventsMax: 3, end: "error" });
      const { texts, gaps, subscription } = reader(gateway, { start: { tail: 10 } }, atOnce);
      await until(() => subscription.stats.reconnects === 1);
      gateway.forget(1); // a clock that went back: the same epoch, and other texts
      gateway.push({ case: "ended", value: endedAs(EndReason.LOG_UNAVAILABLE) });
      await until(() => gaps.length === 1);
      gateway.say("새로");
      await until(() => texts.length === 2);
      expect(texts).toEqual(["옛날", "새로"]);
      expect(gaps[0]).toMatchObject({ after: "1-0", through: "", reason: GapReason.LOST });
      expect(gateway.starts.at(-1)).toEqual({ case: "tail", value: 10 });
      subscription.stop();
    });

    test("behind which everything is lost, tells the gap once, however often it resumes", async () => {
      const gateway = new FakeGateway();
      gateway.say("가");
      const { gaps, subscription } = reader(gateway, {}, atOnce);
      await until(() => subscription.state.kind === "live");
      const lost: Event["kind"] = {
        case: "gap",
        value: create(GapSchema, { after: "1-0", reason: GapReason.LOST }),
      };
      gateway.push(lost);
      gateway.push({ case: "ended", value: endedAs(EndReason.MAX_AGE) });
      await until(() => subscription.stats.reconnects === 1);
      gateway.push(lost);
      gateway.say("나");
      await until(() => subscription.cursor === "1-1");
      expect(gaps.length).toBe(1);
      gateway.push(lost);
      await until(() => gaps.length === 2);
      subscription.stop();
    });

    test("that is none is refused at once", () => {
      expect(() => reader(new FakeGateway(), { start: { after: "yesterday" } })).toThrow(RangeError);
    });
  });

  test.each([["has history", ["옛날"]] as const, ["is empty", []] as const])(
    "that has seen nothing yet misses nothing said while it is away, in a room that %s",
    async (_, history) => {
      const gateway = new FakeGateway();
      for (const text of history) {
        gateway.say(text);
      }
      const { clock, gaps, texts, subscription } = reader(gateway, { start: { tail: 0 } }, { random: () => 0 });
      await until(() => subscription.state.kind === "live");
      gateway.push({ case: "ended", value: endedAs(EndReason.LOG_UNAVAILABLE, 100) });
      await until(() => subscription.state.kind === "waiting");
      gateway.say("그 사이");
      clock.advance(100);
      await until(() => texts.length > 0);
      expect(texts).toEqual(["그 사이"]);
      expect(gaps).toEqual([]);
      subscription.stop();
    },
  );

  test("tells that more was said than it can fetch when it left an empty room", async () => {
    const gateway = new FakeGateway();
    const { gaps, texts, clock, subscription } = reader(gateway, { start: undefined }, { random: () => 1 });
    await until(() => subscription.state.kind === "live");
    gateway.push({ case: "ended", value: endedAs(EndReason.LOG_UNAVAILABLE, 100) });
    await until(() => subscription.state.kind === "waiting");
    for (let i = 0; i < 503; i += 1) {
      gateway.say(String(i));
    }
    clock.advance(120);
    await until(() => texts.length === 500);
    expect(gaps).toMatchObject([{ after: "", through: "1-2", reason: GapReason.SLOW_READER }]);
    subscription.stop();
  });
});

describe("a token", () => {
  test("goes with every call; one that runs out is replaced once, and the stream goes on", async () => {
    const gateway = new FakeGateway();
    gateway.tokenWanted = "one";
    const asked: boolean[] = [];
    let token = "one";
    const { subscription, states } = reader(
      gateway,
      {},
      {
        ...atOnce,
        token: async (refused) => {
          asked.push(refused);
          token = refused ? "two" : token;
          return token;
        },
      },
    );
    await until(() => subscription.state.kind === "live");
    gateway.tokenWanted = "two";
    gateway.push({ case: "ended", value: endedAs(EndReason.MAX_AGE) });
    await until(() => subscription.stats.reconnects === 1);
    expect(gateway.authorizations).toEqual(["Bearer one", "Bearer one", "Bearer two"]);
    expect(asked).toEqual([false, false, true]);
    expect(kinds(states)).not.toContain("ended");
    subscription.stop();
  });

  test("that is refused twice ends the subscription", async () => {
    const gateway = new FakeGateway();
    gateway.tokenWanted = "right";
    const { subscription } = reader(gateway, {}, { ...atOnce, token: () => "wrong" });
    expect(await subscription.done).toMatchObject({ kind: "refused", error: { code: Code.Unauthenticated } });
    expect(gateway.authorizations.length).toBe(2);
  });

  test("that never comes does not hold the subscription longer than a dead stream", async () => {
    const gateway = new FakeGateway();
    const { clock, subscription } = reader(gateway, {}, { token: () => new Promise(() => {}) });
    await until(() => clock.waiting > 0);
    clock.advance(10_000);
    await until(() => subscription.state.kind === "waiting");
    subscription.stop();
    expect(await subscription.done).toEqual({ kind: "stopped" });
  });
});

function endedAs(reason: EndReason, retryAfterMs?: number) {
  return {
    $typeName: "chat.v1.Ended" as const,
    reason,
    resumeAfter: "",
    retryAfter: retryAfterMs === undefined ? undefined : durationFromMs(retryAfterMs),
  };
}
