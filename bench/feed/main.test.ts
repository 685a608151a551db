/** The feeder as a process, against a gateway that does as it is told. */
import { afterEach, describe, expect, test } from "bun:test";
import { createServer } from "node:http2";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { durationFromMs, timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { ChatService, type SendMessageRequest } from "../../gen/chat/v1/chat_pb.ts";
import { RoomService, RoomStatus } from "../../gen/chat/v1/room_pb.ts";
import { ErrorInfoSchema, RetryInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";

/** A gateway with rooms, and a list of refusals for the sends to come. */
class StubGateway {
  readonly rooms = new Map<string, RoomStatus>();
  readonly tries: SendMessageRequest[] = [];
  readonly refusals: ConnectError[] = [];
  readonly #tried = new Map<number, PromiseWithResolvers<void>>();
  readonly #server = createServer(
    connectNodeAdapter({
      routes: (router) => {
        router.service(RoomService, {
          getRoom: ({ roomId }) => {
            const status = this.rooms.get(roomId);
            if (status === undefined) {
              throw refusal(Code.NotFound, "ROOM_NOT_FOUND");
            }
            return { room: { roomId, status } };
          },
          createRoom: ({ roomId }) => {
            this.rooms.set(roomId, RoomStatus.OPEN);
            return { room: { roomId, status: RoomStatus.OPEN } };
          },
        });
        router.service(ChatService, {
          sendMessage: (request) => {
            this.tries.push(request);
            this.#tried.get(this.tries.length)?.resolve();
            const refused = this.refusals.shift();
            if (refused) {
              throw refused;
            }
            return { position: `1-${this.tries.length}`, sentAt: timestampFromMs(1_000) };
          },
        });
      },
    }),
  );

  async start(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Resolves with the try of that number, which must be still to come. */
  tried(count: number): Promise<void> {
    const waiting = Promise.withResolvers<void>();
    this.#tried.set(count, waiting);
    return waiting.promise;
  }

  stop(): void {
    this.#server.close();
  }
}

function refusal(code: Code, reason: string, retryAfterMs?: number): ConnectError {
  const info = { desc: ErrorInfoSchema, value: create(ErrorInfoSchema, { reason, domain: "streaming-chat" }) };
  const retry = retryAfterMs === undefined ? undefined : { retryDelay: durationFromMs(retryAfterMs) };
  return new ConnectError(reason, code, undefined, [
    info,
    ...(retry ? [{ desc: RetryInfoSchema, value: create(RetryInfoSchema, retry) }] : []),
  ]);
}

function startFeed(...args: string[]) {
  return Bun.spawn([process.execPath, join(import.meta.dir, "main.ts"), ...args], { stdout: "pipe", stderr: "pipe" });
}

async function runFeed(...args: string[]) {
  const feed = startFeed(...args);
  const [output, errors, exitCode] = await Promise.all([
    new Response(feed.stdout).text(),
    new Response(feed.stderr).text(),
    feed.exited,
  ]);
  return { output, errors, exitCode };
}

describe("bun run feed", () => {
  const gateways: StubGateway[] = [];
  afterEach(() => {
    for (const gateway of gateways.splice(0)) {
      gateway.stop();
    }
  });

  async function startGateway() {
    const gateway = new StubGateway();
    gateways.push(gateway);
    return { gateway, url: await gateway.start() };
  }

  test.each(["connect", "grpc", "grpc-web"])("plays lines over %s into a room that it makes", async (protocol) => {
    const { gateway, url } = await startGateway();
    const { output, exitCode } = await runFeed(
      ...["--url", url, "--protocol", protocol, "--room", "final", "--rate", "500", "--count", "40", "--users", "6"],
    );
    expect(exitCode).toBe(0);
    expect(output).toContain("accepted  40\n");
    expect(gateway.rooms.get("final")).toBe(RoomStatus.OPEN);
    expect(gateway.tries).toHaveLength(40);
    expect(new Set(gateway.tries.map(({ clientMessageId }) => clientMessageId)).size).toBe(40);
    expect(gateway.tries.every(({ roomId, author }) => roomId === "final" && author?.avatar !== "")).toBe(true);
    expect(new Set(gateway.tries.map(({ author }) => author?.userId)).size).toBe(6);
  });

  test("a refusal with a delay is tried again under the same id and counted by its reason", async () => {
    const { gateway, url } = await startGateway();
    gateway.refusals.push(refusal(Code.ResourceExhausted, "LOG_FULL", 20), refusal(Code.Unavailable, "DRAINING", 20));
    const { output, exitCode } = await runFeed("--url", url, "--rate", "500", "--count", "5", "--in-flight", "1");
    expect(exitCode).toBe(0);
    expect(output).toContain("refused   2 (LOG_FULL 1, DRAINING 1) tries");
    expect(output).toContain("failed    0");
    expect(new Set(gateway.tries.slice(0, 3).map(({ clientMessageId }) => clientMessageId)).size).toBe(1);
    expect(gateway.tries).toHaveLength(7);
  });

  test("a message refused for good makes the exit code 1", async () => {
    const { gateway, url } = await startGateway();
    gateway.refusals.push(refusal(Code.FailedPrecondition, "ROOM_CLOSED"));
    const { output, exitCode } = await runFeed("--url", url, "--rate", "500", "--count", "5");
    expect(exitCode).toBe(1);
    expect(output).toContain("failed    1 (ROOM_CLOSED 1)");
    expect(output).toContain("accepted  4\n");
  });

  test("Ctrl-C ends it with the summary", async () => {
    const { gateway, url } = await startGateway();
    const feed = startFeed("--url", url, "--rate", "200", "--loop");
    const output = new Response(feed.stdout).text();
    await gateway.tried(10);
    feed.kill("SIGINT");
    expect(await feed.exited).toBe(0);
    const accepted = Number(/^accepted {2}(\d+)$/m.exec(await output)?.[1]);
    expect(accepted).toBe(gateway.tries.length);
  });

  test("a closed room, a missing gateway, a missing file and a wrong option each say so", async () => {
    const { gateway, url } = await startGateway();
    gateway.rooms.set("lobby", RoomStatus.CLOSED);
    expect(await runFeed("--url", url)).toMatchObject({
      exitCode: 1,
      errors: expect.stringContaining("lobby is closed"),
    });
    gateway.stop();
    const gone = await runFeed("--url", "http://127.0.0.1:1");
    expect(gone).toMatchObject({
      exitCode: 1,
      errors: expect.stringContaining("no chat gateway at http://127.0.0.1:1"),
    });
    const missing = await runFeed("--file", "no-such-file.txt");
    expect(missing).toMatchObject({ exitCode: 1, errors: expect.stringContaining("no-such-file.txt") });
    const wrong = await runFeed("--rate", "fast");
    expect(wrong).toMatchObject({ exitCode: 2, errors: expect.stringContaining("--rate is fast") });
  });
});
