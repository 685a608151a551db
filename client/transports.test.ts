/** The client over real sockets: every protocol, and connections that break in the ways connections break. */
import { afterEach, describe, expect, test } from "bun:test";
import { once } from "node:events";
import { createServer as createHttp1Server } from "node:http";
import { createServer as createHttp2Server } from "node:http2";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import type { Transport } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { ChatClient } from "./chat-client.ts";
import { ChatStream } from "./chat-stream.ts";
import { until } from "./fake-clock.ts";
import { FakeGateway } from "./fake-gateway.ts";
import { createNodeTransport, type NodeTransportOptions } from "./node-transports.ts";
import { createWebTransport } from "./web-transports.ts";

const cleanups: (() => void)[] = [];

afterEach(() => {
  for (const cleanup of cleanups.splice(0)) {
    cleanup();
  }
});

/** What the responses of both versions have in common. */
interface Answer {
  writeHead(status: number, headers: Record<string, string>): unknown;
  end(body: Buffer): unknown;
}

/** @returns the port */
async function serve(gateway: FakeGateway, httpVersion: "1.1" | "2"): Promise<number> {
  const handler = connectNodeAdapter({ routes: (router) => gateway.routes(router) });
  const server = httpVersion === "2" ? createHttp2Server(handler) : createHttp1Server(handler);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  cleanups.push(() => server.close());
  return (server.address() as AddressInfo).port;
}

/** A line that can be cut (both ends see it) or fall deaf (neither does, and no byte passes any more). */
async function line(targetPort: number) {
  const pairs = new Set<[Socket, Socket]>();
  let connections = 0;
  const server: Server = createServer((near) => {
    connections += 1;
    const far = connect(targetPort, "127.0.0.1");
    const pair: [Socket, Socket] = [near, far];
    pairs.add(pair);
    near.pipe(far);
    far.pipe(near);
    for (const socket of pair) {
      socket.on("error", () => {});
      socket.on("close", () => {
        near.destroy();
        far.destroy();
        pairs.delete(pair);
      });
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const cut = () => {
    for (const [near, far] of [...pairs]) {
      near.destroy();
      far.destroy();
    }
  };
  cleanups.push(() => {
    cut();
    server.close();
  });
  return {
    baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    connections: () => connections,
    cut,
    deafen() {
      for (const [near, far] of pairs) {
        near.unpipe(far);
        far.unpipe(near);
        near.pause();
        far.pause();
      }
    },
  };
}

type Way = [string, "1.1" | "2", (baseUrl: string) => Transport];

const node =
  (options: Omit<NodeTransportOptions, "baseUrl">) =>
  (baseUrl: string): Transport =>
    createNodeTransport({ baseUrl, pingIntervalMs: 50, pingTimeoutMs: 50, ...options });

const ways: Way[] = [
  ["gRPC", "2", node({ protocol: "grpc" })],
  ["gRPC-Web over HTTP/2", "2", node({ protocol: "grpc-web" })],
  ["Connect over HTTP/2", "2", node({ protocol: "connect" })],
  ["Connect JSON over HTTP/1.1", "1.1", node({ protocol: "connect", httpVersion: "1.1", useJson: true })],
  ["gRPC-Web over HTTP/1.1", "1.1", node({ protocol: "grpc-web", httpVersion: "1.1" })],
  ["Connect over fetch", "1.1", (baseUrl) => createWebTransport({ baseUrl })],
  ["gRPC-Web over fetch", "1.1", (baseUrl) => createWebTransport({ baseUrl, protocol: "grpc-web" })],
];

const retry = { baseMs: 1 };

describe.each(ways)("over %s", (_, httpVersion, transportTo) => {
  test("a room is read and written, and resumed on a new connection when the line is cut", async () => {
    const gateway = new FakeGateway();
    const { baseUrl, cut } = await line(await serve(gateway, httpVersion));
    const chat = new ChatClient({ transport: transportTo(baseUrl), retry });
    const texts: string[] = [];
    const reading = chat.subscribe("lobby", { start: { tail: 9 }, onMessage: ({ text }) => texts.push(text) });
    await until(() => reading.state.kind === "live");
    await chat.send({ roomId: "lobby", text: "안녕 👋", author: { name: "민수" } });
    await until(() => texts.length === 1);
    cut();
    gateway.say("그 사이");
    await until(() => reading.stats.reconnects === 1 && texts.length === 2);
    await chat.send({ roomId: "lobby", text: "다시", author: { name: "민수" } });
    await until(() => texts.length === 3);
    expect(texts).toEqual(["안녕 👋", "그 사이", "다시"]);
    reading.stop();
  });

  test("a stream that ends within a message is opened again", async () => {
    let streams = 0;
    // One that does not say so, as of a gateway that ends while the message is on its way.
    const answer = (request: { headers: { "content-type"?: string | undefined } }, response: Answer) => {
      streams += 1;
      response.writeHead(200, { "content-type": request.headers["content-type"] ?? "" });
      response.end(Buffer.of(0, 0, 0, 0, 50, 1, 2, 3));
    };
    const server = httpVersion === "2" ? createHttp2Server(answer) : createHttp1Server(answer);
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    cleanups.push(() => server.close());
    const { port } = server.address() as AddressInfo;
    const chat = new ChatClient({ transport: transportTo(`http://127.0.0.1:${port}`), retry });
    const reading = chat.subscribe("lobby", { start: { tail: 9 }, onMessage: () => {} });
    await until(() => streams > 2);
    reading.stop();
    expect(await reading.done).toEqual({ kind: "stopped" });
  });

  test("a line that falls deaf is left for a new one", async () => {
    const gateway = new FakeGateway();
    const { baseUrl, deafen, connections } = await line(await serve(gateway, httpVersion));
    const chat = new ChatClient({ transport: transportTo(baseUrl), retry });
    const texts: string[] = [];
    const reading = chat.subscribe("lobby", {
      start: { tail: 9 },
      heartbeatTimeoutMs: 200,
      firstEventTimeoutMs: 200,
      onMessage: ({ text }) => texts.push(text),
    });
    await until(() => reading.state.kind === "live");
    const before = connections();
    deafen();
    gateway.say("들려?");
    await until(() => texts.length === 1, "the message arrives over another connection", 10_000);
    expect(connections()).toBeGreaterThan(before);
    reading.stop();
  });
});

test("over gRPC, a two-way stream goes on over a new connection, and its send arrives once", async () => {
  const gateway = new FakeGateway();
  const { baseUrl, cut, deafen } = await line(await serve(gateway, "2"));
  const texts: string[] = [];
  const stream = new ChatStream({
    transport: node({})(baseUrl),
    author: { name: "민수" },
    retry,
    heartbeatTimeoutMs: 200,
    firstEventTimeoutMs: 200,
  });
  stream.join("lobby", { start: { tail: 9 }, onMessage: ({ text }) => texts.push(text) });
  await until(() => stream.state.kind === "live");
  deafen();
  await stream.send("lobby", "하나");
  cut();
  await stream.send("lobby", "둘");
  await until(() => texts.length === 2);
  expect(texts).toEqual(["하나", "둘"]);
  expect(gateway.log.length).toBe(2);
  expect(await stream.close()).toEqual({ kind: "stopped" });
});

test("gRPC over HTTP/1.1 is refused when the transport is made", () => {
  expect(() => createNodeTransport({ baseUrl: "http://127.0.0.1:1", httpVersion: "1.1" })).toThrow(RangeError);
});
