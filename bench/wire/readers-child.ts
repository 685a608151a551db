/**
 * The readers of a bench, in a process of their own. Told over IPC to open them, to say what they have, and to close them.
 * Each message is looked at: when it was due, and whether it is the next.
 */
import { Latency } from "../load/latency.ts";
import { type ScannedMessage, scanMessage } from "../load/message-scan.ts";
import { addCounts, noFlaws, SequenceCheck, type SequenceCounts } from "../load/sequence-check.ts";
import { nowUs } from "../load/shared-clock.ts";
import { obeyParent } from "../measuring/asked-process.ts";
import { endingFlags } from "./envelope-reader.ts";
import { Http1Subscriber } from "./http1-subscriber.ts";
import { Http2Connections } from "./http2-connections.ts";
import { scanMarked } from "./publication.ts";
import { RawSubscriber } from "./raw-subscriber.ts";
import type { Subscriber, SubscriberEvents } from "./subscriber.ts";
import { type Dialogue, WebSocketSubscriber } from "./websocket-subscriber.ts";

/** How readers are connected. */
export type Wire =
  | { kind: "raw"; messageBytes: number }
  | { kind: "connect" | "grpc-web"; path: string; request: string }
  | { kind: "grpc"; path: string; request: string; streamsPerConnection: number }
  | { kind: "websocket"; speaks: Speech };

/** What is spoken over WebSocket. */
type Speech = "nothing else" | "centrifugo" | "socket.io";

export interface OpenCommand {
  do: "open";
  wire: Wire;
  port: number;
  readers: number;
  /** Whether it is the gateway's events that come, or marked messages (`publication.ts`). */
  isChat: boolean;
}

export type ReadersCommand =
  | OpenCommand
  /** Latencies count for what is due from then on, and not before. */
  | { do: "measure"; fromUs: number }
  | { do: "count" }
  | { do: "close" };

/** Messages of all readers together, and of those that have the fewest and the most. */
export interface Counts {
  total: number;
  fewest: number;
  most: number;
  flaws: SequenceCounts;
}

export type ReadersAnswer =
  | { done: "open" | "measure" }
  | { done: "count"; counts: Counts }
  | { done: "close"; delivery: string | undefined };

const contentTypes = {
  connect: "application/connect+proto",
  "grpc-web": "application/grpc-web+proto",
  grpc: "application/grpc+proto",
};

const dialogues: Record<Speech, Dialogue> = {
  "nothing else": { path: "/", greeting: [], answer: () => undefined },
  centrifugo: {
    path: "/connection/websocket",
    greeting: ['{"id":1,"connect":{}}\n{"id":2,"subscribe":{"channel":"bench"}}'],
    answer: (text) => (text === "{}" ? "{}" : undefined),
  },
  "socket.io": {
    path: "/socket.io/?EIO=4&transport=websocket",
    greeting: ["40"],
    answer: (text) => (text === "2" ? "3" : undefined),
  },
};

/** What comes before a reader is in: a hello, or the room's state and the heartbeat when it is live. */
function hellosOf({ wire, isChat }: OpenCommand): number {
  return isChat || (wire.kind === "websocket" && wire.speaks !== "nothing else") ? 2 : 1;
}

/** Connections opened at once, well below a listen backlog. */
const openingAtOnce = 50;
const openTimeoutMs = 30_000;

const scanned: ScannedMessage = { epoch: 0, seq: 0, dueUs: 0 };

class BenchReader {
  messages = 0;
  readonly check = new SequenceCheck();
  readonly opened: Promise<void>;
  readonly #subscriber: Subscriber;

