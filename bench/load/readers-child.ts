/** A process of readers: told over IPC to open them, to cut them all at once, and to finish. Reports every second. */
import { comparePositions, parsePosition } from "../../storage/position.ts";
import { Http1Subscriber } from "../wire/http1-subscriber.ts";
import { Http2Connections } from "../wire/http2-connections.ts";
import { Latency } from "./latency.ts";
import type { ReadersAnswer, ReadersCommand } from "./load-messages.ts";
import { Reading, type ReadingParts } from "./reading.ts";
import { everySecond } from "./second-cut.ts";
import { SelfWatch } from "./self-watch.ts";
import { addCounts, noFlaws } from "./sequence-check.ts";
import { Tally } from "./tally.ts";

const contentTypes = {
  connect: "application/connect+proto",
  "grpc-web": "application/grpc-web+proto",
  grpc: "application/grpc+proto",
};

/** How long the last readers of the ramp may take to be live. */
const openTimeoutMs = 60_000;

type OpenCommand = Extract<ReadersCommand, { do: "open" }>;
type FinishCommand = Extract<ReadersCommand, { do: "finish" }>;

class Readers {
  readonly #readings: Reading[] = [];
  readonly #connections: Http2Connections | undefined;
  readonly #parts: ReadingParts;
  readonly #self = new SelfWatch();
  #wake: (() => void) | undefined;
  #cancelSeconds: (() => void) | undefined;

  constructor(command: OpenCommand) {
    const connections = command.protocol === "grpc" ? new Http2Connections(command.streamsPerConnection) : undefined;
    this.#connections = connections;
    this.#parts = {
      subscribe: connections
        ? (call, events) => connections.open(call, events)
        : (call, events) => new Http1Subscriber(call, events),
      url: new URL(command.url),
      contentType: contentTypes[command.protocol],
      delivery: new Latency(),
      opening: new Latency(),
      failedOpens: new Tally(),
      errors: new Tally(),
      endings: new Tally(),
      fromUs: Number.POSITIVE_INFINITY,
      received: 0,
      live: 0,
      reconnects: 0,
      moved: () => this.#wake?.(),
    };
  }

  /** Opens all of them at an even rate. @throws {Error} where not all are live in time */
  async open(command: OpenCommand): Promise<void> {
    const startedMs = performance.now();
    while (this.#readings.length < command.readers) {
      const due = Math.ceil((command.readers * (performance.now() - startedMs)) / command.rampMs);
      while (this.#readings.length < Math.min(due, command.readers)) {
        const index = this.#readings.length;
        const roomId = command.roomIds[index % command.roomIds.length] as string;
        const reading = new Reading(this.#parts, roomId, command.slowBytesPerSecond[index]);
        this.#readings.push(reading);
        reading.open();
      }
      await Bun.sleep(5);
    }
    const live = await this.#until(() => this.#parts.live >= command.readers, openTimeoutMs);
    if (!live) {
      const said = Object.keys(this.#parts.failedOpens.toRecord()).join("; ");
      throw new Error(`${this.#parts.live} of ${command.readers} readers are live after ${openTimeoutMs} ms: ${said}`);
    }
  }

  measure(fromUs: number): void {
    const parts = this.#parts;
    parts.fromUs = fromUs;
    this.#self.take();
    this.#cancelSeconds = everySecond(fromUs, (second) => {
      tell({
        did: "read",
        second,
        received: parts.received,
        live: parts.live,
        delivery: parts.delivery.take(),
        opening: parts.opening.take(),
        self: this.#self.take(),
      });
      parts.received = 0;
    });
  }

  storm(): void {
    // One connection carries many: it is cut under all of them, and each comes back.
    this.#connections?.close();
    for (const reading of this.#readings) {
      reading.reopen();
    }
  }

  async finish({ tops, drainMs }: FinishCommand): Promise<void> {
    const positions = new Map(Object.entries(tops).map(([roomId, top]) => [roomId, parsePosition(top)]));
    const waiting = new Set(this.#readings.filter(({ isSlow }) => !isSlow));
    await this.#until(() => {
      for (const reading of waiting) {
        const top = positions.get(reading.roomId);
        const here = reading.check.cursor;
        if (reading.isLive && (!top || (here && comparePositions(here, top) >= 0))) {
          waiting.delete(reading);
        }
      }
      return waiting.size === 0;
    }, drainMs);
    this.#cancelSeconds?.();
    const quick = { ...noFlaws };
    const slow = { ...noFlaws };
    let receivedQuick = 0;
    let receivedSlow = 0;
    let notLive = 0;
    for (const reading of this.#readings) {
      const top = positions.get(reading.roomId);
      if (reading.isSlow) {
        // What a slow reader has not got yet is on its way: only holes behind its place count.
        receivedSlow += reading.received;
        addCounts(slow, reading.check.counts);
      } else {
        notLive += reading.isLive ? 0 : 1;
        receivedQuick += reading.received;
        if (top) {
          reading.check.end(top);
        }
        addCounts(quick, reading.check.counts);
      }
    }
    const { reconnects, failedOpens, errors, endings } = this.#parts;
    for (const reading of this.#readings) {
      reading.stop();
    }
    this.#connections?.close();
    this.#self.stop();
    tell({
      did: "finish",
      quick,
      slow,
      receivedQuick,
      receivedSlow,
      notLive,
      reconnects,
      failedOpens: failedOpens.toRecord(),
      errors: errors.toRecord(),
      endings: endings.toRecord(),
    });
  }

  /** Waits for a condition that a reader's progress may bring about. @returns whether it came in time */
  async #until(condition: () => boolean, timeoutMs: number): Promise<boolean> {
    const deadline = performance.now() + timeoutMs;
    while (!condition()) {
      const leftMs = deadline - performance.now();
      if (leftMs <= 0) {
        return false;
      }
      const { promise, resolve } = Promise.withResolvers<void>();
      const timer = setTimeout(resolve, Math.min(leftMs, 1_000));
      this.#wake = resolve;
      await promise;
      clearTimeout(timer);
      this.#wake = undefined;
      // Thousands move within a moment: looked at together.
      await Bun.sleep(10);
    }
    return true;
  }
}

let readers: Readers | undefined;

async function obey(command: ReadersCommand): Promise<void> {
  switch (command.do) {
    case "open":
      readers = new Readers(command);
      await readers.open(command);
      tell({ did: "open" });
      break;
    case "measure":
      readers?.measure(command.fromUs);
      break;
    case "storm":
      readers?.storm();
      break;
    case "finish":
      await readers?.finish(command);
      break;
  }
}

function tell(answer: ReadersAnswer): void {
  process.send?.(answer);
}

process.on("message", (command: ReadersCommand) => {
  obey(command).catch((error) => tell({ did: "fail", why: (error as Error).message }));
});
process.on("disconnect", () => process.exit());
