/**
 * Three gateways and two workers on a real Redis and a real Cassandra: whatever of them is killed, drained, frozen or cut
 * off while people talk on every protocol, nothing is lost, doubled, reordered or kept silent. The short selection of
 * `bun run test:faults -- --deployment distributed`, with a seed of its own each time it runs.
 */
import { expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startDistributedDeployment } from "./driver/distributed-deployment.ts";
import { runFaults } from "./driver/fault-run.ts";
import { expectNothingBroken, seedOfRun } from "./short-run.ts";

/** One of each kind; the long run has them all. */
const shortSelection = [
  "gateway-kill",
  "gateway-term",
  "gateway-freeze-kill",
  "connections-cut",
  "readers-stall",
  "worker-kill",
  "worker-freeze",
  "redis-kill",
  "redis-channels-cut",
  "redis-connections-cut",
  "redis-script-flush",
  "redis-full",
  "cassandra-freeze",
];

test("many replicas lose, double and reorder nothing, whichever of their parts fails", async () => {
  const directory = await mkdtemp(join(tmpdir(), "streaming-chat-faults-history-"));
  try {
    const result = await runFaults({
      start: () => startDistributedDeployment(),
      seed: seedOfRun(),
      durationMs: 60_000,
      faults: shortSelection,
      load: { rooms: 2, readersPerRoom: 6, people: 6, messagesPerSecond: 15 },
      historyPath: join(directory, "history.jsonl"),
    });
    expectNothingBroken(result);
    const { figures } = result;
    // The run was one: people were heard, and things did break.
    expect(figures.acked).toBeGreaterThan(200);
    expect(figures.duplicateAcks).toBeGreaterThan(20);
    expect(Object.keys(figures.faults).length).toBeGreaterThan(3);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}, 600_000);
