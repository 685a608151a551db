/**
 * Every command of README.md, run as it is pasted. Only the port is another one: each test run has its own gateway.
 *
 * The commands run in a folder that looks like the repository, so that what they write stays out of it. README.ko.md has
 * the same commands (test/docs/readme.test.ts).
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { type FencedBlock, readPage, root } from "../docs/markdown.ts";
import { type Gateway, startGateway } from "../harness/gateway.ts";
import { waitFor } from "../harness/wait-for.ts";
import { goToolPath, grpcurl, pythonPath } from "../setup/tools.ts";

/** What the commands under a heading must print, block by block. */
const expectedOutput: Readonly<Record<string, readonly (readonly string[])[]>> = {
  // The text is the terminal's own; without one, the room is shown until standard input ends.
  "### Terminal": [[], ["accepted  100", "refused   0", "failed    0"]],
  "### grpcurl": [
    ['"text": "hello from grpcurl"', '"heartbeat"'],
    ['"roomState"', '"text": "both ways on one stream"', '"sendAccepted"'],
  ],
  "### buf curl": [['"text": "hello from buf curl"', '"heartbeat"']],
  "### curl": [
    ['"position":', '"text":"hello from curl"', '"text":"hello from REST"', '"window":"60s"'],
    ['{"event":{"roomId":"lobby","roomState"', '"text":"hello from REST"', '"heartbeat"'],
  ],
  "### Python": [[], ["파이썬 hello from Python"]],
  "### TypeScript": [["client hello from TypeScript"]],
  "## Put it under load": [["lost 0, doubled 0, out of order 0"]],
};

/** Commands that are run on their own below, that take fixed ports or Docker, or that would run this very test. */
const notHere = [
  "bun start\n",
  "bun run test\n",
  "bun run bench:fan-out\n",
  "bun run bench:peers\n",
  "bun run stack\n",
  "docker compose up --build --wait\n",
];

/** Far above what a command takes on a busy machine. */
const commandTimeoutMs = 60_000;
/** At most this much of what a command prints is kept. */
const outputCharsMax = 1_000_000;

const blocks = readPage("README.md").blocks.filter((block) => block.language === "sh");

let gateway: Gateway;
let folder: string;
const running: Command[] = [];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "streaming-chat-readme-"));
  for (const name of readdirSync(root).filter((each) => !["data", ".venv", ".git"].includes(each))) {
    symlinkSync(join(root, name), join(folder, name));
  }
  gateway = await startGateway({ INITIAL_ROOMS: "lobby" });
}, 60_000);

afterAll(async () => {
  await Promise.all(running.map((command) => command.stop()));
  await gateway?.stop();
  rmSync(folder, { recursive: true, force: true });
}, 60_000);

/** A pasted block, with a process group of its own, so that what it started ends with it. */
class Command {
  output = "";
  exitCode: number | undefined;
  readonly #child: ChildProcess;
  readonly #ended: Promise<void>;

  constructor(code: string, env: Record<string, string> = {}) {
    const path = [dirname(process.execPath), dirname(goToolPath(grpcurl)), dirname(pythonPath()), process.env.PATH];
    this.#child = spawn("bash", ["-euo", "pipefail", "-c", code], {
      cwd: folder,
      detached: true,
      env: { ...process.env, NO_COLOR: "1", ...env, PATH: path.join(":") },
      stdio: ["ignore", "pipe", "pipe"],
    });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.setEncoding("utf8").on("data", (text: string) => {
        this.output = (this.output + text).slice(-outputCharsMax);
      });
    }
    this.#ended = new Promise((resolve) => {
      this.#child.once("close", (code) => {
        this.exitCode = code ?? -1;
        resolve();
      });
    });
  }

  /** Ends the command and all that it started. */
  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
    if (this.exitCode === undefined && this.#child.pid !== undefined) {
      process.kill(-this.#child.pid, signal);
    }
    await this.#ended;
  }
}

/** For this test's gateway: the port, and the address where a command has it by default. */
function adapted(code: string): string {
  return code
    .replaceAll("127.0.0.1:8080", `127.0.0.1:${gateway.port}`)
    .replaceAll(/^bun run (chat|feed|load) /gm, `bun run $1 --url ${gateway.url} `);
}

/** Waits until everything expected was printed, in whatever order, or the command has ended. */
async function run(code: string, expected: readonly string[], env: Record<string, string> = {}): Promise<Command> {
  const command = new Command(code, env);
  running.push(command);
  const missing = () => expected.filter((text) => !command.output.includes(text));
  await waitFor(
    code,
    () => command.exitCode !== undefined || (expected.length > 0 && missing().length === 0),
    commandTimeoutMs,
  ).catch(() => {
    // What is missing shows below.
  });
  if (missing().length > 0 || (command.exitCode ?? 0) !== 0) {
    throw new Error(
      `exit code ${command.exitCode}, not printed: ${JSON.stringify(missing())}\n${code}\n${command.output}`,
    );
  }
  return command;
}

test("no command of README.md is left out", () => {
  const known = Object.entries(expectedOutput).flatMap(([heading, outputs]) => outputs.map(() => heading));
  const there = blocks.filter(({ code }) => !notHere.includes(code)).map(({ heading }) => heading);
  expect(there).toEqual(known);
});

describe.each(Object.keys(expectedOutput))("%s", (heading) => {
  const mine: FencedBlock[] = blocks.filter((block) => block.heading === heading);
  test.each(mine.map(({ code }, index) => ({ index, first: code.split(/ [-'.\\]|\n/)[0], code })))(
    "what begins with `$first` works as pasted ($index)",
    async ({ index, code }) => {
      const command = await run(adapted(code), expectedOutput[heading]?.[index] ?? []);
      await command.stop();
    },
    2 * commandTimeoutMs,
  );
});

test("`bun start` serves the demo, keeps what was said until the next start, and prints lines that work when pasted", async () => {
  const start = () => run("bun start --port 0", ["streaming-chat listens on http://127.0.0.1:", "buf curl  "]);
  const urlOf = ({ output }: Command) => /listens on (\S+)/.exec(output)?.[1] ?? "";
  const first = await start();
  expect(await (await fetch(urlOf(first))).text()).toContain("<html");
  const said = { author: { name: "민수" }, text: "stays" };
  const answer = await fetch(`${urlOf(first)}/api/v1/rooms/lobby/messages`, {
    method: "POST",
    body: JSON.stringify(said),
  });
  expect(answer.status).toBe(201);
  await first.stop("SIGINT");

  const second = await start();
  const history = await fetch(`${urlOf(second)}/api/v1/rooms/lobby/messages`);
  expect(await history.json()).toMatchObject({ messages: [said] });
  const lines = [...second.output.matchAll(/^ {2}(terminal|grpcurl|buf curl) +(.+)$/gm)];
  expect(lines.map(([, name]) => name)).toEqual(["terminal", "grpcurl", "buf curl"]);
  for (const [, name, line = ""] of lines) {
    // The terminal client shows the room in words, and only while it has input.
    const [code, expected] =
      name === "terminal" ? [`echo hello | ${line}`, []] : [line, ['"text": "stays"', '"heartbeat"']];
    await (await run(code, expected)).stop();
  }
  const texts = (await (await fetch(`${urlOf(second)}/api/v1/rooms/lobby/messages`)).json()) as { messages: object[] };
  expect(texts.messages).toMatchObject([said, { text: "hello" }]);
  await second.stop("SIGINT");
}, 180_000);
