/** A gateway dies, drains or is frozen under a whole deployment. */
import { ChatClient } from "../../../../client/chat-client.ts";
import { createNodeTransport } from "../../../../client/node-transports.ts";
import { waitFor } from "../../../harness/wait-for.ts";
import type { Member } from "../../driver/deployment.ts";
import type { PlannedRun } from "../../driver/fault-run.ts";
import { kill } from "../../driver/faults/any-process.ts";
import { gatewayFaults } from "../../driver/faults/gateway-faults.ts";
import type { FaultRow } from "../fault-row.ts";
import { latencyFigure, median, milliseconds, part, redisOf, runPlanned, verdictFigures } from "../planned-row.ts";
import { forgetPeak, megabytes, peakBytes, residentBytes } from "../process-memory.ts";

const kills = 20;
/** What is promised of the way back, of half of all readers that a gateway's death has cut. */
const backMedianMsMax = 1_000;

export const gatewayKill: FaultRow = {
  name: "gateway-kill",
  fault: `One gateway of three, at random, is killed ${kills} times and started again after up to 1.5 s`,
  holds: "nothing is lost, doubled or missed unsaid; half of the readers go on at another gateway within 1 s",
  async run(context) {
    const result = await runPlanned(context, {
      async plan(run) {
        const fault = kill("gateway", 0, 1_500);
        for (let left = kills; left > 0; left--) {
          await run.context.pause(200, 800);
          await run.strike(fault, gatewayOf(run, Math.floor(run.context.random() * 3)));
          await run.load.allLive();
        }
      },
    });
    const felt = result.figures.faults["gateway-kill"];
    if (!felt || felt.reconnectMs.count < kills || felt.reconnectMs.p50 > backMedianMsMax) {
      throw new Error(`readers were not back in time: ${JSON.stringify(felt)}`);
    }
    return [
      ...verdictFigures(result),
      ["readers cut, all kills together", String(felt.reconnectMs.count)],
      ["from the cut to live at another gateway", latencyFigure(felt.reconnectMs)],
      ["silence, from the last event to live", latencyFigure(felt.silentMs)],
      ["send to answer, with the client's tries", latencyFigure(felt.ackMs)],
    ];
  },
};

export const gatewayTerm: FaultRow = {
  name: "gateway-term",
  fault:
    "Each gateway gets SIGTERM (2 s of grace) while Redis holds up sends for 300 ms and half the readers of a flooded room read nothing",
  holds:
    "it exits by itself with code 0; no send fails for good; readers come back over the time of the drain, not at once",
  async run(context) {
    const exitsMs: number[] = [];
    const backMs: number[] = [];
    let underWay = 0;
    const result = await runPlanned(context, {
      async plan(run) {
        const { deployment, load, history } = run;
        const term = gatewayFaults.find(({ name }) => name === "gateway-term") as (typeof gatewayFaults)[number];
        const redis = redisOf(deployment);
        for (const gateway of deployment.members.filter(({ kind }) => kind === "gateway")) {
          const goOn = load.stallReaders(load.roomIds[0] as string);
          await load.flood(load.roomIds[0] as string, 20);
          redis.freeze();
          await Bun.sleep(200);
          underWay += load.underWay;
          const termMs = performance.now();
          const left = new Set<string>();
          history.onEvent = (event) => {
            if (event.type === "cut") {
              left.add(event.reader);
            } else if (event.type === "live" && left.delete(event.reader)) {
              backMs.push(performance.now() - termMs);
            }
          };
          const thaw = setTimeout(() => redis.thaw(), 100);
          try {
            await run.strike(term, gateway);
          } finally {
            clearTimeout(thaw);
            redis.thaw();
            goOn();
          }
          await load.allLive();
          history.onEvent = undefined;
        }
      },
    });
    exitsMs.push(...(result.measures.get("gateway-term exit ms") ?? []));
    const { refused, unknown } = result.figures;
    if (refused + unknown > 0 || exitsMs.length !== 3 || underWay === 0) {
      throw new Error(`${refused + unknown} sends failed for good, ${exitsMs.length} exits, ${underWay} under way`);
    }
    return [
      ...verdictFigures(result),
      ["sends under way at the signal", String(underWay)],
      ["sends that failed for good", String(refused + unknown)],
      ["signal to exit", `median ${milliseconds(median(exitsMs))}, longest ${milliseconds(Math.max(...exitsMs))}`],
      [
        "readers back at another gateway, after the signal",
        `p5 ${milliseconds(part(backMs, 0.05))}, p50 ${milliseconds(part(backMs, 0.5))}, p95 ${milliseconds(part(backMs, 0.95))}`,
      ],
    ];
  },
};

