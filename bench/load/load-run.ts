/**
 * One run of the load tool: makes the rooms, starts the processes, leads them through ramp, warm-up, measured part and drain,
 * and puts together what they say. Owns the processes and the result.
 */
import { createClient } from "@connectrpc/connect";
import { createNodeTransport } from "../../client/node-transports.ts";
import { RoomService } from "../../gen/chat/v1/room_pb.ts";
import { comparePositions, parsePosition } from "../../storage/position.ts";
import { provideRoom } from "../provide-room.ts";
import { ChildProcess } from "./child-processes.ts";
import type {
  ReadersAnswer,
  ReadersCommand,
  ReadersEnd,
  SendCommand,
  SendersAnswer,
  SendersCommand,
  SendersEnd,
} from "./load-messages.ts";
import type { LoadOptions } from "./load-options.ts";
import { type LoadResult, loadResult } from "./load-result.ts";
import { everySecond } from "./second-cut.ts";
import { ServerWatch } from "./server-watch.ts";
import { nowUs } from "./shared-clock.ts";
import { Timeline } from "./timeline.ts";
import { untilUs } from "./timetable.ts";

/** For the processes to get their commands before the first message is due. */
const leadUs = 200_000;
/** Beyond the drain, for everything to be told. */
const finishTimeoutMs = 60_000;
/** What one process sends with ease. */
const sendersPerProcess = 1_000;
const ratePerProcess = 1_500;

type Phase = "rooms" | "ramp" | "warm-up" | "load" | "drain" | "done";

export class LoadRun {
  readonly #options: LoadOptions;
  readonly #runId = Date.now().toString(36);
  readonly #timeline = new Timeline();
  readonly #readers: ChildProcess<ReadersCommand, ReadersAnswer>[] = [];
  readonly #senders: ChildProcess<SendersCommand, SendersAnswer>[] = [];
  readonly #readersOpen: Promise<void>[] = [];
  readonly #readersEnd: Promise<ReadersEnd>[] = [];
  readonly #sendersEnd: Promise<SendersEnd>[] = [];
  readonly #failed = Promise.withResolvers<never>();
  readonly #rooms;
  #phase: Phase = "rooms";
  #interrupted = Promise.withResolvers<void>();

