/** The command line of the load tool: what it may say, and what is made of it. Owns nothing. */
import { cpus } from "node:os";
import type { NodeProtocol } from "../../client/node-transports.ts";
import {
  choiceOption,
  durationOption,
  numberOption,
  optionValues,
  roomOption,
  UsageError,
  urlOption,
} from "../option-values.ts";

/** Readers that take no more than so much. */
export interface SlowReaders {
  readers: number;
  bytesPerSecond: number;
}

export interface LoadOptions {
  url: string;
  protocol: NodeProtocol;
  /** Readers at full speed and slow ones together. */
  subscribers: number;
  slow: SlowReaders[];
  streamsPerConnection: number;
  senders: number;
  /** Messages a second of all senders together; undefined: as fast as answers come (closed loop). */
  rate: number | undefined;
  loop: "open" | "closed";
  inFlight: number;
  messageBytes: number;
  /** A room that is used as it is; undefined: rooms are made. */
  room: string | undefined;
  roomPrefix: string;
  rooms: number;
  rampMs: number;
  warmUpMs: number;
  durationMs: number;
  drainMs: number;
  /** All readers' connections are cut so often. */
  stormMs: number | undefined;
  /** Processes for readers, and as many for senders as those need. */
  processes: number;
  /** The server's process, on this machine. */
  pid: number | undefined;
  json: string | undefined;
  report: string | undefined;
  limits: Limits;
}

/** What a run may reach without failing. Undefined: no limit. */
export interface Limits {
  p99Ms: number | undefined;
  p999Ms: number | undefined;
  sendP99Ms: number | undefined;
  lost: number;
  errors: number;
}

export const usage = `Puts a chat gateway under load: many readers, some writers, and a check of everything that arrives.

  bun run load [-- options]

  --url URL                  the gateway                           default http://127.0.0.1:8080
  --protocol NAME            connect or grpc-web over HTTP/1.1, grpc over HTTP/2    default connect
  --subscribers N            readers                               default 100
  --slow N@SPEED             so many of them read at 1KB/s, 64KB/s or 1MB/s; may be said several times
  --streams-per-connection N grpc: readers on one connection       default 1
  --senders N                people who write                      default 10
  --rate N                   messages a second of all together     default 10; max (closed loop): as fast as answers come
  --loop open|closed         closed: nobody writes before the last message is answered    default open
  --in-flight N              open loop: messages under way at most default 1000
  --message-bytes N          length of a text                      default 100
  --rooms N                  rooms, made and closed afterwards     default 1
  --room-prefix NAME         of their names                        default load
  --room ID                  use this room instead
  --ramp TIME                readers come over this time           default 2s
  --warm-up TIME             not counted in latencies              default 2s
  --duration TIME            of the measured part                  default 10s
  --drain TIME               for the last messages to arrive       default 10s
  --storm TIME               cut all readers at once, so often; they come back with their cursor
  --processes N              for the readers                       default by their number
  --pid N                    the server's process: its CPU and memory are recorded (same machine, Linux)
  --json FILE                the result for machines
  --report FILE              the result as a page with plots
  --max-p99 TIME, --max-p999 TIME    of deliveries: the run fails beyond
  --max-send-p99 TIME        of answers to senders: the run fails beyond
  --max-lost N               messages that never came              default 0
  --max-errors N             refused sends and readers ended out of turn    default 0
  --help

A message counts from when it was due by the timetable, however late it could be sent: a server that stalls is seen. Closed
loops with a rate keep a timetable for each sender, too. Doubled messages and broken order always fail. Exit code: 0 fine, 1 a limit was broken,
2 wrong command line, 3 could not be run.
`;

/** Readers that one process carries with ease. */
const subscribersPerProcess = 2_500;

/**
 * @returns "help" where that was asked for
 * @throws {UsageError}
 */
