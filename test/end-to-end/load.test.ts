/** The load tool against a gateway, on every protocol: what it says must be true, and what a broken limit does. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createClient } from "@connectrpc/connect";
import type { LoadResult } from "../../bench/load/load-result.ts";
import { createNodeTransport } from "../../client/node-transports.ts";
import { RoomService, RoomStatus } from "../../gen/chat/v1/room_pb.ts";
import { type CommandResult, runCommand } from "../harness/command.ts";
import { type Gateway, startGateway } from "../harness/gateway.ts";

const program = resolve(import.meta.dir, "../../bench/load/main.ts");
const timeoutMs = 60_000;

let gateway: Gateway;
let folder: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "streaming-chat-load-"));
  gateway = await startGateway();
}, timeoutMs);

afterAll(async () => {
  await gateway.stop();
  rmSync(folder, { recursive: true, force: true });
}, timeoutMs);

async function load(...options: string[]): Promise<CommandResult & { result: LoadResult; page: string }> {
  const json = join(folder, "load.json");
  const report = join(folder, "load.html");
  const short = "--subscribers 30 --senders 3 --rate 50 --ramp 200ms --warm-up 500ms --duration 2s --slow 5@1KB/s";
  const argv = [process.execPath, program, "--url", gateway.url, "--pid", String(gateway.pid), ...short.split(" ")];
  const ended = await runCommand([...argv, "--json", json, "--report", report, ...options], { timeoutMs });
  return { ...ended, result: JSON.parse(readFileSync(json, "utf8")), page: readFileSync(report, "utf8") };
}

describe.each([
  ["connect", []],
  ["grpc-web", []],
  ["grpc", ["--streams-per-connection", "10"]],
])("over %s", (protocol, options) => {
  test(
    "every reader has every message once and in order, through a storm",
    async () => {
      const { code, stdout, stderr, result, page } = await load("--protocol", protocol, "--storm", "1s", ...options);
      expect({ code, stderr, broken: result.broken }).toEqual({ code: 0, stderr: "", broken: [] });
      // 2.5 s at 50/s, three senders, and their timetables begin one after the other.
      expect(result.messages.sent).toBeGreaterThanOrEqual(123);
      expect(result.messages.sent).toBeLessThanOrEqual(127);
      expect(result.messages.accepted).toBe(result.messages.sent);
      expect(result.quick).toEqual({
        lost: 0,
        doubled: 0,
        reordered: 0,
        skipped: 0,
        notLive: 0,
        received: 25 * result.messages.sent,
      });
      // All readers, slow ones too, came back once.
      expect(result.reconnects).toBeGreaterThanOrEqual(30);
      expect(result.delivery.count).toBeGreaterThan(0);
      expect(result.answer.count).toBeGreaterThan(0);
      expect(result.delivery.p50Ms).toBeGreaterThan(0);
      expect(result.server?.memoryMaxBytes).toBeGreaterThan(10e6);
      expect(stdout).toContain("lost 0, doubled 0, out of order 0");
      expect(page.match(/<svg /g)?.length).toBe(6);
    },
    timeoutMs,
  );
});

test(
  "a closed loop as fast as answers come, and a broken limit makes the exit code 1",
  async () => {
    const { code, result } = await load("--rate", "max", "--loop", "closed", "--max-p99", "0.001ms", "--rooms", "2");
    expect(result.broken.join()).toContain("p99 of deliveries");
    expect(code).toBe(1);
    expect(result.messages.accepted).toBeGreaterThan(20);
    expect(result.quick.lost).toBe(0);
  },
  timeoutMs,
);

test(
  "Ctrl-C ends it before its time, with what was seen until then",
  async () => {
    const argv = [process.execPath, program, "--url", gateway.url, "--duration", "1h", "--subscribers", "5"];
    const child = Bun.spawn(argv, { stdout: "pipe", stderr: "inherit" });
    let printed = "";
    let isTold = false;
    const decoder = new TextDecoder();
    for await (const chunk of child.stdout) {
      printed += decoder.decode(chunk);
      // The first line of progress: it is at work.
      if (!isTold && /^load /m.test(printed)) {
        isTold = true;
        child.kill("SIGINT");
      }
    }
    expect(await child.exited).toBe(0);
    expect(printed).toMatch(/^sent +[1-9]/m);
    expect(printed).toContain("lost 0, doubled 0, out of order 0");
  },
  timeoutMs,
);

test("the rooms it made are closed", async () => {
  const rooms = createClient(RoomService, createNodeTransport({ baseUrl: gateway.url }));
  const { rooms: open } = await rooms.listRooms({ status: RoomStatus.OPEN });
  expect(open).toEqual([]);
});

test("no gateway and a wrong option say so", async () => {
  const nobody = await runCommand([process.execPath, program, "--url", "http://127.0.0.1:1"]);
  expect(nobody).toMatchObject({ code: 3, stderr: expect.stringContaining("no chat gateway at") });
  const wrong = await runCommand([process.execPath, program, "--rate", "fast"]);
  expect(wrong).toMatchObject({ code: 2, stderr: expect.stringContaining("--rate is fast") });
});
