/**
 * `bun run bench:fan-out`: what one delivery costs the gateway's process, by the way its readers are connected, beside
 * the floor: a process that writes one shared buffer of the same size to raw sockets, in the same run on the same machine.
 *
 * It measures CPU time (user and system, /proc/<pid>/stat) and not speed, so that the readers' own process does not
 * count. Ways and rounds alternate; medians are printed. A run in which one delivery is missing, doubled or out of order fails.
 *
 *     bun run bench:fan-out                                     500 readers, 100 messages/s, 5 rounds of 6 s
 *     bun run bench:fan-out --readers 200 --rate 50 --rounds 3 --seconds 4
 *     bun run bench:fan-out --readers 200 --rate 1000 --linger 20   a hot room may gather, as it does outside of the bench
 *
 * The gateway is the real one from the room's log on; messages come into being in its process, as at the floor
 * (`gateway.ts`). What a message costs on its way in, SendMessage to stored, is another figure: "send", of a whole gateway
 * without a reader.
 */

import { join } from "node:path";
import { parseArgs } from "node:util";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { ChatService } from "../../gen/chat/v1/chat_pb.ts";
import { RoomService } from "../../gen/chat/v1/room_pb.ts";
import { startGateway } from "../../test/harness/gateway.ts";
import { nowUs } from "../load/shared-clock.ts";
import { cpuMs } from "../measuring/process-stat.ts";
import { median } from "../measuring/quantile.ts";
import { thisMachine, writeResult } from "../measuring/result-file.ts";
import { startPublisher, type Target } from "../wire/publisher.ts";
import type { Wire } from "../wire/readers-child.ts";
import { ReadersProcess } from "../wire/readers-process.ts";
import { benchAuthor, benchRoomId, benchText, eventBytes, subscribePath, subscribeRequest } from "./bench-message.ts";

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
/** How readers are connected. */
type Way = "floor" | "http1-connect" | "http1-grpc-web" | "http2-1" | "http2-50";

/** "send": messages and no reader. */
const ways = flags.ways.split(",") as (Way | "send")[];
/** Before the measured part of a round, so that code is compiled and windows are open. */
const warmUpMessages = 2 * ratePerSecond;

/** One measured round of one way. */
interface Sample {
  way: Way | "send";
  messages: number;
  deliveries: number;
  cpuMs: number;
}

/** A whole gateway, for what a message costs on its way in. */
async function startWholeGateway(): Promise<Target> {
  const gateway = await startGateway();
  const transport = createGrpcTransport({ baseUrl: gateway.url });
  await createClient(RoomService, transport).createRoom({ roomId: benchRoomId, title: "bench" });
  const chat = createClient(ChatService, transport);
  return {
    pid: gateway.pid,
    readersPort: gateway.port,
    publish: () => chat.sendMessage({ roomId: benchRoomId, author: benchAuthor, text: benchText }),
    stop: async () => {
      await gateway.stop();
    },
  };
}

function wireOf(way: Way, messageBytes: number): Wire {
  const call = { path: subscribePath, request: subscribeRequest() };
  switch (way) {
    case "floor":
      return { kind: "raw", messageBytes };
    case "http1-connect":
      return { kind: "connect", ...call };
    case "http1-grpc-web":
      return { kind: "grpc-web", ...call };
    case "http2-1":
      return { kind: "grpc", streamsPerConnection: 1, ...call };
    case "http2-50":
      return { kind: "grpc", streamsPerConnection: 50, ...call };
  }
}

/** Publishes at an even rate: a message that is late is not followed by a burst, as that would be one write for many. */
async function publishEvenly(target: Target, messages: number, firstSeq: number): Promise<void> {
  const intervalMs = 1000 / ratePerSecond;
  let next = performance.now();
  for (let sent = 0; sent < messages; sent++) {
    // A timer is good for a millisecond; below it, turns of the loop.
    while (next - performance.now() > 0) {
      await (intervalMs > 2 ? Bun.sleep(Math.max(0, next - performance.now())) : new Promise(setImmediate));
    }
    next = Math.max(next + intervalMs, performance.now() + intervalMs / 2);
    await target.publish(nowUs(), firstSeq + sent);
  }
}

async function measure(load: ReadersProcess, target: Target, way: Way | "send", messageBytes: number): Promise<Sample> {
  const readers = way === "send" ? 0 : readersCount;
  if (way !== "send") {
    const { readersPort: port } = target;
    await load.ask({ do: "open", wire: wireOf(way, messageBytes), port, readers, isChat: way !== "floor" });
  }
  const arrived = async (messages: number) => {
    if (readers > 0) {
      await load.arrived(readers, messages);
    }
  };
  await publishEvenly(target, warmUpMessages, 0);
  await arrived(warmUpMessages);
  const before = cpuMs(target.pid);
  await publishEvenly(target, messagesPerRound, warmUpMessages);
  await arrived(warmUpMessages + messagesPerRound);
  const spent = cpuMs(target.pid) - before;
  await load.ask({ do: "close" });
  return { way, messages: messagesPerRound, deliveries: messagesPerRound * readers, cpuMs: spent };
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

const machine = thisMachine();
const messageBytes = 5 + eventBytes();
const samples: Sample[] = [];
const load = new ReadersProcess();
const floor = await startPublisher([process.execPath, join(import.meta.dir, "floor.ts"), String(messageBytes)]);
const gateway = await startPublisher([process.execPath, join(import.meta.dir, "gateway.ts"), flags.linger]);
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
  await load.stop();
  await Promise.all([floor.stop(), gateway.stop(), wholeGateway.stop()]);
}

const { sendUs, results } = summarise(samples);
console.log(`\n${readersCount} readers, ${ratePerSecond} messages/s of ${messageBytes} bytes; µs of CPU per delivery`);
console.log("way              delivery   × floor");
for (const { way, deliveryUs, timesFloor } of results) {
  console.log(`${way.padEnd(15)} ${deliveryUs.toFixed(2).padStart(9)} ${timesFloor.toFixed(2).padStart(9)}`);
}
console.log(`send: ${sendUs.toFixed(0)} µs per message`);

writeResult("fan-out", {
  ...machine,
  readers: readersCount,
  ratePerSecond,
  messageBytes,
  rounds,
  messagesPerRound,
  sendUs,
  results,
});
