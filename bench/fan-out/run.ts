/**
 * `bun run bench:fan-out`: what one delivery costs the gateway's process, by the way its readers are connected, beside
 * the floor: a process that writes one shared buffer of the same size to raw sockets, in the same run on the same machine.
 *
 * It measures CPU time (user and system, /proc/<pid>/stat) and not speed, so that the readers' own process does not
 * count. Ways and rounds alternate; medians are printed. A run in which one delivery is missing or doubled fails.
 *
 *     bun run bench:fan-out                                     500 readers, 100 messages/s, 5 rounds of 6 s
 *     bun run bench:fan-out --readers 200 --rate 50 --rounds 3 --seconds 4
 *     bun run bench:fan-out --readers 200 --rate 1000 --linger 20   a hot room may gather, as it does outside of the bench
 *
 * The gateway is the real one from the room's log on; messages come into being in its process, as at the floor
 * (`gateway.ts`). What a message costs on its way in, SendMessage to stored, is another figure: "send", of a whole gateway
 * without a reader.
 */

import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import net from "node:net";
import { cpus } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { create, toBinary } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { ChatService, SubscribeRequestSchema, SubscribeResponseSchema } from "../../gen/chat/v1/chat_pb.ts";
import { RoomService } from "../../gen/chat/v1/room_pb.ts";
import { startGateway } from "../../test/harness/gateway.ts";
import { waitFor } from "../../test/harness/wait-for.ts";
import type { Counts, LoadAnswer, LoadCommand, Way } from "./load.ts";

const { values: flags } = parseArgs({
  args: process.argv.slice(2),
  options: {
    readers: { type: "string", default: "500" },
    rate: { type: "string", default: "100" },
    rounds: { type: "string", default: "5" },
    seconds: { type: "string", default: "6" },
    linger: { type: "string", default: "0" },
    ways: { type: "string", default: "floor,send,http1-connect,http1-grpc-web,http2-1,http2-50" },
  },
});
const readersCount = Number(flags.readers);
const ratePerSecond = Number(flags.rate);
const rounds = Number(flags.rounds);
const messagesPerRound = Number(flags.seconds) * ratePerSecond;
/** "send": messages and no reader. */
const ways = flags.ways.split(",") as (Way | "send")[];
/** Before the measured part of a round, so that code is compiled and windows are open. */
const warmUpMessages = 2 * ratePerSecond;
/** For the last deliveries of a round to arrive. */
const arrivalTimeoutMs = 20_000;
/** Clock ticks per second in /proc: fixed at 100 for programs on every Linux. */
const ticksPerSecond = 100;

const roomId = "bench";
const author = { userId: "bench", name: "벤치마크" };
/** As long as a long chat line, and longer than every event that is not a message. */
const text =
  "오늘 방송 진짜 재밌다 ㅋㅋㅋㅋ 페이커 미쳤다 hello from the bench, how is everybody doing tonight? ".repeat(2);

/** One measured round of one way. */
interface Sample {
  way: Way | "send";
  messages: number;
  deliveries: number;
  cpuMs: number;
}

/** The readers' process. */
class Load {
  readonly #process: Bun.Subprocess<"ignore", "inherit", "inherit">;
  #answer: (answer: LoadAnswer) => void = () => {};

  constructor() {
    this.#process = Bun.spawn([process.execPath, join(import.meta.dir, "load.ts")], {
      stdio: ["ignore", "inherit", "inherit"],
      ipc: (answer: LoadAnswer) => this.#answer(answer),
    });
  }

  /** Sends one command and waits for its answer. @throws {Error} what the readers say has failed */
  async ask(command: LoadCommand): Promise<LoadAnswer> {
    const answer = await new Promise<LoadAnswer>((resolve) => {
      this.#answer = resolve;
      this.#process.send(command);
    });
    if ("failed" in answer) {
      throw new Error(answer.failed);
    }
    return answer;
  }

  async counts(): Promise<Counts> {
    const answer = await this.ask({ do: "count" });
    if (!("counts" in answer)) {
      throw new Error(`the readers answered ${JSON.stringify(answer)}`);
    }
    return answer.counts;
  }

  stop(): void {
    this.#process.kill();
  }
}

