/**
 * The readers of the benchmark, in a process of their own. Told over IPC to open them, to say how many messages they
 * have, and to close them.
 */
import net from "node:net";
import { endingFlags } from "../wire/envelope-reader.ts";
import { Http1Subscriber } from "../wire/http1-subscriber.ts";
import { Http2Connections } from "../wire/http2-connections.ts";
import type { SubscribeCall, Subscriber, SubscriberEvents } from "../wire/subscriber.ts";

/** How readers are connected. */
export type Way = "floor" | "http1-connect" | "http1-grpc-web" | "http2-1" | "http2-50";

interface OpenCommand {
  do: "open";
  way: Way;
  port: number;
  readers: number;
  /** A chat.v1.SubscribeRequest in its envelope, base64. */
  request: string;
  /** An envelope of this length or longer is a message; at the floor, every message has this length. */
  messageBytes: number;
}

export type LoadCommand = OpenCommand | { do: "count" } | { do: "close" };

/** Messages of all readers together, and of those that have the fewest and the most. */
export interface Counts {
  total: number;
  fewest: number;
  most: number;
}

export type LoadAnswer = { done: "open" | "close" } | { done: "count"; counts: Counts } | { failed: string };

/** Open readers, however they are connected. */
interface Readers {
  counts(): number[];
  close(): void;
}

const subscribePath = "/chat.v1.ChatService/Subscribe";

/** Connections opened at once, well below a listen backlog. */
const openingAtOnce = 50;

let readers: Readers | undefined;

process.on("message", async (command: LoadCommand) => {
  try {
    process.send?.(await obey(command));
  } catch (error) {
    process.send?.({ failed: (error as Error).message } satisfies LoadAnswer);
  }
});
process.on("disconnect", () => process.exit());

async function obey(command: LoadCommand): Promise<LoadAnswer> {
  if (command.do === "open") {
    readers = await open(command);
    return { done: "open" };
  }
  if (command.do === "close") {
    readers?.close();
    readers = undefined;
    return { done: "close" };
  }
  const counts = readers?.counts() ?? [];
  const total = counts.reduce((sum, count) => sum + count, 0);
  return { done: "count", counts: { total, fewest: Math.min(...counts), most: Math.max(...counts) } };
}

function open(command: OpenCommand): Promise<Readers> {
  switch (command.way) {
    case "floor":
      return openFloor(command);
    case "http1-connect":
      return openHttp1(command, "application/connect+proto");
    case "http1-grpc-web":
      return openHttp1(command, "application/grpc-web+proto");
    case "http2-1":
      return openHttp2(command, 1);
    case "http2-50":
      return openHttp2(command, 50);
  }
}

function subscribeCall(command: OpenCommand, contentType: string): SubscribeCall {
  const url = new URL(`http://127.0.0.1:${command.port}`);
  return { url, path: subscribePath, contentType, body: Buffer.from(command.request, "base64") };
}

async function openHttp1(command: OpenCommand, contentType: string): Promise<Readers> {
  const call = subscribeCall(command, contentType);
  const connect = () => new CountingReader(command.messageBytes, (events) => new Http1Subscriber(call, events));
  return readersOf(await openInTurns(command.readers, connect));
}

async function openHttp2(command: OpenCommand, streams: number): Promise<Readers> {
  const call = subscribeCall(command, "application/grpc+proto");
  const connections = new Http2Connections(streams);
  const connect = () => new CountingReader(command.messageBytes, (events) => connections.open(call, events));
  const { counts } = readersOf(await openInTurns(command.readers, connect));
  return { counts, close: () => connections.close() };
}

function readersOf(all: readonly CountingReader[]): Readers {
  return { counts: () => all.map(({ messages }) => messages), close: () => closeAll(all) };
}

/**
 * Counts messages and looks at nothing inside: the benchmark's messages all carry the same long text; room states,
 * heartbeats and counts are shorter.
 */
class CountingReader {
  messages = 0;
  /** Resolves with the first envelope: the subscription is open. */
  readonly opened: Promise<void>;
  readonly #subscriber: Subscriber;

  constructor(messageBytesMin: number, subscribe: (events: SubscriberEvents) => Subscriber) {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.opened = promise;
    this.#subscriber = subscribe({
      envelope: (flags, _bytes, start, end) => {
        resolve();
        this.messages += (flags & endingFlags) === 0 && end - start >= messageBytesMin ? 1 : 0;
      },
      closed: (why) => reject(new Error(`the gateway ended a reader: ${why}`)),
    });
  }

  close(): void {
    this.#subscriber.close();
  }
}

async function openFloor(command: OpenCommand): Promise<Readers> {
  const all = await openInTurns(command.readers, () => new FloorReader(command.port));
  return {
    counts: () => all.map((each) => Math.floor(each.bytes / command.messageBytes)),
    close: () => closeAll(all),
  };
}

/** A reader at the floor: counts bytes after the first, which says that it is in. */
class FloorReader {
  bytes = -1;
  readonly opened: Promise<void>;
  readonly #socket: net.Socket;

  constructor(port: number) {
    this.#socket = net.connect({ host: "127.0.0.1", port, noDelay: true });
    this.opened = new Promise((resolve, reject) => {
      this.#socket.once("error", reject);
      this.#socket.on("data", (data) => {
        this.bytes += data.length;
        resolve();
      });
    });
  }

  close(): void {
    this.#socket.destroy();
  }
}

async function openInTurns<T extends { opened: Promise<void> }>(count: number, connect: () => T): Promise<T[]> {
  const all: T[] = [];
  while (all.length < count) {
    const turn = Array.from({ length: Math.min(openingAtOnce, count - all.length) }, connect);
    await Promise.all(turn.map((each) => each.opened));
    all.push(...turn);
  }
  return all;
}

function closeAll(all: readonly { close(): void }[]): void {
  for (const each of all) {
    each.close();
  }
}
