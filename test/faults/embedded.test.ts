/**
 * A gateway that keeps everything itself is killed, drained, frozen and cut off while people talk on every protocol: the
 * short selection of `bun run test:faults`, with a seed of its own each time it runs.
 */
import { Database } from "bun:sqlite";
import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Member } from "./driver/deployment.ts";
import { startEmbeddedDeployment } from "./driver/embedded-deployment.ts";
import { runFaults } from "./driver/fault-run.ts";
import { faults } from "./driver/faults.ts";
import { report } from "./driver/report.ts";
import { expectNothingBroken, seedOfRun } from "./short-run.ts";

let directory: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "streaming-chat-faults-history-"));
});

afterEach(async () => {
  await rm(directory, { recursive: true, force: true });
});

test("a gateway that is killed, drained, frozen and cut off loses, doubles and reorders nothing", async () => {
  const result = await runFaults({
    start: startEmbeddedDeployment,
    seed: seedOfRun(),
    durationMs: 20_000,
    load: { rooms: 2, readersPerRoom: 6, people: 6, messagesPerSecond: 20 },
    historyPath: join(directory, "history.jsonl"),
  });
  expectNothingBroken(result);
  const { figures } = result;
  // The run was one: people were heard, cut off and heard again.
  expect(figures.acked).toBeGreaterThan(100);
  expect(figures.reconnectMs.count).toBeGreaterThan(10);
  expect(figures.duplicateAcks).toBeGreaterThan(10);
  expect(Object.keys(figures.faults).length).toBeGreaterThan(1);
  expect(faults.map(({ name }) => name)).toEqual(expect.arrayContaining(Object.keys(figures.faults)));
}, 300_000);

test("the run finds it when a store forgets rows and changes others while its gateway is down", async () => {
  const result = await runFaults({
    start: async () => {
      const deployment = await startEmbeddedDeployment();
      const [gateway] = deployment.members as [Member];
      const start = gateway.start.bind(gateway);
      gateway.start = () => {
        const database = new Database(deployment.databaseFile);
        database.run("DELETE FROM history WHERE seq % 10 = 3");
        database.run("UPDATE history SET accepted_ms = accepted_ms + 1 WHERE seq % 10 = 5");
        database.close();
        return start();
      };
      return deployment;
    },
    seed: seedOfRun(),
    durationMs: 3_000,
    faults: ["gateway-kill"],
    load: { rooms: 1, readersPerRoom: 2, people: 2, messagesPerSecond: 40 },
    historyPath: join(directory, "history.jsonl"),
    storeLagMaxMs: 2_000,
  });
  expect(result.figures.lost).toBeGreaterThan(0);
  expect(result.counts["row-differs"]).toBeGreaterThan(0);
  expect(report(result)).toContain("VIOLATIONS");
}, 300_000);
