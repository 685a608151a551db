/**
 * A busy evening: the feeder plays a file of real talk at 200 messages a second into a room that 200 readers follow, on
 * every protocol. Each reader must have every message once, in the one order that the history has too.
 *
 * The file is ../shared/data/korean-chat.csv where it lies beside the repository, else the sample that the repository
 * ships; the test says which it was.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import http2 from "node:http2";
import { resolve } from "node:path";
import { create, fromBinary, fromJsonString, toBinary, toJsonString } from "@bufbuild/protobuf";
import { createClient } from "@connectrpc/connect";
import { createNodeTransport } from "../../client/node-transports.ts";
import {
  ChatService,
  SubscribeRequestSchema,
  type SubscribeResponse,
  SubscribeResponseSchema,
} from "../../gen/chat/v1/chat_pb.ts";
import { RoomService } from "../../gen/chat/v1/room_pb.ts";
import { mustRunCommand } from "../harness/command.ts";
import { EnvelopeStream, envelope } from "../harness/envelope-stream.ts";
import { type Gateway, startGateway } from "../harness/gateway.ts";
import { waitFor } from "../harness/wait-for.ts";

const root = resolve(import.meta.dir, "../..");
const talk = resolve(root, "../shared/data/korean-chat.csv");
const sample = resolve(root, "bench/feed/sample-chat.txt");
const roomId = "evening";
const messages = 2_000;
const ratePerSecond = 200;
const readersOfAKind = 50;
/** So that 50 readers over HTTP/2 are five connections. */
const streamsPerConnection = 10;
const timeoutMs = 120_000;

/** One of the four kinds of reader. */
type Kind = "connect-json" | "connect-proto" | "grpc-web" | "grpc";

/** The events of a stream, decoded once for all readers who get the same bytes. */
class Decoder {
  readonly #positions = new Map<string, string>();
  readonly #isJson: boolean;

  constructor(isJson: boolean) {
    this.#isJson = isJson;
  }

  /** The position of a message; "" for every other event. */
  position(data: Buffer): string {
    const key = `${data.length} ${Bun.hash(data)}`;
    let position = this.#positions.get(key);
    if (position === undefined) {
      const { event } = this.#decode(data);
      position = event?.kind.case === "message" ? event.position : "";
      this.#positions.set(key, position);
    }
    return position;
  }

  #decode(data: Buffer): SubscribeResponse {
    return this.#isJson
      ? fromJsonString(SubscribeResponseSchema, data.toString())
      : fromBinary(SubscribeResponseSchema, data);
  }
}

class Reader {
  readonly positions: string[] = [];
  isOpen = false;
  readonly stream: EnvelopeStream;

  constructor(decoder: Decoder) {
    this.stream = new EnvelopeStream((flags, data) => {
      expect(flags, "an envelope that ends the stream").toBe(0);
      this.isOpen = true;
      const position = decoder.position(data);
      if (position !== "") {
        this.positions.push(position);
      }
    });
  }
}

let gateway: Gateway;
const stopping = new AbortController();
const sessions: http2.ClientHttp2Session[] = [];

beforeAll(async () => {
  gateway = await startGateway();
  await createClient(RoomService, createNodeTransport({ baseUrl: gateway.url, protocol: "connect" })).createRoom({
    roomId,
    title: "A busy evening",
  });
});

afterAll(async () => {
  stopping.abort();
  for (const session of sessions) {
    session.destroy();
  }
  await gateway?.stop();
});

const path = `/${ChatService.typeName}/${ChatService.method.subscribe.name}`;
const contentType: Record<Kind, string> = {
  "connect-json": "application/connect+json",
  "connect-proto": "application/connect+proto",
  "grpc-web": "application/grpc-web+proto",
  grpc: "application/grpc+proto",
};

function request(kind: Kind): Buffer<ArrayBuffer> {
  const message = create(SubscribeRequestSchema, { roomId });
  const isJson = kind === "connect-json";
  return envelope(isJson ? toJsonString(SubscribeRequestSchema, message) : toBinary(SubscribeRequestSchema, message));
}

/** Over HTTP/1.1, a connection each. */
async function readHttp1(kind: Kind, reader: Reader): Promise<void> {
  const response = await fetch(gateway.url + path, {
    method: "POST",
    headers: { "content-type": contentType[kind], "connect-protocol-version": "1" },
    body: request(kind),
    signal: stopping.signal,
    keepalive: false,
  });
  const body = response.body as ReadableStream<Uint8Array>;
  const read = async () => {
    for await (const chunk of body) {
      reader.stream.push(chunk);
    }
  };
  read().catch((error) => {
    if (!stopping.signal.aborted) {
      throw error;
    }
  });
}

/** Over HTTP/2, ten on a connection. */
function readHttp2(session: http2.ClientHttp2Session, reader: Reader): void {
  const stream = session.request({
    ":method": "POST",
    ":path": path,
    "content-type": contentType.grpc,
    te: "trailers",
  });
  stream.on("data", (chunk: Buffer) => reader.stream.push(chunk));
  stream.on("error", () => {});
  stream.end(request("grpc"));
}

test(
  "every reader of a busy room sees every message once and in order, on all protocols",
  async () => {
    const readers: Reader[] = [];
    for (const kind of ["connect-json", "connect-proto", "grpc-web", "grpc"] as const) {
      const decoder = new Decoder(kind === "connect-json");
      for (let index = 0; index < readersOfAKind; index++) {
        const reader = new Reader(decoder);
        readers.push(reader);
        if (kind !== "grpc") {
          await readHttp1(kind, reader);
          continue;
        }
        if (index % streamsPerConnection === 0) {
          sessions.push(http2.connect(gateway.url));
        }
        readHttp2(sessions.at(-1) as http2.ClientHttp2Session, reader);
      }
    }
    await waitFor("all readers are in the room", () => readers.every(({ isOpen }) => isOpen), timeoutMs);

    const file = existsSync(talk) ? talk : sample;
    console.log(
      `feeding ${messages} lines of ${file === talk ? "korean-chat.csv" : "the sample: korean-chat.csv is not here"}`,
    );
    const feed = [
      process.execPath,
      "bench/feed/main.ts",
      "--url",
      gateway.url,
      "--room",
      roomId,
      "--file",
      file,
      "--loop",
    ];
    const pace = ["--rate", String(ratePerSecond), "--count", String(messages), "--users", "500"];
    const summary = await mustRunCommand([...feed, ...pace], { timeoutMs });
    expect(summary).toContain(String(messages));

    await waitFor(
      "all readers have all messages",
      () => readers.every(({ positions }) => positions.length >= messages),
      timeoutMs,
    );
    const kept = await allPositions();
    expect(kept).toHaveLength(messages);
    for (const { positions } of readers) {
      expect(positions).toEqual(kept);
    }
  },
  2 * timeoutMs,
);

/** The room as its history has it, oldest first. */
async function allPositions(): Promise<string[]> {
  const chat = createClient(ChatService, createNodeTransport({ baseUrl: gateway.url, protocol: "connect" }));
  const positions: string[] = [];
  let cursor: { case: "before"; value: string } | { case: undefined } = { case: undefined };
  for (;;) {
    const page = await chat.listMessages({ roomId, pageSize: 200, cursor });
    positions.unshift(...page.messages.map(({ position }) => position));
    if (page.older === "") {
      return positions;
    }
    cursor = { case: "before", value: page.older };
  }
}
