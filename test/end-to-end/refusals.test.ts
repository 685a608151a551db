/**
 * What a gateway does with requests that it must refuse: a clear error of the right code with the right details, nothing
 * stored, and the process unharmed.
 */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import http2 from "node:http2";
import {
  type DescField,
  type DescMessage,
  type DescMethod,
  fromJson,
  getOption,
  hasOption,
  type JsonObject,
  type Message,
} from "@bufbuild/protobuf";
import { field as fieldRules, oneof as oneofRules } from "@bufbuild/protovalidate/gen/buf/validate/validate_pb.js";
import { Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { type ChatRequest, ChatRequestSchema, ChatService } from "../../gen/chat/v1/chat_pb.ts";
import { HotWordService } from "../../gen/chat/v1/hot_word_pb.ts";
import { RoomService } from "../../gen/chat/v1/room_pb.ts";
import { BadRequestSchema, ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import type { Status } from "../../gen/google/rpc/status_pb.ts";
import { type RefusalReason, refusalDomain, refusals } from "../../server/rpc/refusals.ts";
import { envelope } from "../harness/envelope-stream.ts";
import { type Gateway, startGateway } from "../harness/gateway.ts";
import { exchange } from "../harness/raw-connection.ts";
import { commandFields, roomId, rpcFields, withField } from "./invalid-fields.ts";

const openingTimeoutMs = 700;
const requestBytesMax = 64 * 1024;

let gateway: Gateway;
let transports: { name: string; transport: Transport }[];

beforeAll(async () => {
  gateway = await startGateway({ OPENING_TIMEOUT_MS: String(openingTimeoutMs) });
  const options = { baseUrl: gateway.url };
  transports = [
    { name: "gRPC", transport: createGrpcTransport(options) },
    { name: "gRPC-Web over HTTP/1.1", transport: createGrpcWebTransport({ ...options, httpVersion: "1.1" }) },
    { name: "Connect over HTTP/1.1", transport: createConnectTransport({ ...options, httpVersion: "1.1" }) },
    {
      name: "Connect in JSON over HTTP/2",
      transport: createConnectTransport({ ...options, httpVersion: "2", useBinaryFormat: false }),
    },
  ];
  await rooms().createRoom({ roomId, title: "거절" });
}, 30_000);

afterAll(async () => {
  await gateway?.stop();
}, 30_000);

/** Whatever a test did to it: the process goes on, the room holds nothing, and there is no other room. */
let expectUnharmed = true;
afterEach(async () => {
  if (!expectUnharmed) {
    return;
  }
  expect(gateway.exitCode).toBeUndefined();
  const { messages } = await chat().listMessages({ roomId });
  expect(messages).toEqual([]);
  const { rooms: all } = await rooms().listRooms({});
  expect(all.map((room) => room.roomId)).toEqual([roomId]);
});

function native(): Transport {
  return transports[0]?.transport as Transport;
}
function chat() {
  return createClient(ChatService, native());
}
function rooms() {
  return createClient(RoomService, native());
}

const methods = new Map<string, DescMethod>(
  [ChatService, RoomService, HotWordService].flatMap((service) =>
    service.methods.map((method) => [`${service.typeName}.${method.name}`, method]),
  ),
);

describe("fields", () => {
  test("the table of invalid fields leaves out no field that has rules", () => {
    for (const [name, method] of methods) {
      const tables = name === "chat.v1.ChatService.Chat" ? Object.values(commandFields) : [rpcFields[name]];
      const covered = tables.flatMap((table) => Object.keys(table?.beyond ?? {}));
      expect({ name, covered: covered.sort() }).toEqual({ name, covered: fieldsWithRules(method.input).sort() });
    }
  });

  test("a field beyond its limits is refused by name, on every protocol", async () => {
    for (const { name: protocol, transport } of transports) {
      for (const [name, { valid, beyond }] of Object.entries(rpcFields)) {
        for (const [path, value] of pairs(beyond)) {
          const what = `${protocol}: ${name} with ${path} = ${JSON.stringify(value)}`;
          const error = await refusalOf(call(transport, name, withField(valid, path, value)), what);
          expectRefusal(what, error, "INVALID_FIELD");
          expect({ what, fields: violatedFields(error) }).toEqual({ what, fields: [path] });
        }
      }
    }
  }, 60_000);

  test("a command beyond its limits is refused by name, and the two-way stream goes on", async () => {
    const bad = Object.values(commandFields).flatMap(({ valid, beyond }) =>
      [...pairs(beyond)].map(([path, value]) => ({ path, value, request: withField(valid, path, value) })),
    );
    const requests = bad.map(({ request }) => fromJson(ChatRequestSchema, request));
    const join = fromJson(ChatRequestSchema, commandFields.join?.valid ?? {});
    const leaving = new AbortController();
    const answers = chat()
      .chat(openStream([...requests, join]), { signal: leaving.signal })
      [Symbol.asyncIterator]();
    for (const { path, value } of bad) {
      const { content } = (await answers.next()).value ?? {};
      const what = `${path} = ${JSON.stringify(value)}`;
      expect({ what, answer: content?.case }).toEqual({ what, answer: "commandRefused" });
      const error = statusError(content?.value as { status?: Status });
      expectRefusal(what, error, "INVALID_FIELD");
      expect({ what, fields: violatedFields(error) }).toEqual({ what, fields: [path] });
    }
    const last = (await answers.next()).value?.content;
    expect(last?.case === "event" && last.value.kind.case).toBe("roomState");
    leaving.abort();
  }, 20_000);

  test("a page token that nobody gave out is refused", async () => {
    const error = await refusalOf(rooms().listRooms({ pageToken: "made-up" }), "made-up");
    expectRefusal("made-up page token", error, "PAGE_TOKEN_INVALID");
  });
});

describe("rooms", () => {
  test("an unknown room is refused by every rpc that names one, on every protocol", async () => {
    for (const { name: protocol, transport } of transports) {
      for (const [name, { valid }] of Object.entries(rpcFields)) {
        if (!("roomId" in valid) || name.endsWith(".CreateRoom")) {
          continue;
        }
        const what = `${protocol}: ${name}`;
        const error = await refusalOf(call(transport, name, { ...valid, roomId: "nowhere" }), what);
        expectRefusal(what, error, "ROOM_NOT_FOUND");
      }
    }
  }, 20_000);

  test("the id of a room is taken once", async () => {
    const error = await refusalOf(rooms().createRoom({ roomId, title: "again" }), "again");
    expectRefusal("again", error, "ROOM_EXISTS");
  });

  test("a change meant for another version is refused", async () => {
    const error = await refusalOf(rooms().updateRoom({ roomId, title: "later", version: 7 }), "version 7");
    expectRefusal("version 7", error, "ROOM_VERSION_MISMATCH");
    expect((await rooms().getRoom({ roomId })).room?.title).toBe("거절");
  });

  test("a cursor beyond the room's end is refused as out of range", async () => {
    const after = "999999999999999-0";
    for (const { name, transport } of transports) {
      const what = `${name}: after ${after}`;
      const error = await refusalOf(call(transport, "chat.v1.ChatService.Subscribe", { roomId, after }), what);
      expectRefusal(what, error, "POSITION_OUT_OF_RANGE");
    }
  });

  test("a stream cannot send to a room it has not joined, nor leave it, nor join one twice", async () => {
    const { send, leave, join } = commandFields;
    const requests = [send?.valid, leave?.valid, join?.valid, join?.valid].map((valid) =>
      fromJson(ChatRequestSchema, valid ?? {}),
    );
    const reasons: string[] = [];
    const leaving = new AbortController();
    for await (const { content } of chat().chat(openStream(requests), { signal: leaving.signal })) {
      if (content.case === "commandRefused") {
        reasons.push(reasonOf(statusError(content.value)) ?? "");
      }
      if (reasons.length === 3) {
        break;
      }
    }
    leaving.abort();
    expect(reasons).toEqual(["NOT_JOINED", "NOT_JOINED", "ALREADY_JOINED"]);
  });
});

describe("calls that are not as the protocols have them", () => {
  test("a message over the limit is refused on every protocol, and not read to its end", async () => {
    const text = "a".repeat(requestBytesMax * 4);
    for (const { name, transport } of transports) {
      const request = { roomId, author: { name: "a" }, text };
      const error = await refusalOf(call(transport, "chat.v1.ChatService.SendMessage", request), name);
      expect({ name, code: error.code }).toEqual({ name, code: Code.ResourceExhausted });
    }
  });

  test("an unknown method and an unknown service are unimplemented for a gRPC client, not malformed", async () => {
    for (const path of ["/chat.v1.ChatService/Shout", "/chat.v2.ChatService/SendMessage"]) {
      const { headers, trailers } = await h2Call({ ":path": path, "content-type": "application/grpc" }, envelope(""));
      expect(headers[":status"]).toBe(200);
      expect(headers["content-type"]).toStartWith("application/grpc");
      expect(String(headers["grpc-status"] ?? trailers["grpc-status"])).toBe(String(Code.Unimplemented));
    }
  });

  test("an unknown method is unimplemented over gRPC-Web and not found over Connect", async () => {
    const url = `${gateway.url}/chat.v1.ChatService/Shout`;
    const web = await fetch(url, {
      method: "POST",
      headers: { "content-type": "application/grpc-web+proto" },
      body: envelope(""),
    });
    expect(web.status).toBe(200);
    expect(web.headers.get("grpc-status")).toBe(String(Code.Unimplemented));
    const connect = await fetch(url, { method: "POST", headers: { "content-type": "application/json" }, body: "{}" });
    expect(connect.status).toBe(404);
  });

  test("a content type of no protocol is refused with 415", async () => {
    const answer = await fetch(`${gateway.url}/chat.v1.ChatService/SendMessage`, {
      method: "POST",
      headers: { "content-type": "text/plain" },
      body: "hello",
    });
    expect(answer.status).toBe(415);
  });

  test("a two-way stream over HTTP/1.1 is refused with 505", async () => {
    const answer = await fetch(`${gateway.url}/chat.v1.ChatService/Chat`, {
      method: "POST",
      headers: { "content-type": "application/connect+json" },
      body: envelope(JSON.stringify(commandFields.join?.valid)),
    });
    expect(answer.status).toBe(505);
  });

  const badBodies = [
    { what: "broken JSON", type: "application/json", body: '{"roomId": "refusals"' },
    { what: "JSON of the wrong shape", type: "application/json", body: '{"roomId": {"a": 1}}' },
    { what: "JSON with a field that nobody knows", type: "application/json", body: '{"roomID": "refusals"}' },
  ];
  test.each(badBodies)("$what is refused as an invalid argument", async ({ type, body }) => {
    const answer = await fetch(`${gateway.url}/chat.v1.ChatService/SendMessage`, {
      method: "POST",
      headers: { "content-type": type },
      body,
    });
    expect(answer.status).toBe(400);
    expect(await answer.json()).toMatchObject({ code: "invalid_argument" });
  });

  test("protobuf that cannot be parsed is refused as gRPC's status codes have it: internal", async () => {
    const answer = await fetch(`${gateway.url}/chat.v1.ChatService/SendMessage`, {
      method: "POST",
      headers: { "content-type": "application/proto" },
      body: Buffer.from([0x0a, 0xff, 0xff, 0xff, 0x7f]),
    });
    expect(await answer.json()).toMatchObject({ code: "internal", message: expect.stringContaining("parse") });
  });

  test("a compression that nobody agreed on is refused", async () => {
    const answer = await fetch(`${gateway.url}/chat.v1.ChatService/SendMessage`, {
      method: "POST",
      headers: { "content-type": "application/json", "content-encoding": "zstd" },
      body: "{}",
    });
    expect(await answer.json()).toMatchObject({ code: "unimplemented" });
  });

  test("an envelope that says it is compressed where nothing is agreed ends the call with an error", async () => {
    const lie = envelope(Buffer.from([0x0a, 0x01, 0x61]));
    lie[0] = 1;
    const path = "/chat.v1.ChatService/Subscribe";
    const { headers, trailers } = await h2Call({ ":path": path, "content-type": "application/grpc" }, lie);
    expect(String(headers["grpc-status"] ?? trailers["grpc-status"])).toBe(String(Code.Internal));
  });

  test("a deadline that passes ends a subscription with deadline exceeded, on every protocol", async () => {
    for (const { name, transport } of transports) {
      const client = createClient(ChatService, transport);
      const read = async () => {
        for await (const _ of client.subscribe({ roomId }, { timeoutMs: 200 })) {
          // Until the deadline.
        }
      };
      const error = await refusalOf(read(), name);
      expect({ name, code: error.code }).toEqual({ name, code: Code.DeadlineExceeded });
    }
  });

  test("a deadline that the gateway is told of and the client does not keep is kept by the gateway", async () => {
    const request = { ":path": "/chat.v1.ChatService/Subscribe", "content-type": "application/grpc" };
    // SubscribeRequest.room_id
    const body = envelope(Buffer.concat([Buffer.from([0x0a, roomId.length]), Buffer.from(roomId)]));
    const { headers, trailers } = await h2Call({ ...request, "grpc-timeout": "200m" }, body);
    expect(String(headers["grpc-status"] ?? trailers["grpc-status"])).toBe(String(Code.DeadlineExceeded));
  });
});

describe("connections that are not as they should be", () => {
  const send = "POST /chat.v1.ChatService/SendMessage HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n";

  test("bytes that are not HTTP get one answer and the door", async () => {
    const { received, closed } = await exchange(gateway, "\u0016\u0003\u0001 hello? is this\r\nthe chat?\r\n\r\n");
    expect(closed).toBe(true);
    expect(received).toStartWith("HTTP/1.1 400 ");
  });

  test("a request whose body is cut off by the client stores nothing", async () => {
    const body = JSON.stringify({ roomId, author: { name: "a" }, text: "half" });
    const whole = `${send}content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
    const { closed } = await exchange(gateway, whole.slice(0, -3), { halfClose: true });
    expect(closed).toBe(true);
  });

  const silent = [
    { what: "nothing", bytes: "" },
    { what: "half a request line", bytes: "POST /chat.v1" },
    { what: "half the preface of HTTP/2", bytes: "PRI * HTTP/2.0\r\n\r\nS" },
    { what: "the whole preface and not a frame", bytes: "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" },
    { what: "one letter that both begin with", bytes: "P" },
  ];
  test.each(silent)("a connection that sends $what and falls silent is closed", async ({ bytes }) => {
    const { closed } = await exchange(gateway, bytes);
    expect(closed).toBe(true);
  });

  test("an HTTP/2 connection that breaks the rules is closed, the others stay", async () => {
    const frame = Buffer.from([0, 0, 4, 0x03, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    const preface = Buffer.from(
      "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\u0000\u0000\u0000\u0004\u0000\u0000\u0000\u0000\u0000",
      "latin1",
    );
    // RST_STREAM on stream 0 is a connection error (RFC 9113, 6.4).
    const { closed } = await exchange(gateway, Buffer.concat([preface, frame]));
    expect(closed).toBe(true);
  });

  test("headers without end are refused", async () => {
    const { received, closed } = await exchange(gateway, `${send}x-long: ${"a".repeat(100_000)}\r\n\r\n`);
    expect(closed).toBe(true);
    expect(received).toMatch(/^HTTP\/1\.1 4(31|00) /);
  });
});

describe("on the limits", () => {
  test("values that stand exactly on their limits are taken", async () => {
    expectUnharmed = false;
    for (const [name, { valid, within }] of Object.entries(rpcFields)) {
      for (const [path, value] of pairs(within)) {
        const what = `${name} with ${path} = ${JSON.stringify(value)}`;
        const error = await call(native(), name, withField(valid, path, value)).catch(ConnectError.from);
        const reason = error instanceof ConnectError ? reasonOf(error) : undefined;
        expect({ what, reason }).not.toEqual({ what, reason: "INVALID_FIELD" });
      }
    }
  }, 20_000);
});

/** Calls an rpc with a request as JSON. Of a stream, the first event is the answer. */
async function call(transport: Transport, name: string, json: JsonObject): Promise<Message | undefined> {
  const method = methods.get(name) as DescMethod;
  const request = fromJson(method.input, json);
  const signal = AbortSignal.timeout(5_000);
  if (method.methodKind === "unary") {
    const { message } = await transport.unary(method as never, signal, undefined, undefined, request as never);
    return message;
  }
  const stop = new AbortController();
  const both = AbortSignal.any([signal, stop.signal]);
  const requests = (async function* () {
    yield request as never;
  })();
  const { message: events } = await transport.stream(method as never, both, undefined, undefined, requests);
  try {
    for await (const event of events) {
      return event;
    }
  } finally {
    stop.abort();
  }
  return undefined;
}

/** The error that a call must end with. @throws {Error} if it succeeds */
async function refusalOf(answer: Promise<unknown>, what: string): Promise<ConnectError> {
  const ended = await answer.then(
    (value) => ({ value }),
    (error: unknown) => ({ error }),
  );
  if ("value" in ended) {
    throw new Error(`${what}: not refused`);
  }
  return ConnectError.from(ended.error);
}

/** A refused command's status as the error that the unary call would have ended with. */
function statusError({ status }: { status?: Status | undefined }): ConnectError {
  const error = new ConnectError(status?.message ?? "", status?.code);
  for (const { typeUrl, value } of status?.details ?? []) {
    error.details.push({ type: typeUrl.slice(typeUrl.lastIndexOf("/") + 1), value });
  }
  return error;
}

function reasonOf(error: ConnectError): string | undefined {
  return error.findDetails(ErrorInfoSchema)[0]?.reason;
}

function violatedFields(error: ConnectError): string[] {
  const violations = error.findDetails(BadRequestSchema).flatMap((each) => each.fieldViolations);
  // A field may break several of its rules.
  return [...new Set(violations.map(({ field }) => field))];
}

function expectRefusal(what: string, error: ConnectError, reason: RefusalReason): void {
  const [info] = error.findDetails(ErrorInfoSchema);
  expect({ what, reason: info?.reason, domain: info?.domain, code: error.code, says: error.rawMessage !== "" }).toEqual(
    {
      what,
      reason,
      domain: refusalDomain,
      code: refusals[reason].code,
      says: true,
    },
  );
}

/** The paths of all the fields of a message that have rules of their own, through the messages it holds. */
function fieldsWithRules(message: DescMessage, prefix = ""): string[] {
  const paths = message.oneofs
    .filter((oneof) => getOption(oneof, oneofRules)?.required === true)
    .map((oneof) => `${prefix}${oneof.name}`);
  for (const field of message.fields) {
    const path = `${prefix}${field.name}`;
    if (hasRules(field)) {
      paths.push(path);
    }
    if (field.fieldKind === "message") {
      paths.push(...fieldsWithRules(field.message, `${path}.`));
    }
  }
  return paths;
}

function hasRules(field: DescField): boolean {
  return hasOption(field, fieldRules);
}

function* pairs<T>(values: Readonly<Record<string, readonly T[]>>): Iterable<[string, T]> {
  for (const [path, each] of Object.entries(values)) {
    for (const value of each) {
      yield [path, value];
    }
  }
}

/** The requests, and then no end until the reader leaves. */
async function* openStream(requests: readonly ChatRequest[]): AsyncIterable<ChatRequest> {
  yield* requests;
  await new Promise(() => {});
}

/** One HTTP/2 request and all of its answer. */
function h2Call(
  headers: http2.OutgoingHttpHeaders,
  body: Uint8Array,
): Promise<{
  headers: http2.IncomingHttpHeaders & http2.IncomingHttpStatusHeader;
  trailers: http2.IncomingHttpHeaders;
}> {
  return new Promise((resolve, reject) => {
    const session = http2.connect(gateway.url);
    session.on("error", reject);
    const stream = session.request({ ":method": "POST", te: "trailers", ...headers });
    let answered: http2.IncomingHttpHeaders & http2.IncomingHttpStatusHeader = {};
    let trailers: http2.IncomingHttpHeaders = {};
    stream.on("response", (received) => {
      answered = received;
    });
    stream.on("trailers", (received) => {
      trailers = received;
    });
    stream.on("error", reject);
    stream.on("close", () => {
      session.close();
      resolve({ headers: answered, trailers });
    });
    stream.resume();
    stream.end(body);
  });
}
