import { describe, expect, test } from "bun:test";
import { Code } from "@connectrpc/connect";
import { FakeGateway, refusal } from "../client/fake-gateway.ts";
import { ChatSession } from "./chat-session.ts";
import type { Screen } from "./screen.ts";

/** Feeds lines and keeps what is printed. */
class RecordingScreen implements Screen {
  readonly printed: string[] = [];
  readonly complaints: string[] = [];
  readonly #input: string[];

  constructor(input: string[]) {
    this.#input = input;
  }

  print(lines: string): void {
    this.printed.push(lines);
  }

  complain(lines: string): void {
    this.complaints.push(lines);
  }

  setPrompt(): void {}

  async *lines(): AsyncGenerator<string> {
    yield* this.#input;
  }

  close(): void {}
}

async function play(gateway: FakeGateway, input: string[], roomId = "lobby") {
  const screen = new RecordingScreen(input);
  const session = new ChatSession({
    transport: gateway.transport(),
    screen,
    style: { hasColour: false },
    author: { name: "민수", avatar: "🦊" },
    tail: 20,
    isScript: true,
  });
  return { refused: await session.run(roomId), screen };
}

function textsOf(gateway: FakeGateway): string[] {
  return gateway.log.map(({ kind }) => (kind.case === "message" ? kind.value.text : ""));
}

describe("a script", () => {
  test("ends when its input does, with every line in the room in its order", async () => {
    const gateway = new FakeGateway();
    gateway.say("어서 와");
    const lines = Array.from({ length: 200 }, (_, i) => `line ${i}`);
    const { refused, screen } = await play(gateway, [...lines, "", "//slash"]);
    expect(refused).toBe(0);
    expect(textsOf(gateway)).toEqual(["어서 와", ...lines, "/slash"]);
    expect(screen.printed[0]).toContain("어서 와");
  });

  test("loses and doubles no line when its connection is cut", async () => {
    const gateway = new FakeGateway();
    const cut = { refuse: refusal(Code.Unavailable, "DRAINING", 1) };
    gateway.sendScripts.push({ ...cut, logged: true });
    gateway.scripts.push({}, { eventsMax: 3, end: cut.refuse });
    const { refused, screen } = await play(gateway, ["하나", "둘", "셋"]);
    expect(refused).toBe(0);
    expect(textsOf(gateway).sort()).toEqual(["둘", "셋", "하나"]);
    expect(screen.complaints.join("\n")).toContain("connection lost");
  });

  test("counts what was refused, says why, and goes on", async () => {
    const gateway = new FakeGateway();
    gateway.sendScripts.push({ refuse: refusal(Code.InvalidArgument, "INVALID_FIELD"), logged: false });
    const { refused, screen } = await play(gateway, ["bad", "/nonsense", "good"]);
    expect(refused).toBe(2);
    expect(screen.complaints.join("\n")).toContain("✗ not sent: refused: INVALID_FIELD [INVALID_FIELD]  « bad »");
    expect(screen.complaints.join("\n")).toContain("there is no /nonsense");
    expect(textsOf(gateway)).toEqual(["good"]);
  });

  test("stops at /quit", async () => {
    const gateway = new FakeGateway();
    await play(gateway, ["하나", "/quit", "둘"]);
    expect(textsOf(gateway)).toEqual(["하나"]);
  });
});