  constructor(options: LoadOptions) {
    this.#options = options;
    const httpVersion = options.protocol === "grpc" ? "2" : "1.1";
    this.#rooms = createClient(
      RoomService,
      createNodeTransport({ baseUrl: options.url, protocol: options.protocol, httpVersion }),
    );
    // Whoever waits is told; nobody need wait.
    this.#failed.promise.catch(() => {});
  }

  /** Ends the load before its time; what was sent is still checked. */
  interrupt(): void {
    this.#interrupted.resolve();
  }

  /** @throws {Error} where it could not be run */
  async run(): Promise<LoadResult> {
    const { room, rooms, roomPrefix, url } = this.#options;
    const roomIds = room
      ? [room]
      : Array.from({ length: rooms }, (_, index) => `${roomPrefix}-${this.#runId}-${index + 1}`.slice(-64));
    const created: string[] = [];
    try {
      for (const roomId of roomIds) {
        if (await provideRoom(this.#rooms, url, roomId)) {
          created.push(roomId);
        }
      }
      return await Promise.race([this.#load(roomIds), this.#failed.promise]);
    } finally {
      for (const child of [...this.#readers, ...this.#senders]) {
        child.stop();
      }
      await Promise.allSettled(created.map((roomId) => this.#rooms.closeRoom({ roomId }, { timeoutMs: 10_000 })));
      this.#phase = "done";
    }
  }

  /** One line for the moment. */
  progressLine(): string {
    const last = this.#timeline.last;
    const at = (percent: number) => (this.#timeline.delivery.at(percent) / 1_000).toFixed(1);
    const server = last?.server?.cpu;
    return [
      this.#phase,
      ...(last ? [`${last.second + 1} s`, `${last.live} readers`, `${last.accepted}/s sent`] : []),
      ...(last ? [`${last.delivered}/s delivered`, `p50 ${at(50)} ms  p99 ${at(99)} ms`] : []),
      ...(server !== undefined ? [`server ${(server * 100).toFixed(0)} %`] : []),
    ].join("  ");
  }

  async #load(roomIds: string[]): Promise<LoadResult> {
    const { rampMs, warmUpMs, durationMs, stormMs, drainMs, pid } = this.#options;
    const server = new ServerWatch(pid);
    this.#phase = "ramp";
    this.#startReaders(roomIds, rampMs);
    await Promise.all(this.#readersOpen);
    const startUs = nowUs() + leadUs;
    const fromUs = startUs + warmUpMs * 1_000;
    const endUs = fromUs + durationMs * 1_000;
    for (const readers of this.#readers) {
      readers.tell({ do: "measure", fromUs });
    }
    this.#phase = "warm-up";
    this.#startSenders(roomIds, { startUs, fromUs, endUs });
    server.take();
    const stopSeconds = everySecond(fromUs, (second) => this.#timeline.takeServer(second, server.take()));
    const storms = this.#storms(fromUs, endUs, stormMs);
    await Promise.race([untilUs(fromUs), this.#interrupted.promise]);
    this.#phase = "load";
    const cpuBefore = server.cpuMs;
    await Promise.race([untilUs(endUs), this.#interrupted.promise]);
    const cpuAfter = server.cpuMs;
    const measuredMs = (Math.min(nowUs(), endUs) - fromUs) / 1_000;
    if (nowUs() < endUs) {
      for (const senders of this.#senders) {
        senders.tell({ do: "stop" });
      }
    }
    const sendersEnd = await within(Promise.all(this.#sendersEnd), finishTimeoutMs, "the senders' processes");
    this.#phase = "drain";
    await storms;
    const tops = newestPositions(sendersEnd);
    for (const readers of this.#readers) {
      readers.tell({ do: "finish", tops, drainMs });
    }
    const readersEnd = await within(Promise.all(this.#readersEnd), drainMs + finishTimeoutMs, "the readers' processes");
    stopSeconds();
    return loadResult({
      options: this.#options,
      timeline: this.#timeline,
      measuredMs,
      serverCpuMs: cpuBefore === undefined || cpuAfter === undefined ? undefined : cpuAfter - cpuBefore,
      readers: readersEnd,
      senders: sendersEnd,
    });
  }

  #startReaders(roomIds: string[], rampMs: number): void {
    const { url, protocol, streamsPerConnection, subscribers, slow, processes } = this.#options;
    const speeds = slow.flatMap(({ readers, bytesPerSecond }) => Array<number>(readers).fill(bytesPerSecond));
    for (let index = 0; index < Math.min(processes, subscribers); index++) {
      const readers = share(subscribers, processes, index);
      const slowBytesPerSecond = speeds.splice(0, share(speeds.length, processes - index, 0));
      const open = Promise.withResolvers<void>();
      const end = Promise.withResolvers<ReadersEnd>();
      this.#readersOpen.push(open.promise);
      this.#readersEnd.push(end.promise);
      const child = new ChildProcess<ReadersCommand, ReadersAnswer>(
        "readers-child.ts",
        (answer) => {
          if (answer.did === "open") {
            open.resolve();
          } else if (answer.did === "read") {
            this.#timeline.takeReaders(answer);
          } else if (answer.did === "finish") {
            end.resolve(answer);
          } else {
            this.#failed.reject(new Error(answer.why));
          }
        },
        (why) => this.#failed.reject(new Error(why)),
      );
      this.#readers.push(child);
      child.tell({
        do: "open",
        url,
        protocol,
        streamsPerConnection,
        // Each process begins with another room, so that rooms are equally full.
        roomIds: [...roomIds.slice(index % roomIds.length), ...roomIds.slice(0, index % roomIds.length)],
        readers,
        slowBytesPerSecond,
        rampMs,
      });
    }
  }

  #startSenders(roomIds: string[], times: Pick<SendCommand, "startUs" | "fromUs" | "endUs">): void {
    const { url, protocol, senders, rate, loop, inFlight, messageBytes } = this.#options;
    if (rate === 0) {
      return;
    }
    const processes = Math.min(
      senders,
      Math.max(1, Math.ceil(senders / sendersPerProcess), Math.ceil((rate ?? 0) / ratePerProcess)),
    );
    for (let index = 0; index < processes; index++) {
      const own = share(senders, processes, index);
      const ownRate = rate === undefined ? undefined : (rate * own) / senders;
      const end = Promise.withResolvers<SendersEnd>();
      this.#sendersEnd.push(end.promise);
      const child = new ChildProcess<SendersCommand, SendersAnswer>(
        "senders-child.ts",
        (answer) => {
          if (answer.did === "send") {
            this.#timeline.takeSenders(answer);
          } else if (answer.did === "finish") {
            end.resolve(answer);
          } else {
            this.#failed.reject(new Error(answer.why));
          }
        },
        (why) => this.#failed.reject(new Error(why)),
      );
      this.#senders.push(child);
      child.tell({
        do: "send",
        url,
        protocol,
        roomIds,
        senders: own,
        process: index,
        runId: this.#runId,
        rate: ownRate,
        loop,
        inFlight: Math.ceil(inFlight / processes),
        messageBytes,
        ...times,
        // One after the other, and not all at the same moment.
        startUs: times.startUs + (rate ? (index * 1e6) / rate : 0),
      });
    }
  }

  /** Resolves after the last storm. */
  async #storms(fromUs: number, endUs: number, stormMs: number | undefined): Promise<void> {
    if (stormMs === undefined) {
      return;
    }
    for (let atUs = fromUs + stormMs * 1_000; atUs < endUs; atUs += stormMs * 1_000) {
      const isOver = await Promise.race([
        untilUs(atUs).then(() => false),
        this.#interrupted.promise.then(() => true),
        this.#failed.promise.catch(() => true),
      ]);
      if (isOver) {
        return;
      }
      for (const readers of this.#readers) {
        readers.tell({ do: "storm" });
      }
    }
  }
}

/** How many of `count` are the part of one of `parts`. */
function share(count: number, parts: number, index: number): number {
  return Math.floor((count * (index + 1)) / parts) - Math.floor((count * index) / parts);
}

function newestPositions(senders: readonly SendersEnd[]): Record<string, string> {
  const newest: Record<string, string> = {};
  for (const [roomId, top] of senders.flatMap(({ tops }) => Object.entries(tops))) {
    const known = newest[roomId];
    if (known === undefined || comparePositions(parsePosition(top), parsePosition(known)) > 0) {
      newest[roomId] = top;
    }
  }
  return newest;
}

async function within<T>(promise: Promise<T>, timeoutMs: number, who: string): Promise<T> {
  let timer: Timer | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${who} did not finish within ${timeoutMs} ms`)), timeoutMs);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}
