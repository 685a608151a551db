/** The loop of every consumer, on the embedded log and on logs that fail as told. */
import { describe, expect, test } from "bun:test";
import { ChatDatabase } from "../storage/chat-database.ts";
import { EmbeddedRoomLog } from "../storage/log/embedded-room-log.ts";
import type { Delivery, LogConsumer } from "../storage/log/room-log.ts";
import { ConsumerLoop, type ConsumerLoopOptions, type ConsumerLoopStep } from "./consumer-loop.ts";

/** A log with a loop on it that does not really pause and remembers what it was told. */
function openLoop(handle: ConsumerLoopOptions["handle"], options: Partial<ConsumerLoopOptions> = {}) {
  const database = new ChatDatabase({ directory: ":memory:" });
  const log = new EmbeddedRoomLog(database);
  const pausesMs: number[] = [];
  const failures: ConsumerLoopStep[] = [];
  const handled: number[] = [];
  const loop = new ConsumerLoop({
    log,
    group: "persist",
    name: "one",
    batchEntriesMax: 10,
    backoff: { baseMs: 100, maxMs: 1_000 },
    random: () => 1,
    pause: async (ms) => {
      pausesMs.push(ms);
    },
    observer: {
      handled: (deliveries) => handled.push(...deliveries.map(seq)),
      failed: (step) => failures.push(step),
    },
    handle,
    ...options,
  });
  const close = async () => {
    await loop.stop();
    await log.close();
    database.close();
  };
  return { log, loop, pausesMs, failures, handled, close, [Symbol.asyncDispose]: close };
}

const seq = ({ entry }: Delivery) => entry.position.seq;

async function send(log: EmbeddedRoomLog, count: number): Promise<void> {
  await Promise.all(Array.from({ length: count }, (_, n) => log.append({ roomId: "a", event: new Uint8Array([n]) })));
}

