/**
 * The client library against a gateway that is killed, drained and started again while people talk: whatever was
 * acknowledged is there once, and every reader, on every protocol, saw the same.
 */
import { expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Transport } from "@connectrpc/connect";
import { ChatClient } from "../../client/chat-client.ts";
import { ChatStream } from "../../client/chat-stream.ts";
import { createNodeTransport } from "../../client/node-transports.ts";
import { createWebTransport } from "../../client/web-transports.ts";
import type { Gap } from "../../gen/chat/v1/event_pb.ts";
import type { Message } from "../../gen/chat/v1/message_pb.ts";
import { type Gateway, startGateway } from "../harness/gateway.ts";
import { waitFor } from "../harness/wait-for.ts";

const roomId = "lobby";
const messagesPerWriter = 60;

/** How the gateway goes, one after the other. */
const endings: NodeJS.Signals[] = ["SIGKILL", "SIGTERM", "SIGKILL"];

test("readers and writers lose and double nothing while the gateway is killed and drained", async () => {
  const dataDirectory = await mkdtemp(join(tmpdir(), "streaming-chat-reconnect-"));
  const serve = (port: number) =>
    startGateway({
      DATA_DIRECTORY: dataDirectory,
      PORT: String(port),
      INITIAL_ROOMS: roomId,
      DRAIN_TIMEOUT_MS: "2000",
    });
  let gateway: Gateway = await serve(0);
  const { port, url: baseUrl } = gateway;
  const retry = { baseMs: 100, maxMs: 500, sendAttemptsMax: 100, sendTimeoutMs: 60_000 };
  const transports: Record<string, Transport> = {
    grpc: createNodeTransport({ baseUrl }),
    "grpc-web over HTTP/2": createNodeTransport({ baseUrl, protocol: "grpc-web" }),
    "connect over HTTP/1.1": createNodeTransport({ baseUrl, protocol: "connect", httpVersion: "1.1" }),
    "connect JSON over HTTP/1.1": createNodeTransport({
      baseUrl,
      protocol: "connect",
      httpVersion: "1.1",
      useJson: true,
    }),
    "connect over fetch": createWebTransport({ baseUrl }),
    "grpc-web over fetch": createWebTransport({ baseUrl, protocol: "grpc-web" }),
  };
  const seen: Record<string, string[]> = {};
  const gaps: Gap[] = [];
  const reader = (name: string) => {
    const texts: string[] = [];
    seen[name] = texts;
    return {
      start: { tail: 500 },
      onMessage: ({ position, text }: Message) => texts.push(`${position} ${text}`),
      onGap: (gap: Gap) => gaps.push(gap),
    };
  };
  const readers = Object.entries(transports).map(([name, transport]) =>
    new ChatClient({ transport, retry }).subscribe(roomId, reader(name)),
  );
  const stream = new ChatStream({ transport: createNodeTransport({ baseUrl }), author: { name: "둘" }, retry });
  stream.join(roomId, reader("two-way stream"));
  const acknowledged: string[] = [];
  const acknowledge = (text: string) => (sent: { position: string }) => acknowledged.push(`${sent.position} ${text}`);
  try {
    const chat = new ChatClient({ transport: transports.grpc as Transport, retry });
    // Two writers, one message every 40 ms each.
    const writing = Promise.all([
      ...Array.from({ length: messagesPerWriter }, (_, i) => `unary ${i}`).map((text, i) =>
        Bun.sleep(i * 40).then(() => chat.send({ roomId, text, author: { name: "하나" } }).then(acknowledge(text))),
      ),
      ...Array.from({ length: messagesPerWriter }, (_, i) => `stream ${i}`).map((text, i) =>
        Bun.sleep(i * 40).then(() => stream.send(roomId, text).then(acknowledge(text))),
      ),
    ]);
    // A send that fails is reported where all are awaited.
    writing.catch(() => {});
    for (const [index, signal] of endings.entries()) {
      await waitFor("people talk", () => acknowledged.length > index * 25 + 5, 30_000);
      await gateway.stop(signal);
      gateway = await serve(port);
      await waitFor("every reader is back", () => readers.every(({ state }) => state.kind === "live"), 30_000);
    }
    await writing;
    expect(acknowledged.length).toBe(2 * messagesPerWriter);
    await waitFor("everyone has everything", () =>
      Object.values(seen).every((texts) => texts.length >= acknowledged.length),
    );
    const expected = seen["two-way stream"] as string[];
    expect([...acknowledged].sort()).toEqual([...expected].sort());
    for (const [name, texts] of Object.entries(seen)) {
      expect({ name, texts }).toEqual({ name, texts: expected });
    }
    expect(gaps).toEqual([]);
    expect(readers.every(({ stats }) => stats.reconnects >= endings.length)).toBe(true);
  } finally {
    for (const each of [...readers, stream]) {
      each.stop();
    }
    await gateway.stop();
    await rm(dataDirectory, { recursive: true, force: true });
  }
}, 120_000);
