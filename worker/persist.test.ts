/** The persistence worker on the embedded log, with a history that fails as told. */
import { describe, expect, test } from "bun:test";
import { create } from "@bufbuild/protobuf";
import { MessageSchema } from "../gen/chat/v1/message_pb.ts";
import { pause } from "../lib/backoff.ts";
import { ChatDatabase } from "../storage/chat-database.ts";
import type { DeadLetters } from "../storage/dead-letters/dead-letters.ts";
import { type HistoryStore, HistoryUnavailableError } from "../storage/history/history-store.ts";
import { EmbeddedRoomLog } from "../storage/log/embedded-room-log.ts";
import { encodeMessage } from "../storage/log/log-event.ts";
import type { Delivery, LogEntry } from "../storage/log/room-log.ts";
import { formatPosition } from "../storage/position.ts";
import { type PersistObserver, PersistWorker, type PersistWorkerOptions } from "./persist.ts";

/** A history in memory. What `refuse` answers is thrown, for a whole write. */
class ToldHistory implements Pick<HistoryStore, "write"> {
  readonly entries = new Map<string, Uint8Array>();
  writes: number[] = [];
  refuse: (entries: readonly LogEntry[]) => Error | undefined = () => undefined;

  async write(entries: readonly LogEntry[]): Promise<void> {
    this.writes.push(entries.length);
    const error = this.refuse(entries);
    if (error) {
      throw error;
    }
    for (const { roomId, position, event } of entries) {
      this.entries.set(`${roomId} ${formatPosition(position)}`, event);
    }
  }
}

class ToldDeadLetters implements Pick<DeadLetters, "add"> {
  readonly letters: { delivery: Delivery; error: unknown }[] = [];
  failing = 0;
  async add(delivery: Delivery, error: unknown): Promise<void> {
    if (this.failing > 0) {
      this.failing -= 1;
      throw new Error("no place for the dead");
    }
    this.letters.push({ delivery, error });
  }
}

function openWorker(options: Partial<PersistWorkerOptions> = {}) {
  const database = new ChatDatabase({ directory: ":memory:" });
  const log = new EmbeddedRoomLog(database);
  const history = new ToldHistory();
  const deadLetters = new ToldDeadLetters();
  const failures: string[] = [];
  const pausesMs: number[] = [];
  const observer: PersistObserver = { failed: (step, error) => failures.push(`${step}: ${(error as Error).message}`) };
  const worker = new PersistWorker({
    log,
    history,
    deadLetters,
    backoff: { baseMs: 100, maxMs: 1_000 },
    random: () => 1,
    // A turn of the event loop instead of time.
    pause: (ms) => {
      pausesMs.push(ms);
      return new Promise((resolve) => setImmediate(resolve));
    },
    observer,
    ...options,
  });
  const close = async () => {
    await worker.stop();
    await log.close();
    database.close();
  };
  return { log, history, deadLetters, worker, failures, pausesMs, close, [Symbol.asyncDispose]: close };
}

const message = (text: string) => encodeMessage(create(MessageSchema, { text }));
/** A length-delimited field that is longer than the bytes that follow. */
const garbage = new Uint8Array([0x1a, 0x7f, 1, 2, 3]);
const unavailable = () => new HistoryUnavailableError("out of reach", 1);