/** Redis' smallest page of output is 16 KiB; what the kernel holds comes before it. */
const bufferLimit = "65536 65536 1";
/** For how long the gateway may be frozen until Redis has given up its connection. */
const frozenMsMax = 60_000;

export const gatewayFreeze: FaultRow = {
  name: "gateway-freeze",
  fault:
    "A gateway is frozen until Redis cuts its channel connection for its full output buffer (client-output-buffer-limit pubsub 64 KB), then goes on",
  holds:
    "readers that stayed on its connections get everything that they missed, in order; the gateway's memory stays bounded",
  async run(context) {
    let frozenMs = 0;
    let repairMs = Number.NaN;
    let missed = 0;
    let before = 0;
    let peak = 0;
    const result = await runPlanned(context, {
      load: { rooms: 2, readersPerRoom: 3, people: 12, messagesPerSecond: 20 },
      async plan(run) {
        const { deployment, load } = run;
        const redis = redisOf(deployment);
        const gateway = gatewayOf(run, 0);
        await redis.command?.("CONFIG", "SET", "client-output-buffer-limit", `pubsub ${bufferLimit}`);
        const room = load.roomIds[0] as string;
        const stayer = new Stayer(deployment.gatewayUrls[0] as string, room);
        await waitFor("the reader that stays has heard something", () => stayer.seen.length > 0);
        before = residentBytes(gateway.pid as number);
        forgetPeak(gateway.pid as number);
        const startMs = performance.now();
        const seenBefore = stayer.seen.length;
        await run.strike(
          {
            name: "gateway-freeze",
            about: "",
            kind: "gateway",
            async inject() {
              const subscribers = async () => {
                const list = String(await redis.command?.("CLIENT", "LIST", "TYPE", "pubsub"));
                return list.split("\n").filter(Boolean).length;
              };
              const all = await subscribers();
              gateway.freeze();
              try {
                while ((await subscribers()) === all) {
                  if (performance.now() - startMs > frozenMsMax) {
                    throw new Error(`Redis did not cut the frozen gateway off in ${frozenMsMax} ms`);
                  }
                  await load.flood(room, 10);
                }
              } finally {
                gateway.thaw();
              }
              frozenMs = performance.now() - startMs;
            },
          },
          gateway,
        );
        const thawedMs = performance.now();
        const newest = load.newestIn(room) as string;
        await waitFor("the reader that stayed has what it missed", () => stayer.seen.includes(newest), 30_000);
        repairMs = performance.now() - thawedMs;
        missed = stayer.seen.length - seenBefore;
        peak = peakBytes(gateway.pid as number);
        stayer.stop();
        stayer.check();
        await load.allLive();
      },
    });
    return [
      ...verdictFigures(result),
      ["frozen until it was cut off", milliseconds(frozenMs)],
      ["messages that its reader had not got", missed.toLocaleString("en-US")],
      ["from its thaw until the reader had all of them", milliseconds(repairMs)],
      ["resident memory before, and at most", `${megabytes(before)}, ${megabytes(peak)}`],
    ];
  },
};

/** A reader over HTTP/1.1 that waits for ever: its stream survives what its gateway survives. */
class Stayer {
  readonly seen: string[] = [];
  readonly stop: () => void;
  #reconnects = () => 0;
  #gaps = 0;

  constructor(baseUrl: string, room: string) {
    const long = 600_000;
    const subscription = new ChatClient({
      transport: createNodeTransport({ baseUrl, protocol: "connect", httpVersion: "1.1" }),
    }).subscribe(room, {
      firstEventTimeoutMs: long,
      heartbeatTimeoutMs: long,
      behindTimeoutMs: long,
      onMessage: ({ position }) => this.seen.push(position),
      onGap: () => {
        this.#gaps += 1;
      },
    });
    this.stop = () => subscription.stop();
    this.#reconnects = () => subscription.stats.reconnects;
  }

  /** @throws {Error} it missed something, was told of a gap, or had to come back */
  check(): void {
    const [first = ""] = this.seen;
    const [epoch, seq] = first.split("-");
    const wrong = this.seen.findIndex((position, at) => position !== `${epoch}-${Number(seq) + at}`);
    if (wrong >= 0 || this.#gaps > 0 || this.#reconnects() > 0) {
      throw new Error(
        `after ${this.seen[wrong - 1]} came ${this.seen[wrong]}; ${this.#gaps} gaps, ${this.#reconnects()} reconnects`,
      );
    }
  }
}

function gatewayOf({ deployment }: PlannedRun, n: number): Member {
  return deployment.members.filter(({ kind }) => kind === "gateway")[n] as Member;
}
