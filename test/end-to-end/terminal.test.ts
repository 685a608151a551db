/**
 * The terminal client as people use it: on a real terminal (tmux), against a gateway that goes away and comes back, and
 * in a pipe.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { ChatClient } from "../../client/chat-client.ts";
import { createNodeTransport } from "../../client/node-transports.ts";
import { mustRunCommand, runCommand } from "../harness/command.ts";
import { type Gateway, startGateway } from "../harness/gateway.ts";
import { waitFor } from "../harness/wait-for.ts";

const program = resolve(import.meta.dir, "../../terminal-demo/main.ts");
const columns = 60;
const rows = 24;

let dataDirectory: string;
let gateway: Gateway;
const terminals: Terminal[] = [];

const serve = (port = 0) =>
  startGateway({ DATA_DIRECTORY: dataDirectory, PORT: String(port), INITIAL_ROOMS: "lobby,alone" });

beforeAll(async () => {
  dataDirectory = await mkdtemp(join(tmpdir(), "streaming-chat-terminal-"));
  gateway = await serve();
}, 40_000);

afterAll(async () => {
  await Promise.all(terminals.map((terminal) => terminal.close()));
  await gateway?.stop();
  await rm(dataDirectory, { recursive: true, force: true });
}, 30_000);

/** A terminal client on a terminal of its own; a tmux server of its own, too, so that nobody else's is touched. */
class Terminal {
  readonly #tmux: string[];

  private constructor(socket: string) {
    this.#tmux = ["tmux", "-L", socket, "-u", "-f", "/dev/null"];
  }

  static async open(name: string, ...options: string[]): Promise<Terminal> {
    const terminal = new Terminal(`streaming-chat-${process.pid}-${terminals.length}`);
    terminals.push(terminal);
    const argv = [process.execPath, program, "--url", gateway.url, "--name", name, ...options];
    const shell = `${argv.map((word) => `'${word}'`).join(" ")}; echo "ended with $?"; exec sleep 600`;
    const size = ["-x", String(columns), "-y", String(rows)];
    await terminal.#run("new-session", "-d", ...size, shell);
    await terminal.shows(`lobby >`);
    return terminal;
  }

