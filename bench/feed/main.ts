/**
 * `bun run feed`: plays a file of chat lines into a room from many users, at a steady rate; `--help` says how.
 *
 * It stands where the viewers stand: it talks to the gateway through the client library and nothing else. Made for
 * demonstrations and for tests that want a lifelike chat; how fast the gateway can go is measured elsewhere.
 */
import { readFile, stat } from "node:fs/promises";
import { ConnectError } from "@connectrpc/connect";
import { ChatClient, refusalOf, systemClock } from "../../client/index.ts";
import { createNodeTransport } from "../../client/node-transports.ts";
import { seededRandom } from "../../lib/seeded-random.ts";
import { UsageError } from "../option-values.ts";
import { ProgressLine } from "../progress-line.ts";
import { provideRoom } from "../provide-room.ts";
import { type ChatLines, parseChatLines } from "./chat-lines.ts";
import { type FeedOptions, parseFeedOptions, usage } from "./feed-options.ts";
import { FeedReport } from "./feed-report.ts";
import { Feeder } from "./feeder.ts";
import { makePeople } from "./people.ts";
import { countRefusedSends } from "./refusal-reason.ts";

/** The lines are held in memory. */
const fileBytesMax = 64 * 1024 * 1024;

process.exit(await main(process.argv.slice(2)));

/** @returns the exit code */
async function main(args: readonly string[]): Promise<number> {
  let options: FeedOptions | "help";
  try {
    options = parseFeedOptions(args);
  } catch (error) {
    if (!(error instanceof UsageError)) {
      throw error;
    }
    console.error(`${error.message}\n\n${usage}`);
    return 2;
  }
  if (options === "help") {
    console.log(usage);
    return 0;
  }
  try {
    return await feed(options);
  } catch (error) {
    console.error(
      error instanceof ConnectError ? refusalOf(error).message : error instanceof Error ? error.message : error,
    );
    return 1;
  }
}

async function feed(options: FeedOptions): Promise<number> {
  const { lines } = await readLines(options.file);
  const random = seededRandom(options.seed);
  const report = new FeedReport();
  const chat = new ChatClient({
    transport: createNodeTransport({
      baseUrl: options.url,
      protocol: options.protocol,
      interceptors: [countRefusedSends((reason) => report.countRefusal(reason))],
    }),
  });
  await provideRoom(chat.rooms, options.url, options.room);
  console.log(
    `${lines.length} lines → room ${options.room} at ${options.url} over ${options.protocol}: ` +
      `${options.rate} messages a second from ${options.users} people. Ctrl-C ends it.`,
  );
  const feeder = new Feeder({
    chat,
    roomId: options.room,
    lines,
    people: makePeople(options.users, options.seed, random),
    ratePerSecond: options.rate,
    messagesMax: options.count,
    durationMs: options.durationMs,
    loop: options.loop,
    inFlightMax: options.inFlight,
    random,
    clock: systemClock,
    report,
  });
  const progress = new ProgressLine(process.stdout, systemClock, () => report.progressLine(feeder.elapsedMs));
  let interrupts = 0;
  const interrupt = () => {
    interrupts += 1;
    if (interrupts > 1) {
      process.exit(130);
    }
    feeder.stop();
  };
  process.on("SIGINT", interrupt).on("SIGTERM", interrupt);
  progress.start();
  await feeder.run();
  progress.end();
  console.log(report.summary(feeder.elapsedMs, options.rate));
  return report.failed === 0 ? 0 : 1;
}

async function readLines(file: string): Promise<ChatLines> {
  const { size } = await stat(file);
  if (size > fileBytesMax) {
    throw new Error(`${file} has ${size} bytes, the limit is ${fileBytesMax}`);
  }
  const parsed = parseChatLines(await readFile(file, "utf8"));
  if (parsed.lines.length === 0) {
    throw new Error(`${file} has no line to say`);
  }
  const skipped = parsed.skippedBlank + parsed.skippedLong + parsed.skippedLabels;
  if (skipped > 0) {
    console.log(
      `${skipped} lines skipped: ${parsed.skippedBlank} blank, ${parsed.skippedLong} too long, ${parsed.skippedLabels} labels`,
    );
  }
  return parsed;
}
