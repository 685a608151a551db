import { expect, test } from "bun:test";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { seededRandom } from "../../../lib/seeded-random.ts";
import { goodHistory } from "./good-history.ts";
import { checkHistory, checkHistoryFile } from "./history-checker.ts";
import type { HistoryEvent } from "./history-event.ts";
import { plantedFaults } from "./planted-faults.ts";

const histories = fc.record({
  seed: fc.integer(),
  steps: fc.integer({ min: 1, max: 600 }),
  rooms: fc.integer({ min: 1, max: 3 }),
  readersPerRoom: fc.integer({ min: 1, max: 5 }),
});

test("a history in which all is well is accepted", () => {
  fc.assert(
    fc.property(histories, (options) => {
      const { violations, figures } = checkHistory(goodHistory(options));
      expect(violations).toEqual([]);
      expect(figures).toMatchObject({ lost: 0, doubled: 0, outOfOrder: 0, silentlyMissed: 0 });
    }),
    { numRuns: 300 },
  );
});

for (const { name, finds, besides, plant } of plantedFaults) {
  test(`found: ${name}`, () => {
    fc.assert(
      fc.property(histories, fc.integer(), (options, seed) => {
        const events = plant(goodHistory(options), seededRandom(seed));
        // Short histories have no place for some faults: another one is drawn, so that as many are judged of each fault.
        fc.pre(events !== undefined);
        const kinds = Object.keys(checkHistory(events ?? []).counts);
        expect(kinds).toContain(finds);
        expect(kinds.filter((kind) => kind !== finds && !besides.some((each) => each === kind))).toEqual([]);
      }),
      { numRuns: 50 },
    );
  });
}

test("every planted fault is found at random places of a long history", () => {
  const good = goodHistory({ seed: 7, steps: 6_000, rooms: 4, readersPerRoom: 5 });
  expect(checkHistory(good).violations).toEqual([]);
  const random = seededRandom(11);
  for (const { name, finds, plant } of plantedFaults) {
    const events = plant(good, random);
    expect({ name, planted: events !== undefined }).toEqual({ name, planted: true });
    const { counts } = checkHistory(events ?? []);
    expect({ name, found: counts[finds] ?? 0 }).not.toEqual({ name, found: 0 });
  }
});

test("faults are counted, not only found", () => {
  const good = goodHistory({ seed: 3, steps: 4_000, rooms: 1, readersPerRoom: 3, withTrouble: false });
  const row = (event: HistoryEvent, n: number) =>
    event.type === "row" && event.source === "storage" && event.position.endsWith(`-${n}`);
  const lost = good.filter((event) => ![10, 20, 30].some((n) => row(event, n)));
  const recounted = lost.map((event) =>
    event.type === "rows" && event.source === "storage" ? { ...event, count: event.count - 3 } : event,
  );
  const { figures } = checkHistory(recounted);
  expect(figures.lost).toBe(3);
  expect(figures.doubled).toBe(0);
});

test("figures are counts and latencies of the recording", () => {
  const ms = 1e6;
  const sent = { room: "lobby", key: "u/1", hash: "h" };
  const row = { ...sent, position: "5-0", sentAtMs: 5 };
  const reader = { reader: "r", room: "lobby" };
  const { violations, figures } = checkHistory([
    { type: "start", at: 0, ...reader, after: "" },
    { type: "live", at: 0, ...reader },
    { type: "fault", at: 0, name: "kill", target: "gateway 1", phase: "begin" },
    { type: "cut", at: 10 * ms, ...reader, why: "failed" },
    { type: "cut", at: 20 * ms, ...reader, why: "failed" },
    { type: "invoke", at: 20 * ms, op: 1, ...sent },
    { type: "live", at: 40 * ms, ...reader, resumedFrom: "" },
    { type: "ok", at: 28 * ms, op: 1, position: "5-0", sentAtMs: 5, duplicate: true, tries: 2 },
    { type: "saw", at: 50 * ms, ...reader, ...row },
    { type: "end", at: 60 * ms, ...reader, settled: true },
    { type: "row", source: "api", ...row },
    { type: "rows", source: "api", room: "lobby", count: 1 },
  ]);
  expect(violations).toEqual([]);
  expect(figures).toMatchObject({ messages: 1, acked: 1, retries: 1, duplicateAcks: 1, deliveries: 1, rows: 1 });
  expect(figures.reconnectMs.max).toBeCloseTo(30, 0);
  expect(figures.silentMs.max).toBeCloseTo(40, 0);
  expect(figures.ackMs.max).toBeCloseTo(8, 0);
  expect(figures.deliveryMs.max).toBeCloseTo(30, 0);
  expect(figures.faults.kill).toMatchObject({ times: 1, reconnectMs: { count: 1 }, ackMs: { count: 1 } });
});

test("a reader whose history is gone may begin anew, which is counted", () => {
  const row = { room: "lobby", key: "u/1", hash: "h", position: "5-0", sentAtMs: 5 };
  const reader = { reader: "r", room: "lobby" };
  const saw = { type: "saw" as const, ...reader, ...row };
  const { violations, figures } = checkHistory([
    { type: "invoke", at: 0, op: 1, room: "lobby", key: "u/1", hash: "h" },
    { type: "ok", at: 1, op: 1, position: "5-0", sentAtMs: 5, duplicate: false, tries: 1 },
    { type: "start", at: 2, ...reader, after: "" },
    { ...saw, at: 3 },
    { type: "gap", at: 4, ...reader, after: "5-0", through: "", reason: "lost", reset: true },
    { ...saw, at: 5 },
    { type: "end", at: 6, ...reader, settled: true },
    { type: "row", source: "storage", ...row },
    { type: "rows", source: "storage", room: "lobby", count: 1 },
  ]);
  expect(violations).toEqual([]);
  expect(figures.resets).toBe(1);
});

test("a recording with a torn line is read to its end and not believed", async () => {
  const directory = await mkdtemp(join(tmpdir(), "streaming-chat-history-"));
  try {
    const lines = goodHistory({ seed: 1, steps: 300, rooms: 2, readersPerRoom: 2 }).map((event) =>
      JSON.stringify(event),
    );
    const whole = join(directory, "whole.jsonl");
    await writeFile(whole, `${lines.join("\n")}\n`);
    expect((await checkHistoryFile(whole)).violations).toEqual([]);
    const torn = join(directory, "torn.jsonl");
    await writeFile(torn, `${lines.join("\n")}\n{"type":"saw","at":1`);
    expect((await checkHistoryFile(torn)).counts).toEqual({ malformed: 1 });
  } finally {
    await rm(directory, { recursive: true });
  }
});
