/** The command line of the feeder: what it may say, and what is made of it. Owns nothing. */
import { fileURLToPath } from "node:url";
import type { NodeProtocol } from "../../client/node-transports.ts";
import { choiceOption, durationOption, numberOption, optionValues, roomOption, urlOption } from "../option-values.ts";

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
 * @throws {UsageError}
 */
export function parseFeedOptions(args: readonly string[]): FeedOptions | "help" {
  const values = optionValues(args, {
    url: { type: "string", default: "http://127.0.0.1:8080" },
    room: { type: "string", default: "lobby" },
    file: { type: "string" },
    rate: { type: "string" },
    users: { type: "string" },
    count: { type: "string" },
    duration: { type: "string" },
    loop: { type: "boolean" },
    seed: { type: "string" },
    protocol: { type: "string", default: "connect" },
    "in-flight": { type: "string" },
    help: { type: "boolean", short: "h" },
  });
  if (values.help) {
    return "help";
  }
  return {
    url: urlOption("url", values.url),
    room: roomOption("room", values.room),
    file: values.file ?? sampleFile,
    rate: numberOption("rate", values.rate, { default: 5, min: 0.01, max: 100_000 }),
    users: numberOption("users", values.users, { default: 50, min: 1, max: 100_000, whole: true }),
    count: numberOption("count", values.count, { default: Number.POSITIVE_INFINITY, min: 1, max: 1e12, whole: true }),
    durationMs: durationOption("duration", values.duration, Number.POSITIVE_INFINITY),
    loop: values.loop ?? false,
    seed: numberOption("seed", values.seed, { default: 1, min: 0, max: 2 ** 31, whole: true }),
    protocol: choiceOption<NodeProtocol>("protocol", values.protocol, ["connect", "grpc", "grpc-web"]),
    inFlight: numberOption("in-flight", values["in-flight"], { default: 64, min: 1, max: 10_000, whole: true }),
  };
}
