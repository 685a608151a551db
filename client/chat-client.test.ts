import { describe, expect, test } from "bun:test";
import { Code, ConnectError, createRouterTransport, type Transport } from "@connectrpc/connect";
import { HotWordService } from "../gen/chat/v1/hot_word_pb.ts";
import { ChatClient } from "./chat-client.ts";
import { systemClock } from "./clock.ts";
import type { ConnectionOptions } from "./connection-options.ts";
import { FakeClock, until } from "./fake-clock.ts";
import { FakeGateway, refusal } from "./fake-gateway.ts";

const message = { roomId: "lobby", text: "안녕", author: { userId: "u1", name: "민수", avatar: "🦊" } };

function client(gateway: FakeGateway, options: Partial<ConnectionOptions> = {}) {
  const clock = new FakeClock();
  const chat = new ChatClient({ transport: gateway.transport(), clock, random: () => 0.5, ...options });
  return { chat, clock };
}

describe("a send", () => {
  test("answers with the position that the room gave it", async () => {
    const gateway = new FakeGateway();
    const { chat } = client(gateway);
    const sent = await chat.send({ ...message, clientMessageId: "mine" });
    expect(sent).toEqual({ position: "1-0", sentAtMs: 1_000, duplicate: false, clientMessageId: "mine" });
  });

  test("whose answer is lost is made again under the same id, and is in the room once", async () => {
    const gateway = new FakeGateway();
    gateway.sendScripts.push({ refuse: new ConnectError("cut", Code.Unavailable), logged: true });
    const { chat, clock } = client(gateway);
    const sending = chat.send(message);
    await until(() => clock.waiting === 1);
    clock.advance(249);
    expect(clock.waiting).toBe(1);
    clock.advance(1);
    const sent = await sending;
    expect(sent).toMatchObject({ position: "1-0", duplicate: true });
    expect(gateway.sendIds).toEqual([sent.clientMessageId, sent.clientMessageId]);
    expect(sent.clientMessageId).toMatch(/^[A-Za-z0-9_-]{16,64}$/);
    expect(gateway.log.length).toBe(1);
  });

  test("waits as long as the gateway asks", async () => {
    const gateway = new FakeGateway();
    gateway.sendScripts.push({ refuse: refusal(Code.ResourceExhausted, "ROOM_TOO_FAST", 4_000), logged: false });
    const { chat, clock } = client(gateway);
    const sending = chat.send(message);
    await until(() => clock.waiting === 1);
    clock.advance(3_999);
    expect(gateway.sendIds.length).toBe(1);
    clock.advance(1);
    expect(await sending).toMatchObject({ position: "1-0" });
  });

  test("gives up at once where the gateway asks for more time than there is", async () => {
    const gateway = new FakeGateway();
    gateway.sendScripts.push({ refuse: refusal(Code.ResourceExhausted, "SLOW_MODE", 30_000), logged: false });
    const { chat } = client(gateway);
    await expect(chat.send(message)).rejects.toMatchObject({ code: Code.ResourceExhausted });
    expect(gateway.sendIds.length).toBe(1);
  });

  test("tells the gateway whole milliseconds also when little time is left", async () => {
    const inner = new FakeGateway().transport();
    const timeoutsMs: (number | undefined)[] = [];
    const transport: Transport = {
      stream: inner.stream.bind(inner),
      unary: (method, signal, timeoutMs, ...rest) => {
        timeoutsMs.push(timeoutMs);
        return inner.unary(method, signal, timeoutMs, ...rest);
      },
    };
    // A clock that goes on a little at every look.
    let nowMs = 0;
    const now = () => {
      nowMs += 0.3;
      return nowMs;
    };
    const clock = { now, after: systemClock.after };
    await new ChatClient({ transport, clock, retry: { sendTimeoutMs: 1_000 } }).send(message);
    expect(timeoutsMs).toEqual([1_000]);
  });

  test("gives up after `sendAttemptsMax` tries", async () => {
    const gateway = new FakeGateway();
    const down = { refuse: new ConnectError("down", Code.Unavailable), logged: false };
    gateway.sendScripts.push(down, down, down, down);
    const { chat } = client(gateway, { retry: { sendAttemptsMax: 3, baseMs: 0 }, clock: undefined });
    await expect(chat.send(message)).rejects.toMatchObject({ code: Code.Unavailable });
    expect(gateway.sendIds.length).toBe(3);
  });

  test.each([Code.InvalidArgument, Code.NotFound, Code.FailedPrecondition, Code.PermissionDenied, Code.Internal])(
    "is not repeated after code %d",
    async (code) => {
      const gateway = new FakeGateway();
      gateway.sendScripts.push({ refuse: refusal(code, "SOME_REASON"), logged: false });
      const { chat } = client(gateway);
      await expect(chat.send(message)).rejects.toMatchObject({ code });
      expect(gateway.sendIds.length).toBe(1);
    },
  );

  test.each([Code.Canceled, Code.Unknown, Code.Aborted, Code.Internal])(
    "that never reached the gateway is repeated, whatever the transport calls it: %d",
    async (code) => {
      const gateway = new FakeGateway();
      gateway.sendScripts.push({ refuse: new ConnectError("http/2 stream closed", code), logged: false });
      const { chat } = client(gateway, { retry: { baseMs: 0 }, clock: undefined });
      expect(await chat.send(message)).toMatchObject({ position: "1-0" });
    },
  );

  test("without RetryInfo is not repeated when a limit is reached", async () => {
    const gateway = new FakeGateway();
    gateway.sendScripts.push({ refuse: refusal(Code.ResourceExhausted, "MESSAGE_TOO_LARGE"), logged: false });
    const { chat } = client(gateway);
    await expect(chat.send(message)).rejects.toMatchObject({ code: Code.ResourceExhausted });
    expect(gateway.sendIds.length).toBe(1);
  });

  test("ends its pause when its signal aborts", async () => {
    const gateway = new FakeGateway();
    gateway.sendScripts.push({ refuse: new ConnectError("down", Code.Unavailable), logged: false });
    const { chat, clock } = client(gateway);
    const abort = new AbortController();
    const sending = chat.send(message, { signal: abort.signal });
    await until(() => clock.waiting === 1);
    abort.abort();
    await expect(sending).rejects.toMatchObject({ code: Code.Unavailable });
    expect(clock.waiting).toBe(0);
    expect(gateway.sendIds.length).toBe(1);
  });

  test("gets a fresh token once when the old one is refused", async () => {
    const gateway = new FakeGateway();
    gateway.tokenWanted = "new";
    const { chat } = client(gateway, { token: (refused) => (refused ? "new" : "old") });
    expect(await chat.send(message)).toMatchObject({ position: "1-0" });
    expect(gateway.authorizations).toEqual(["Bearer old", "Bearer new"]);
    gateway.tokenWanted = "other";
    await expect(chat.send(message)).rejects.toMatchObject({ code: Code.Unauthenticated });
    expect(gateway.authorizations.length).toBe(4);
  });
});

describe("hot words", () => {
  test("are handed on as they change, over as many streams as it takes", async () => {
    let streams = 0;
    const transport = createRouterTransport(({ rpc }) => {
      rpc(HotWordService.method.watchHotWords, async function* () {
        streams += 1;
        yield { words: [{ word: `물결${streams}`, users: 2 }], window: { seconds: 60n, nanos: 0 } };
        if (streams === 1) {
          throw new ConnectError("cut", Code.Unavailable);
        }
      });
    });
    const clock = new FakeClock();
    const seen: [string | undefined, number][] = [];
    const chat = new ChatClient({ transport, clock, random: () => 0.5 });
    const watching = chat.watchHotWords("lobby", {
      onWords: (words, windowMs) => seen.push([words[0]?.word, windowMs]),
    });
    await until(() => watching.state.kind === "waiting");
    clock.advance(250);
    await until(() => seen.length === 2);
    expect(seen).toEqual([
      ["물결1", 60_000],
      ["물결2", 60_000],
    ]);
    watching.stop();
    expect(await watching.done).toEqual({ kind: "stopped" });
  });
});