export function parseLoadOptions(args: readonly string[]): LoadOptions | "help" {
  const text = (usual?: string) => ({ type: "string" as const, ...(usual !== undefined && { default: usual }) });
  const values = optionValues(args, {
    url: { type: "string", default: "http://127.0.0.1:8080" },
    protocol: { type: "string", default: "connect" },
    slow: { type: "string", multiple: true, default: [] },
    loop: { type: "string", default: "open" },
    "room-prefix": { type: "string", default: "load" },
    help: { type: "boolean", short: "h" },
    subscribers: text(),
    "streams-per-connection": text(),
    senders: text(),
    rate: text(),
    "in-flight": text(),
    "message-bytes": text(),
    rooms: text(),
    room: text(),
    ramp: text(),
    "warm-up": text(),
    duration: text(),
    drain: text(),
    storm: text(),
    processes: text(),
    pid: text(),
    json: text(),
    report: text(),
    "max-p99": text(),
    "max-p999": text(),
    "max-send-p99": text(),
    "max-lost": text(),
    "max-errors": text(),
  });
  if (values.help) {
    return "help";
  }
  const whole = (name: keyof typeof values, usual: number, min: number, max: number) =>
    numberOption(name, values[name] as string | undefined, { default: usual, min, max, whole: true });
  const time = (name: keyof typeof values, usual: number) =>
    durationOption(name, values[name] as string | undefined, usual);
  const optionalTime = (name: keyof typeof values) => (values[name] === undefined ? undefined : time(name, 0));
  const subscribers = whole("subscribers", 100, 0, 1_000_000);
  const slow = values.slow.map(slowReaders);
  const slowCount = slow.reduce((sum, { readers }) => sum + readers, 0);
  if (slowCount > subscribers) {
    throw new UsageError(`--slow makes ${slowCount} readers slow, there are ${subscribers} --subscribers`);
  }
  const loop = choiceOption("loop", values.loop, ["open", "closed"] as const);
  if (values.rate === "max" && loop === "open") {
    throw new UsageError("--rate max needs --loop closed: an open loop has a timetable");
  }
  const wanted = Math.ceil(subscribers / subscribersPerProcess);
  return {
    url: urlOption("url", values.url),
    protocol: choiceOption<NodeProtocol>("protocol", values.protocol, ["connect", "grpc-web", "grpc"]),
    subscribers,
    slow,
    streamsPerConnection: whole("streams-per-connection", 1, 1, 1_000),
    senders: whole("senders", 10, 1, 100_000),
    rate: values.rate === "max" ? undefined : numberOption("rate", values.rate, { default: 10, min: 0, max: 1e6 }),
    loop,
    inFlight: whole("in-flight", 1_000, 1, 100_000),
    messageBytes: whole("message-bytes", 100, 1, 500),
    room: values.room === undefined ? undefined : roomOption("room", values.room),
    roomPrefix: roomOption("room-prefix", values["room-prefix"]),
    rooms: whole("rooms", 1, 1, 10_000),
    rampMs: time("ramp", 2_000),
    warmUpMs: time("warm-up", 2_000),
    durationMs: time("duration", 10_000),
    drainMs: time("drain", 10_000),
    stormMs: optionalTime("storm"),
    processes: whole("processes", Math.max(1, Math.min(cpus().length, wanted)), 1, 1_000),
    pid: values.pid === undefined ? undefined : whole("pid", 0, 1, 2 ** 31),
    json: values.json,
    report: values.report,
    limits: {
      p99Ms: optionalTime("max-p99"),
      p999Ms: optionalTime("max-p999"),
      sendP99Ms: optionalTime("max-send-p99"),
      lost: whole("max-lost", 0, 0, 1e12),
      errors: whole("max-errors", 0, 0, 1e12),
    },
  };
}

/** "50@1KB/s" */
function slowReaders(text: string): SlowReaders {
  const [, readers, amount, unit] = /^(\d+)@(\d+(?:\.\d+)?)(KB|MB|B)\/s$/.exec(text) ?? [];
  const bytesPerSecond = Number(amount) * { B: 1, KB: 1_000, MB: 1_000_000 }[unit as "B" | "KB" | "MB"];
  if (!(Number(readers) > 0 && bytesPerSecond > 0)) {
    throw new UsageError(`--slow is ${text}, it must be a number of readers and their speed as 50@1KB/s`);
  }
  return { readers: Number(readers), bytesPerSecond };
}