  async #run(...command: string[]): Promise<string> {
    return mustRunCommand([...this.#tmux, ...command], { env: { LC_ALL: "C.UTF-8", NO_COLOR: "" } });
  }

  /** What is on the screen; with `escapes`, colours too. */
  async screen(escapes = false): Promise<string> {
    return this.#run("capture-pane", "-p", ...(escapes ? ["-e"] : []));
  }

  async type(text: string): Promise<void> {
    await this.#run("send-keys", "-l", text);
  }

  async press(...keys: string[]): Promise<void> {
    await this.#run("send-keys", ...keys);
  }

  /** Waits until the screen holds the text, or matches, and answers the screen without the empty rows at its end. */
  async shows(what: string | RegExp, timeoutMs = 20_000): Promise<string> {
    let last = "";
    return waitFor(
      `the terminal shows ${what}`,
      async () => {
        last = (await this.screen()).trimEnd();
        return (typeof what === "string" ? last.includes(what) : what.test(last)) && last;
      },
      timeoutMs,
    ).catch((error) => {
      throw new Error(`${error.message}; it shows:\n${last}`);
    });
  }

  async close(): Promise<void> {
    await runCommand([...this.#tmux, "kill-server"]);
  }
}

function client(): ChatClient {
  return new ChatClient({ transport: createNodeTransport({ baseUrl: gateway.url }) });
}

async function say(text: string, name = "지은", roomId = "lobby"): Promise<void> {
  await client().send({ roomId, text, author: { name, avatar: "🐼" } });
}

function inPipe(input: string, ...options: string[]) {
  const argv = [process.execPath, program, "--url", gateway.url, ...options];
  return runCommand(argv, { stdin: input, timeoutMs: 30_000 });
}

describe("on a terminal", () => {
  test("what is being typed is not torn by what comes in, also when it is wide and takes two rows", async () => {
    const terminal = await Terminal.open("민수", "--avatar", "🦊");
    const typed = "안녕하세요 여러분 이것은 아주 긴 한국어 문장입니다 두 줄이 넘어가도록 계속 씁니다 🎉🎉 그렇죠";
    await terminal.type(typed);
    await terminal.shows("그렇죠");
    await say("방해하는 메시지");
    await terminal.shows("🐼 지은: 방해하는 메시지");
    await terminal.press("Left", "Left", "BSpace");
    await terminal.shows("🎉🎉 렇죠");
    await say("또 하나");
    const during = await terminal.shows(/🐼 지은: 또 하나\n.+🎉🎉 렇죠$/s);
    expect(during.split("\n").slice(-4)).toEqual([
      expect.stringMatching(/^\d\d:\d\d 🐼 지은: 방해하는 메시지$/),
      expect.stringMatching(/^\d\d:\d\d 🐼 지은: 또 하나$/),
      "🦊 lobby > 안녕하세요 여러분 이것은 아주 긴 한국어 문장입니",
      "다 두 줄이 넘어가도록 계속 씁니다 🎉🎉 렇죠",
    ]);
    await terminal.press("Enter");
    const after = await terminal.shows(/🦊 민수: 안녕하세요.+lobby >$/s);
    expect(after.split("\n").slice(-3)).toEqual([
      expect.stringMatching(/^\d\d:\d\d 🦊 민수: 안녕하세요 여러분 이것은 아주 긴 한국어 문장$/),
      "입니다 두 줄이 넘어가도록 계속 씁니다 🎉🎉 렇죠",
      "🦊 lobby >",
    ]);
  }, 60_000);

  test("commands show hot words, rooms and viewers; rooms are made and changed; refusals are explained", async () => {
    const terminal = await Terminal.open("수아");
    await say("페이커 최고", "관중1");
    await say("페이커 멋지다", "관중2");
    await terminal.shows("멋지다");
    await waitFor("the words are counted", async () => {
      const { words } = await client().hotWords.listHotWords({ roomId: "lobby" });
      return words[0]?.users === 2;
    });
    await terminal.type("/hot");
    await terminal.press("Enter");
    expect(await terminal.shows("hot words of the last")).toMatch(/ {2}페이커 +█{24} 2\n/);
    await terminal.type("/join nowhere");
    await terminal.press("Enter");
    await terminal.shows("there is no room nowhere; /create nowhere makes it");
    await terminal.type("/create den 우리 방");
    await terminal.press("Enter");
    await terminal.shows("우리 방 (den)");
    await terminal.type("/rooms");
    await terminal.press("Enter");
    await terminal.shows("▸ den    우리 방");
    await terminal.type("/create lobby");
    await terminal.press("Enter");
    await terminal.shows("[ROOM_EXISTS]");
    await terminal.type("x".repeat(501));
    await terminal.press("Enter");
    await terminal.shows("✗ not sent:");
    await terminal.press("C-d");
    await terminal.shows("ended with 0");
  }, 60_000);

  test("each author has a colour; what a stranger hides in a text is shown", async () => {
    await say("파랑", "지은", "alone");
    await say("빨강\u202e", "해커", "alone");
    const terminal = await Terminal.open("민수");
    await terminal.type("/join alone");
    await terminal.press("Enter");
    await terminal.shows("해커: 빨강\ufffd");
    const screen = await terminal.screen(true);
    const colourOf = (name: string) => new RegExp(`(\\x1b\\[[0-9;]*38;5;\\d+m)${name}`).exec(screen)?.[1];
    expect(colourOf("지은")).toBeDefined();
    expect(colourOf("해커")).toBeDefined();
    expect(colourOf("지은")).not.toBe(colourOf("해커"));
  }, 60_000);

  test("a gateway that dies is waited for, what was missed comes, and what was typed meanwhile is sent", async () => {
    const terminal = await Terminal.open("민수");
    await say("아직 있어");
    await terminal.shows("아직 있어");
    const { port } = gateway;
    await gateway.stop("SIGKILL");
    await terminal.shows("connection lost (");
    await terminal.type("나중에 갈 말");
    await terminal.press("Enter");
    gateway = await serve(port);
    await say("돌아왔다");
    await terminal.shows("resumed after");
    const screen = await terminal.shows("민수: 나중에 갈 말");
    await terminal.shows("돌아왔다");
    expect(screen.match(/: 아직 있어/g)?.length).toBe(1);
    const { messages } = await client().chat.listMessages({ roomId: "lobby", pageSize: 20 });
    expect(messages.filter(({ text }) => text === "나중에 갈 말").length).toBe(1);
  }, 90_000);
});

describe("in a pipe", () => {
  test("each line of the input is a message, and all are in the room when it ends", async () => {
    const lines = Array.from({ length: 100 }, (_, i) => `줄 ${i}`);
    const { code, stdout, stderr } = await inPipe(
      `${lines.join("\n")}\n`,
      "--name",
      "bot",
      "--room",
      "alone",
      "--tail",
      "0",
    );
    expect({ code, stderr }).toEqual({ code: 0, stderr: "alone\n" });
    expect(stdout).toMatch(/^\d\d:\d\d \S+ bot: 줄 0\n/);
    expect(stdout).not.toContain("\x1b");
    const { messages } = await client().chat.listMessages({ roomId: "alone", pageSize: 100 });
    expect(messages.map(({ text }) => text)).toEqual(lines);
  }, 60_000);

  test("a refusal makes the exit code 1, wrong arguments 2", async () => {
    const missing = await inPipe("hi\n", "--name", "bot", "--room", "nowhere");
    expect(missing).toMatchObject({ code: 1, stdout: "" });
    expect(missing.stderr).toContain("there is no room nowhere");
    const nameless = await inPipe("");
    expect(nameless.code).toBe(2);
    expect(nameless.stderr).toContain("--name is missing");
  }, 60_000);
});