/** What a round needs from the server under test. */
interface Target {
  readonly pid: number;
  readonly readersPort: number;
  publish(): Promise<unknown>;
  stop(): Promise<void>;
}

/** A program that prints its two ports, one for readers and one whose every byte is a message. */
async function startPublisher(program: string, ...args: string[]): Promise<Target> {
  const child = Bun.spawn([process.execPath, join(import.meta.dir, program), ...args], {
    stdout: "pipe",
    stderr: "inherit",
  });
  const { value } = await child.stdout.getReader().read();
  const ports: { readersPort: number; publisherPort: number } = JSON.parse(new TextDecoder().decode(value));
  const publisher = net.connect({ host: "127.0.0.1", port: ports.publisherPort, noDelay: true });
  return {
    pid: child.pid,
    readersPort: ports.readersPort,
    publish: async () => publisher.write("."),
    stop: async () => {
      publisher.destroy();
      child.kill();
      await child.exited;
    },
  };
}

/** A whole gateway, for what a message costs on its way in. */
async function startWholeGateway(): Promise<Target> {
  const gateway = await startGateway();
  const transport = createGrpcTransport({ baseUrl: gateway.url });
  await createClient(RoomService, transport).createRoom({ roomId, title: "bench" });
  const chat = createClient(ChatService, transport);
  return {
    pid: gateway.pid,
    readersPort: gateway.port,
    publish: () => chat.sendMessage({ roomId, author, text }),
    stop: async () => {
      await gateway.stop();
    },
  };
}

/** The envelope of the event that readers get, as long as it will really be. */
function messageEnvelopeBytes(): number {
  const position = `${Date.now()}-10000`;
  const value = { position, author, text, sentAt: timestampFromMs(Date.now()), clientMessageId: crypto.randomUUID() };
  const response = create(SubscribeResponseSchema, { event: { roomId, position, kind: { case: "message", value } } });
  return 5 + toBinary(SubscribeResponseSchema, response).length;
}

function subscribeEnvelope(): string {
  const message = toBinary(SubscribeRequestSchema, create(SubscribeRequestSchema, { roomId }));
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]).toString("base64");
}

/** Publishes at an even rate: a message that is late is not followed by a burst, as that would be one write for many. */
async function publishEvenly(target: Target, messages: number): Promise<void> {
  const intervalMs = 1000 / ratePerSecond;
  let next = performance.now();
  for (let sent = 0; sent < messages; sent++) {
    // A timer is good for a millisecond; below it, turns of the loop.
    while (next - performance.now() > 0) {
      await (intervalMs > 2 ? Bun.sleep(Math.max(0, next - performance.now())) : new Promise(setImmediate));
    }
    next = Math.max(next + intervalMs, performance.now() + intervalMs / 2);
    await target.publish();
  }
}

async function measure(load: Load, target: Target, way: Way | "send", messageBytes: number): Promise<Sample> {
  const readers = way === "send" ? 0 : readersCount;
  if (way !== "send") {
    const request = subscribeEnvelope();
    // The text alone is below every message's length and above every other event's.
    const countedBytes = way === "floor" ? messageBytes : Buffer.byteLength(text);
    const port = target.readersPort;
    await load.ask({ do: "open", way, port, readers, request, messageBytes: countedBytes });
  }
  const arrived = async (messages: number) => {
    if (readers === 0) {
      return;
    }
    await waitFor(
      `${readers} readers have ${messages} messages each`,
      async () => (await load.counts()).fewest >= messages,
      arrivalTimeoutMs,
    );
    const { fewest, most, total } = await load.counts();
    if (most !== messages || total !== messages * readers) {
      throw new Error(`${way}: expected ${messages} messages at each reader, found ${fewest} to ${most}`);
    }
  };
  await publishEvenly(target, warmUpMessages);
  await arrived(warmUpMessages);
  const before = cpuMs(target.pid);
  await publishEvenly(target, messagesPerRound);
  await arrived(warmUpMessages + messagesPerRound);
  const spent = cpuMs(target.pid) - before;
  await load.ask({ do: "close" });
  return { way, messages: messagesPerRound, deliveries: messagesPerRound * readers, cpuMs: spent };
}