  constructor(command: OpenCommand, parts: Readers, subscribe: (events: SubscriberEvents) => Subscriber) {
    const { isChat } = command;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.opened = promise;
    let awaited = hellosOf(command);
    const take = (dueUs: number, seq: number) => {
      this.messages++;
      this.check.take(1, seq);
      parts.record(dueUs);
    };
    this.#subscriber = subscribe({
      envelope: (flags, bytes, start, end) => {
        if ((flags & endingFlags) !== 0) {
          parts.fail(`the server ended a reader: ${bytes.toString("utf8", start, Math.min(end, start + 200))}`);
        } else if (isChat && scanMessage(bytes, start, end, scanned)) {
          take(scanned.dueUs, scanned.seq);
        } else if (!isChat) {
          scanMarked(bytes, start, end, take);
        }
        if (awaited > 0) {
          // Centrifugo may give two answers in one frame.
          awaited -= !isChat && bytes.indexOf('"id":2', start) !== -1 ? 2 : 1;
          if (awaited <= 0) {
            resolve();
          }
        }
      },
      closed: (why) => {
        const error = new Error(`the server ended a reader: ${why}`);
        reject(error);
        parts.fail(error.message);
      },
    });
  }

  close(): void {
    this.#subscriber.close();
  }
}

class Readers {
  readonly #all: BenchReader[] = [];
  readonly #delivery = new Latency();
  #fromUs = Number.POSITIVE_INFINITY;
  #connections: Http2Connections | undefined;
  #failed: string | undefined;
  #isClosed = false;

  async open(command: OpenCommand): Promise<void> {
    const subscribe = this.#way(command);
    const timer = AbortSignal.timeout(openTimeoutMs);
    while (this.#all.length < command.readers && !timer.aborted) {
      const turn = Array.from(
        { length: Math.min(openingAtOnce, command.readers - this.#all.length) },
        () => new BenchReader(command, this, subscribe),
      );
      this.#all.push(...turn);
      await Promise.race([Promise.all(turn.map(({ opened }) => opened)), Bun.sleep(openTimeoutMs)]);
    }
    if (timer.aborted) {
      throw new Error(`${this.#all.length} of ${command.readers} readers after ${openTimeoutMs} ms`);
    }
  }

  measure(fromUs: number): void {
    this.#fromUs = fromUs;
  }

  record(dueUs: number): void {
    if (dueUs >= this.#fromUs) {
      this.#delivery.record(nowUs() - dueUs);
    }
  }

  /** Said with the next count. */
  fail(why: string): void {
    this.#failed ??= this.#isClosed ? undefined : why;
  }

  /** @throws {Error} where a reader was ended */
  counts(): Counts {
    if (this.#failed !== undefined) {
      throw new Error(this.#failed);
    }
    const messages = this.#all.map((each) => each.messages);
    const flaws = { ...noFlaws };
    for (const { check } of this.#all) {
      addCounts(flaws, check.counts);
    }
    const total = messages.reduce((sum, count) => sum + count, 0);
    return { total, fewest: Math.min(...messages), most: Math.max(...messages), flaws };
  }

  /** @returns the latencies */
  close(): string | undefined {
    this.#isClosed = true;
    for (const each of this.#all) {
      each.close();
    }
    this.#connections?.close();
    return this.#delivery.take();
  }

  #way({ wire, port }: OpenCommand): (events: SubscriberEvents) => Subscriber {
    const url = new URL(`http://127.0.0.1:${port}`);
    if (wire.kind === "raw") {
      return (events) => new RawSubscriber(url, wire.messageBytes, events);
    }
    if (wire.kind === "websocket") {
      return (events) => new WebSocketSubscriber(url, dialogues[wire.speaks], events);
    }
    const body = Buffer.from(wire.request, "base64");
    const call = { url, path: wire.path, contentType: contentTypes[wire.kind], body };
    if (wire.kind !== "grpc") {
      return (events) => new Http1Subscriber(call, events);
    }
    const connections = new Http2Connections(wire.streamsPerConnection);
    this.#connections = connections;
    return (events) => connections.open(call, events);
  }
}

let readers = new Readers();

async function obey(command: ReadersCommand): Promise<ReadersAnswer> {
  switch (command.do) {
    case "open":
      readers = new Readers();
      await readers.open(command);
      return { done: "open" };
    case "measure":
      readers.measure(command.fromUs);
      return { done: "measure" };
    case "count":
      return { done: "count", counts: readers.counts() };
    case "close":
      return { done: "close", delivery: readers.close() };
  }
}

obeyParent(obey);
