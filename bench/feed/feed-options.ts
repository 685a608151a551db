/** The command line of the feeder: what it may say, and what is made of it. Owns nothing. */
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import type { NodeProtocol } from "../../client/node-transports.ts";

export interface FeedOptions {
  url: string;
  room: string;
  /** Path of the lines. */
  file: string;
  /** Messages a second. */
  rate: number;
  users: number;
  /** Messages at most; Infinity: as many as there are. */
  count: number;
  /** Sending ends after so long; Infinity: when the lines end. */
  durationMs: number;
  /** From the end of the file again to its beginning. */
  loop: boolean;
  seed: number;
  protocol: NodeProtocol;
  /** Messages under way at most. */
  inFlight: number;
}

/** The command line is wrong: the message says how. */
export class FeedUsageError extends Error {
  override readonly name = "FeedUsageError";
}

const sampleFile = fileURLToPath(new URL("sample-chat.txt", import.meta.url));

export const usage = `Plays a file of chat lines into a room, from many users, at a steady rate.

  bun run feed [-- options]

  --url URL          the gateway                                   default http://127.0.0.1:8080
  --room ID          the room; created where there is none         default lobby
  --file PATH        plain lines, or a table Q,A,label             default the sample that comes with it
  --rate N           messages a second, 0.01 to 100000             default 5
  --users N          different people, 1 to 100000                 default 50
  --count N          stop after N messages
  --duration TIME    stop after 90, 90s, 5m or 1h
  --loop             begin again at the end of the file
  --seed N           the same number, the same people              default 1
  --protocol NAME    connect, grpc or grpc-web, over HTTP/2        default connect
  --in-flight N      messages under way at most, 1 to 10000        default 64
  --help

Messages have a timetable: message n is due n/rate seconds after the start, whatever became of the others. Latency counts
from then, so a gateway that stalls is seen. Refused messages are sent again, under the same id, when the gateway says
so. The exit code is 0 if every message sent was accepted, 1 if not, 2 for a wrong command line.
`;

/**
 * @returns "help" where that was asked for
 * @throws {FeedUsageError}
 */
export function parseFeedOptions(args: readonly string[]): FeedOptions | "help" {
  const values = parseValues(args);
  if (values.help) {
    return "help";
  }
  const url = values.url ?? "http://127.0.0.1:8080";
  if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol)) {
    throw new FeedUsageError(`--url is ${url}, it must begin with http:// or https://`);
  }
  const protocol = values.protocol ?? "connect";
  if (protocol !== "connect" && protocol !== "grpc" && protocol !== "grpc-web") {
    throw new FeedUsageError(`--protocol is ${protocol}, it must be connect, grpc or grpc-web`);
  }
  const room = values.room ?? "lobby";
  if (!/^[a-z0-9][a-z0-9_-]{0,63}$/.test(room)) {
    throw new FeedUsageError(`--room is ${room}, it must be 1 to 64 of a-z 0-9 _ -, beginning with a letter or digit`);
  }
  return {
    url: url.replace(/\/+$/, ""),
    room,
    file: values.file ?? sampleFile,
    rate: number("rate", values.rate, { default: 5, min: 0.01, max: 100_000 }),
    users: number("users", values.users, { default: 50, min: 1, max: 100_000, whole: true }),
    count: number("count", values.count, { default: Number.POSITIVE_INFINITY, min: 1, max: 1e12, whole: true }),
    durationMs: duration(values.duration),
    loop: values.loop ?? false,
    seed: number("seed", values.seed, { default: 1, min: 0, max: 2 ** 31, whole: true }),
    protocol,
    inFlight: number("in-flight", values["in-flight"], { default: 64, min: 1, max: 10_000, whole: true }),
  };
}

function parseValues(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        url: { type: "string" },
        room: { type: "string" },
        file: { type: "string" },
        rate: { type: "string" },
        users: { type: "string" },
        count: { type: "string" },
        duration: { type: "string" },
        loop: { type: "boolean" },
        seed: { type: "string" },
        protocol: { type: "string" },
        "in-flight": { type: "string" },
        help: { type: "boolean", short: "h" },
      },
    }).values;
  } catch (error) {
    throw new FeedUsageError(error instanceof Error ? error.message : String(error), { cause: error });
  }
}

interface NumberRule {
  default: number;
  min: number;
  max: number;
  whole?: boolean;
}

function number(name: string, text: string | undefined, rule: NumberRule): number {
  if (text === undefined) {
    return rule.default;
  }
  const value = /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
  // NaN is not in the range.
  if (!(value >= rule.min && value <= rule.max) || (rule.whole && !Number.isInteger(value))) {
    const kind = rule.whole ? "a whole number" : "a number";
    throw new FeedUsageError(`--${name} is ${text}, it must be ${kind} from ${rule.min} to ${rule.max}`);
  }
  return value;
}

function duration(text: string | undefined): number {
  if (text === undefined) {
    return Number.POSITIVE_INFINITY;
  }
  const [, amount, unit = "s"] = /^(\d+(?:\.\d+)?)([smh])?$/.exec(text) ?? [];
  const durationMs = Number(amount) * { s: 1_000, m: 60_000, h: 3_600_000 }[unit as "s" | "m" | "h"];
  if (!(durationMs > 0)) {
    throw new FeedUsageError(`--duration is ${text}, it must be a time as 90, 90s, 5m or 1h`);
  }
  return durationMs;
}