async function until(condition: () => boolean): Promise<void> {
  const endMs = performance.now() + 4_000;
  while (!condition()) {
    if (performance.now() > endMs) {
      throw new Error(`did not come: ${condition}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

/** A log whose consumer does something else in some of its methods. */
function withConsumer(log: EmbeddedRoomLog, change: (consumer: LogConsumer) => Partial<LogConsumer>) {
  return {
    consumer: async (...args: Parameters<EmbeddedRoomLog["consumer"]>) => {
      const consumer = await log.consumer(...args);
      const whole: LogConsumer = {
        take: (...args) => consumer.take(...args),
        ack: (deliveries) => consumer.ack(deliveries),
        release: (deliveries) => consumer.release(deliveries),
        close: () => consumer.close(),
      };
      return { ...whole, ...change(consumer) };
    },
  };
}

describe("a consumer loop", () => {
  test("handles every entry in order, in batches of at most its bound, and acknowledges it", async () => {
    const batches: number[][] = [];
    await using opened = openLoop(async (deliveries) => {
      batches.push(deliveries.map(seq));
    });
    opened.loop.start();
    opened.loop.start();
    await send(opened.log, 25);
    await until(() => opened.handled.length === 25);
    expect(batches.flat()).toEqual(Array.from({ length: 25 }, (_, n) => n));
    expect(Math.max(...batches.map((batch) => batch.length))).toBe(10);
    expect(opened.log.use.unpersistedEntries).toBe(0);
    expect(opened.failures).toEqual([]);
  });

  test("releases what failed and gets it again, after pauses that grow and begin anew when it goes well", async () => {
    const attempts: number[][] = [];
    let failing = 5;
    await using opened = openLoop(async (deliveries) => {
      attempts.push(deliveries.map((delivery) => delivery.attempts));
      if (failing > 0) {
        failing -= 1;
        throw new Error("out of reach");
      }
    });
    await send(opened.log, 2);
    opened.loop.start();
    await until(() => opened.handled.length === 2);
    expect(attempts).toEqual([1, 2, 3, 4, 5, 6].map((attempt) => [attempt, attempt]));
    expect(opened.pausesMs).toEqual([100, 200, 400, 800, 1_000]);
    failing = 1;
    await send(opened.log, 1);
    await until(() => opened.handled.length === 3);
    expect(opened.pausesMs.slice(5)).toEqual([100]);
    expect(opened.failures).toEqual(Array(6).fill("handle"));
  });

  test("tries to join, to take and to acknowledge until the log is back", async () => {
    const database = new ChatDatabase({ directory: ":memory:" });
    const log = new EmbeddedRoomLog(database);
    const left = { join: 2, take: 2, ack: 2 };
    const fail = (step: keyof typeof left) => {
      if (left[step] > 0) {
        left[step] -= 1;
        throw new Error("out of reach");
      }
    };
    const whole = withConsumer(log, (consumer) => ({
      take: async (...args) => {
        fail("take");
        return consumer.take(...args);
      },
      ack: async (deliveries) => {
        fail("ack");
        return consumer.ack(deliveries);
      },
    }));
    let calls = 0;
    await using opened = openLoop(
      async () => {
        calls += 1;
      },
      {
        log: {
          consumer: async (...args) => {
            fail("join");
            return whole.consumer(...args);
          },
        },
      },
    );
    await send(log, 3);
    opened.loop.start();
    await until(() => opened.handled.length === 3);
    expect(opened.failures).toEqual(["join", "join", "take", "take", "ack", "ack"]);
    // What was handled is acknowledged, not handled again.
    expect(calls).toBe(1);
    await opened.close();
    database.close();
  });

  test("stops while it waits for entries, and leaves the group", async () => {
    await using opened = openLoop(async () => {});
    opened.loop.start();
    await send(opened.log, 1);
    await until(() => opened.handled.length === 1);
    await opened.loop.stop();
    await opened.loop.stop();
    await send(opened.log, 1);
    // The name is free again, so it has left.
    const next = await opened.log.consumer("persist", "one");
    expect(await next.take(10, new AbortController().signal)).toHaveLength(1);
  });

  test("finishes and acknowledges the batch in hand when it stops", async () => {
    const { promise: working, resolve: begin } = Promise.withResolvers<void>();
    const { promise: finished, resolve: finish } = Promise.withResolvers<void>();
    await using opened = openLoop(async () => {
      begin();
      await finished;
    });
    await send(opened.log, 3);
    opened.loop.start();
    await working;
    const stopped = opened.loop.stop();
    finish();
    await stopped;
    expect(opened.handled).toEqual([0, 1, 2]);
    expect(opened.log.use.unpersistedEntries).toBe(0);
  });

  test("stops although its handler fails for ever: what it had goes to the next member", async () => {
    let calls = 0;
    await using opened = openLoop(
      async () => {
        calls += 1;
        throw new Error("out of reach");
      },
      // A real turn of the event loop, or the test would never go on.
      { pause: () => new Promise((resolve) => setImmediate(resolve)) },
    );
    await send(opened.log, 3);
    opened.loop.start();
    await until(() => calls > 3);
    await opened.loop.stop();
    const next = await opened.log.consumer("persist", "two");
    const deliveries = await next.take(10, new AbortController().signal);
    expect(deliveries.map(seq)).toEqual([0, 1, 2]);
  });

  test("tells its handler that it stops, so that a long wait ends", async () => {
    const { promise: working, resolve: begin } = Promise.withResolvers<void>();
    await using opened = openLoop(async (_, signal) => {
      begin();
      await new Promise((_, reject) => signal.addEventListener("abort", () => reject(new Error("stopping"))));
    });
    await send(opened.log, 1);
    opened.loop.start();
    await working;
    await opened.loop.stop();
    expect(opened.failures).toEqual(["handle"]);
    expect(opened.log.use.unpersistedEntries).toBe(1);
  });

  test("stops although the log is out of reach", async () => {
    let joins = 0;
    await using opened = openLoop(async () => {}, {
      log: {
        consumer: async () => {
          joins += 1;
          throw new Error("out of reach");
        },
      },
      pause: () => new Promise((resolve) => setImmediate(resolve)),
    });
    opened.loop.start();
    await until(() => joins > 3);
    await opened.loop.stop();
  });
});
