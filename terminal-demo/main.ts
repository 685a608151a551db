/**
 * The terminal client: `bun run chat --room lobby --name 민수`. Joins a room over native gRPC, on one two-way stream; a room
 * to read and write on a terminal, plain lines in a pipe.
 *
 * Exit code: 0; 1 if, without a terminal, something was refused; 2 for wrong arguments.
 */
import { parseArgs } from "node:util";
import { createNodeTransport } from "../client/node-transports.ts";
import { ChatSession } from "./chat-session.ts";
import { LineScreen, TerminalScreen } from "./screen.ts";
import { avatarFor, bold, dim, styleFor } from "./terminal-text.ts";

const usage = `usage: bun run chat --name NAME [--room ROOM] [--url URL] [--avatar EMOJI] [--tail N]

  --name    your name, 1 to 40 characters
  --room    the room to join (lobby)
  --url     the gateway (http://127.0.0.1:8080)
  --avatar  an emoji beside your name (one that goes with the name)
  --tail    how many of the newest messages to show first, 0 to 500 (20)

In the room, /help shows the commands. In a pipe, each line of standard input is a message or a command.`;

interface Arguments {
  room: string;
  name: string;
  url: string;
  avatar: string;
  tail: number;
}

/** @throws {TypeError | RangeError} if they are not understood */
function readArguments(argv: readonly string[]): Arguments | undefined {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      room: { type: "string", default: "lobby" },
      name: { type: "string" },
      url: { type: "string", default: "http://127.0.0.1:8080" },
      avatar: { type: "string" },
      tail: { type: "string", default: "20" },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  if (values.help) {
    return undefined;
  }
  const { room, name, url } = values;
  if (!name) {
    throw new RangeError("--name is missing");
  }
  if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol)) {
    throw new RangeError(`--url ${url} is not an http or https URL`);
  }
  if (!/^\d{1,3}$/.test(values.tail) || Number(values.tail) > 500) {
    throw new RangeError(`--tail ${values.tail} is not a number from 0 to 500`);
  }
  return { room, name, url, avatar: values.avatar ?? avatarFor(name), tail: Number(values.tail) };
}

async function main(): Promise<number> {
  let given: Arguments | undefined;
  try {
    given = readArguments(process.argv.slice(2));
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : error}\n\n${usage}`);
    return 2;
  }
  if (!given) {
    console.log(usage);
    return 0;
  }
  const isTerminal = Boolean(process.stdin.isTTY && process.stdout.isTTY);
  const style = styleFor(Boolean(process.stdout.isTTY), process.env);
  const screen = isTerminal
    ? new TerminalScreen(process.stdin, process.stdout)
    : new LineScreen(process.stdin, process.stdout, process.stderr);
  if (isTerminal) {
    screen.print(`${bold(`${given.avatar} ${given.name}`, style)} ${dim(`at ${given.url} — /help for help`, style)}`);
  }
  const session = new ChatSession({
    transport: createNodeTransport({ baseUrl: given.url, protocol: "grpc" }),
    screen,
    style,
    author: { name: given.name, avatar: given.avatar },
    tail: given.tail,
    isScript: !isTerminal,
  });
  const refused = await session.run(given.room);
  return refused > 0 && !isTerminal ? 1 : 0;
}

const exitCode = await main();
// The HTTP/2 connection would keep the process for minutes; what is written to a pipe must be out before it ends.
await Promise.all([process.stdout, process.stderr].map((stream) => new Promise((done) => stream.write("", done))));
process.exit(exitCode);