/** User and system time of all the threads of a process (proc(5): fields 14 and 15, counted after the name in brackets). */
function cpuMs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return ((Number(fields[11]) + Number(fields[12])) * 1000) / ticksPerSecond;
}

function median(numbers: readonly number[]): number {
  const sorted = [...numbers].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1
    ? (sorted[middle] as number)
    : ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2;
}

/** One line of the result: medians over the rounds, microseconds. */
interface Result {
  way: Way;
  /** Of the process's CPU time, per delivery. */
  deliveryUs: number;
  /** `deliveryUs` as a multiple of the floor's. */
  timesFloor: number;
  roundsUs: number[];
}

function summarise(samples: readonly Sample[]): { sendUs: number; results: Result[] } {
  const of = (way: Way | "send") => samples.filter((sample) => sample.way === way);
  const sendUs = ways.includes("send")
    ? median(of("send").map((sample) => (sample.cpuMs * 1000) / sample.messages))
    : 0;
  const perDelivery = (sample: Sample) => (sample.cpuMs * 1000) / sample.deliveries;
  const floorUs = median(of("floor").map(perDelivery));
  const results = ways
    .filter((way): way is Way => way !== "send")
    .map((way) => {
      const roundsUs = of(way).map(perDelivery);
      const deliveryUs = median(roundsUs);
      return { way, deliveryUs, timesFloor: deliveryUs / floorUs, roundsUs };
    });
  return { sendUs, results };
}

const messageBytes = messageEnvelopeBytes();
const samples: Sample[] = [];
const load = new Load();
const floor = await startPublisher("floor.ts", String(messageBytes));
const gateway = await startPublisher("gateway.ts", text, flags.linger);
const wholeGateway = await startWholeGateway();
const targetOf = (way: Way | "send") => (way === "floor" ? floor : way === "send" ? wholeGateway : gateway);
try {
  for (let round = 1; round <= rounds; round++) {
    for (const way of ways) {
      const sample = await measure(load, targetOf(way), way, messageBytes);
      samples.push(sample);
      const per = way === "send" ? `${sample.messages} messages` : `${sample.deliveries} deliveries`;
      const us = (sample.cpuMs * 1000) / (sample.deliveries || sample.messages);
      console.log(`round ${round}  ${way.padEnd(15)} ${per.padEnd(20)} ${us.toFixed(2).padStart(7)} µs each`);
    }
  }
} finally {
  load.stop();
  await Promise.all([floor.stop(), gateway.stop(), wholeGateway.stop()]);
}

const { sendUs, results } = summarise(samples);
console.log(`\n${readersCount} readers, ${ratePerSecond} messages/s of ${messageBytes} bytes; µs of CPU per delivery`);
console.log("way              delivery   × floor");
for (const { way, deliveryUs, timesFloor } of results) {
  console.log(`${way.padEnd(15)} ${deliveryUs.toFixed(2).padStart(9)} ${timesFloor.toFixed(2).padStart(9)}`);
}
console.log(`send: ${sendUs.toFixed(0)} µs per message`);

const report = {
  measuredAt: new Date().toISOString(),
  bun: Bun.version,
  cores: cpus().length,
  cpu: cpus()[0]?.model,
  readers: readersCount,
  ratePerSecond,
  messageBytes,
  rounds,
  messagesPerRound,
  sendUs,
  results,
};
const resultsDir = join(import.meta.dir, "..", "results");
mkdirSync(resultsDir, { recursive: true });
writeFileSync(join(resultsDir, "fan-out.json"), `${JSON.stringify(report, null, 2)}\n`);