async function send(log: EmbeddedRoomLog, texts: readonly string[], roomId = "a"): Promise<void> {
  await Promise.all(texts.map((text) => log.append({ roomId, event: message(text) })));
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

const numbers = (count: number) => Array.from({ length: count }, (_, n) => String(n));
const has = (entries: readonly LogEntry[], text: string) =>
  entries.some(({ event }) => Buffer.from(event).equals(message(text)));

describe("the persistence worker", () => {
  test("writes every entry into the history, bytes unchanged, in one write a batch, and acknowledges it", async () => {
    let written = 0;
    await using opened = openWorker({ batchEntriesMax: 50, observer: { written: (entries) => (written += entries) } });
    const { log, history, worker } = opened;
    await send(log, numbers(30), "a");
    await send(log, numbers(30), "b");
    worker.start();
    await until(() => log.use.unpersistedEntries === 0);
    expect([...history.entries.values()].map((event) => Buffer.from(event).toString("hex")).sort()).toEqual(
      [...numbers(30), ...numbers(30)].map((text) => Buffer.from(message(text)).toString("hex")).sort(),
    );
    expect(history.writes).toEqual([50, 10]);
    expect(written).toBe(60);
  });

  test("hands a batch to the history room by room", async () => {
    await using opened = openWorker();
    const { log, history, worker } = opened;
    const rooms: string[] = [];
    history.refuse = (entries) => {
      rooms.push(...entries.map(({ roomId }) => roomId));
      return undefined;
    };
    for (let n = 0; n < 4; n += 1) {
      await send(log, ["x"], "a");
      await send(log, ["x"], "b");
    }
    worker.start();
    await until(() => log.use.unpersistedEntries === 0);
    expect(rooms).toEqual(["a", "a", "a", "a", "b", "b", "b", "b"]);
  });

  test("waits ever longer for a history that is out of reach, gives up no entry, and catches up", async () => {
    await using opened = openWorker();
    const { log, history, deadLetters, worker, failures, pausesMs } = opened;
    let refusals = 6;
    history.refuse = () => (refusals-- > 0 ? unavailable() : undefined);
    await send(log, numbers(20));
    worker.start();
    await until(() => log.use.unpersistedEntries === 0);
    expect(history.entries.size).toBe(20);
    expect(failures).toEqual(Array(6).fill("handle: out of reach"));
    expect(pausesMs).toEqual([100, 200, 400, 800, 1_000, 1_000]);
    // Out of reach is nobody's fault: no batch was halved for it.
    expect(history.writes).toEqual(Array(7).fill(20));
    expect(deadLetters.letters).toEqual([]);
  });

  test("finds the entry that the history refuses, stores all others, and keeps its bytes with the dead", async () => {
    const dead: Delivery[] = [];
    await using opened = openWorker({ observer: { deadLettered: (delivery) => dead.push(delivery) } });
    const { log, history, deadLetters, worker } = opened;
    history.refuse = (entries) => (has(entries, "poison") ? new TypeError("too odd") : undefined);
    const texts = [...numbers(37), "poison", ...numbers(26)];
    await send(log, texts);
    worker.start();
    await until(() => log.use.unpersistedEntries === 0);
    expect(history.entries.size).toBe(63);
    expect(deadLetters.letters).toHaveLength(1);
    expect(dead).toHaveLength(1);
    const [letter] = deadLetters.letters;
    expect(letter?.delivery.entry.position.seq).toBe(37);
    expect([...(letter?.delivery.entry.event ?? [])]).toEqual([...message("poison")]);
    expect(letter?.error).toMatchObject({ message: "too odd" });
    // 64 entries are halved six times; then it is tried alone, three times in all, and the history proved each time.
    expect(history.writes.length).toBeLessThan(1 + 2 * 6 + 2 + 3 + 1);
    // The room goes on.
    await send(log, ["after"]);
    await until(() => log.use.unpersistedEntries === 0);
    expect(history.entries.size).toBe(64);
  });

  test("stores the others before it looks twice at a suspect", async () => {
    const { promise: paused, resolve: pausing } = Promise.withResolvers<void>();
    const { promise: held, resolve: goOn } = Promise.withResolvers<void>();
    await using opened = openWorker({
      pause: () => {
        pausing();
        return held;
      },
    });
    const { log, history, worker } = opened;
    history.refuse = (entries) => (has(entries, "poison") ? new TypeError("too odd") : undefined);
    await send(log, ["poison", ...numbers(9)]);
    worker.start();
    await paused;
    expect(history.entries.size).toBe(9);
    goOn();
    await until(() => log.use.unpersistedEntries === 0);
  });

  test("does not give up an entry that the history refuses once or twice", async () => {
    await using opened = openWorker();
    const { log, history, deadLetters, worker } = opened;
    // Refused in the batch, alone in its half, and once more alone.
    let refusals = 0;
    history.refuse = (entries) => {
      refusals += has(entries, "odd") ? 1 : 0;
      return has(entries, "odd") && refusals <= 3 ? new TypeError("odd today") : undefined;
    };
    await send(log, ["odd", "fine"]);
    worker.start();
    await until(() => log.use.unpersistedEntries === 0);
    expect(history.entries.size).toBe(2);
    expect(refusals).toBe(4);
    expect(deadLetters.letters).toEqual([]);
  });

  test.each([1, 3])("gives up no entry where the history refuses everything (%i tries)", async (poisonTriesMax) => {
    await using opened = openWorker({ poisonTriesMax });
    const { log, history, deadLetters, worker, failures } = opened;
    await send(log, ["first"]);
    worker.start();
    await until(() => log.use.unpersistedEntries === 0);
    history.refuse = () => new TypeError("all wrong");
    await send(log, numbers(8));
    await until(() => failures.length > 5);
    expect(deadLetters.letters).toEqual([]);
    expect(log.use.unpersistedEntries).toBe(8);
    history.refuse = () => undefined;
    await until(() => log.use.unpersistedEntries === 0);
    expect(history.entries.size).toBe(9);
  });

  test("does not judge before it has seen any entry written: another room's shows that the history works", async () => {
    await using opened = openWorker();
    const { log, history, deadLetters, worker, failures } = opened;
    history.refuse = (entries) => (has(entries, "poison") ? new TypeError("too odd") : undefined);
    await send(log, ["poison"]);
    worker.start();
    await until(() => failures.length > 2);
    expect(deadLetters.letters).toEqual([]);
    await send(log, ["fine"], "b");
    await until(() => log.use.unpersistedEntries === 0);
    expect(deadLetters.letters).toHaveLength(1);
    expect(history.entries.size).toBe(1);
  });

  test("an entry that is not an event goes to the dead without being written, and stops nobody", async () => {
    await using opened = openWorker();
    const { log, history, deadLetters, worker } = opened;
    await send(log, numbers(3));
    await log.append({ roomId: "a", event: garbage });
    await send(log, numbers(3));
    worker.start();
    await until(() => log.use.unpersistedEntries === 0);
    expect(history.writes).toEqual([6]);
    expect(deadLetters.letters.map(({ delivery }) => [...delivery.entry.event])).toEqual([[...garbage]]);
  });

  test("an event of a kind that this release does not know is stored", async () => {
    await using opened = openWorker();
    const { log, history, deadLetters, worker } = opened;
    // Field 15, a varint.
    await log.append({ roomId: "a", event: new Uint8Array([0x78, 1]) });
    worker.start();
    await until(() => log.use.unpersistedEntries === 0);
    expect(history.entries.size).toBe(1);
    expect(deadLetters.letters).toEqual([]);
  });

  test("acknowledges no poison that the dead letters did not take", async () => {
    await using opened = openWorker();
    const { log, history, deadLetters, worker, failures } = opened;
    deadLetters.failing = 3;
    await log.append({ roomId: "a", event: garbage });
    await send(log, ["fine"]);
    worker.start();
    await until(() => log.use.unpersistedEntries === 0);
    expect(failures).toEqual(Array(3).fill("handle: no place for the dead"));
    expect(deadLetters.letters).toHaveLength(1);
    expect(history.entries.size).toBe(1);
  });

  test("many poison entries of one batch are all found", async () => {
    await using opened = openWorker();
    const { log, history, deadLetters, worker, pausesMs } = opened;
    history.refuse = (entries) => (has(entries, "poison") ? new TypeError("too odd") : undefined);
    await send(
      log,
      numbers(100).map((n) => (Number(n) % 3 === 0 ? "poison" : n)),
    );
    worker.start();
    await until(() => log.use.unpersistedEntries === 0);
    expect(deadLetters.letters).toHaveLength(34);
    expect(history.entries.size).toBe(66);
    // One pause a round, however many there are.
    expect(pausesMs).toEqual([100, 200]);
  });

  test("stops while it judges a suspect: the entry stays in the log", async () => {
    const { promise: paused, resolve: pausing } = Promise.withResolvers<void>();
    await using opened = openWorker({
      pause: (_, signal) => {
        pausing();
        return pause(2 ** 31 - 1, signal);
      },
    });
    const { log, history, deadLetters, worker } = opened;
    history.refuse = (entries) => (has(entries, "poison") ? new TypeError("too odd") : undefined);
    await send(log, ["fine", "poison"]);
    worker.start();
    await paused;
    await worker.stop();
    expect(deadLetters.letters).toEqual([]);
    expect(log.use.unpersistedEntries).toBe(2);
  });

  test("two workers share the log: every entry is stored", async () => {
    await using opened = openWorker({ batchEntriesMax: 7 });
    const { log, history, deadLetters, worker } = opened;
    const other = new PersistWorker({ log, history, deadLetters, name: "other", batchEntriesMax: 7 });
    worker.start();
    other.start();
    for (let n = 0; n < 10; n += 1) {
      await Promise.all([send(log, numbers(20), `room-${n % 4}`), send(log, numbers(20), "busy")]);
    }
    await until(() => log.use.unpersistedEntries === 0);
    await other.stop();
    expect(history.entries.size).toBe(400);
  });
});
