/**
 * The readers of the benchmark, in a process of their own. Told over IPC to open them, to say how many messages they
 * have, and to close them.
 */
import net from "node:net";
import { obeyParent } from "../measuring/asked-process.ts";
import { Http1Subscriber } from "./http1-subscriber.ts";
import { Http2Connection } from "./http2-connection.ts";

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

/** Open readers, however they are connected. */
interface Readers {
  counts(): number[];
  close(): void;
}

const subscribePath = "/chat.v1.ChatService/Subscribe";

/** Connections opened at once, well below a listen backlog. */
const openingAtOnce = 50;

let readers: Readers | undefined;

obeyParent(async (command: LoadCommand): Promise<Counts> => {
  if (command.do === "open") {
    readers = await open(command);
  } else if (command.do === "close") {
    readers?.close();
    readers = undefined;
  }
  const counts = readers?.counts() ?? [];
  const total = counts.reduce((sum, count) => sum + count, 0);
  return { total, fewest: Math.min(...counts), most: Math.max(...counts) };
});

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

async function openHttp1(command: OpenCommand, contentType: string): Promise<Readers> {
  const body = Buffer.from(command.request, "base64");
  const connect = () => new Http1Subscriber(command.port, subscribePath, contentType, body, command.messageBytes);
  const all = await openInTurns(command.readers, connect);
  return {
    counts: () => all.map((each) => each.counter.messages),
    close: () => closeAll(all),
  };
}

async function openHttp2(command: OpenCommand, streams: number): Promise<Readers> {
  const body = Buffer.from(command.request, "base64");
  const connect = () => new Http2Connection(command.port, subscribePath, streams, body, command.messageBytes);
  const all = await openInTurns(command.readers / streams, connect);
  return {
    counts: () => all.flatMap((each) => each.counters.map((counter) => counter.messages)),
    close: () => closeAll(all),
  };
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
