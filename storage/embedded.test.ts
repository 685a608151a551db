/** The embedded storage as a whole: the contracts on disk, the data directory, and a process that is killed. */
import { Database } from "bun:sqlite";
import { afterEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { MessageSchema } from "../gen/chat/v1/message_pb.ts";
import { PersistWorker } from "../worker/persist.ts";
import { type EmbeddedStorage, openEmbeddedStorage } from "./embedded.ts";
import { historyStoreContract } from "./history/history-store.contract.ts";
import { encodeMessage } from "./log/log-event.ts";
import { roomLogContract } from "./log/room-log.contract.ts";
import type { LogEntry } from "./log/room-log.ts";
import { comparePositions, formatPosition, type Position } from "./position.ts";
import { roomDirectoryContract } from "./rooms/room-directory.contract.ts";

const directories: string[] = [];
afterEach(() => {
  for (const directory of directories.splice(0)) {
    rmSync(directory, { recursive: true, force: true });
  }
});

/** A directory that does not exist yet, removed after the test. */
function newDirectory(): string {
  const parent = mkdtempSync(join(tmpdir(), "chat-storage-"));
  directories.push(parent);
  return join(parent, "made", "when needed");
}

roomLogContract(
  "embedded, on disk",
  async (bounds) => {
    const directory = newDirectory();
    let nowMs = 1_000_000;
    const open = () => openEmbeddedStorage({ directory, log: bounds, now: () => nowMs });
    let storage = open();
    return {
      log: storage.log,
      advance: async (ms) => {
        nowMs += ms;
      },
      reopen: async () => {
        await storage.close();
        storage = open();
        return storage.log;
      },
      cleanup: () => storage.close(),
    };
  },
  { modelRuns: 15 },
);

historyStoreContract("embedded, on disk", async () => {
  const storage = openEmbeddedStorage({ directory: newDirectory() });
  return { history: storage.history, cleanup: storage.close };
});

roomDirectoryContract("embedded, on disk", async () => {
  const startMs = 1_700_000_000_000;
  let nowMs = startMs;
  const storage = openEmbeddedStorage({ directory: newDirectory(), now: () => nowMs });
  return {
    rooms: storage.rooms,
    advance: async (ms) => {
      nowMs += ms;
    },
    startMs,
    cleanup: storage.close,
  };
});

describe("the data directory", () => {
  test("is refused to a second opener, by name, and free again after closing", async () => {
    const directory = newDirectory();
    const first = openEmbeddedStorage({ directory });
    expect(() => openEmbeddedStorage({ directory })).toThrow(
      `the data directory ${directory} is in use by another process`,
    );
    await first.log.append({ roomId: "a", event: new Uint8Array([1]) });
    await first.close();
    await first.close();
    const second = openEmbeddedStorage({ directory });
    expect((await second.log.readBefore("a", undefined, 1)).entries).toHaveLength(1);
    await second.close();
  });

  test("is refused to a second process, and the first goes on", async () => {
    const directory = newDirectory();
    const first = openEmbeddedStorage({ directory });
    const second = spawnWriter(directory, "NORMAL", "second", "pipe");
    expect(await second.exited).not.toBe(0);
    expect(await new Response(second.stderr).text()).toContain("DataDirectoryInUseError");
    expect(await new Response(second.stdout).text()).toBe("");
    await first.log.append({ roomId: "a", event: new Uint8Array([1]) });
    await first.close();
  });

  test("of a later release is refused and not touched", async () => {
    const directory = newDirectory();
    await openEmbeddedStorage({ directory }).close();
    const file = new Database(join(directory, "chat.db"));
    file.run("PRAGMA user_version = 99");
    file.close();
    expect(() => openEmbeddedStorage({ directory })).toThrow("have version 99, this release knows versions up to");
    const again = new Database(join(directory, "chat.db"));
    expect(again.query("PRAGMA user_version").get()).toEqual({ user_version: 99 });
    again.close();
    // The refusal did not keep the lock.
    expect(() => openEmbeddedStorage({ directory })).toThrow("have version 99");
  });

  test("can be read from outside while it is open", async () => {
    const directory = newDirectory();
    const storage = openEmbeddedStorage({ directory });
    await storage.log.append({ roomId: "a", event: new Uint8Array([1]) });
    const outside = new Database(join(directory, "chat.db"), { readonly: true });
    expect(outside.query("SELECT count(*) AS entries FROM log_journal").get()).toEqual({ entries: 1 });
    outside.close();
    await storage.close();
  });

  test("keeps rooms, history and dead letters, bytes unchanged", async () => {
    const directory = newDirectory();
    const first = openEmbeddedStorage({ directory, synchronous: "FULL" });
    const room = await first.rooms.create({ roomId: "a", title: "방", description: "" });
    const entry = { roomId: "a", position: { epoch: 1, seq: 0 }, acceptedMs: 5, event: new Uint8Array([255, 0, 1]) };
    await first.history.write([entry]);
    const delivery = { id: "1", entry, attempts: 3 };
    await first.deadLetters.add(delivery, new Error("too odd"));
    await first.deadLetters.add(delivery, new Error("again"));
    await first.close();
    const second = openEmbeddedStorage({ directory });
    expect(await second.rooms.get("a")).toEqual(room);
    expect(await second.history.get("a", entry.position)).toEqual(entry);
    const outside = new Database(join(directory, "chat.db"), { readonly: true });
    expect(outside.query("SELECT room_id, epoch, seq, event, attempts, error FROM dead_letters").all()).toEqual([
      { room_id: "a", epoch: 1, seq: 0, event: entry.event, attempts: 3, error: "Error: too odd" },
    ]);
    outside.close();
    await second.close();
  });
});

describe("a writer that is killed with SIGKILL", () => {
  for (const synchronous of ["NORMAL", "FULL"]) {
    test(`loses and doubles nothing that it acknowledged, with synchronous=${synchronous}`, async () => {
      const directory = newDirectory();
      const acked: Ack[] = [];
      for (const round of [1, 2, 3]) {
        // A moment of its own each time: somewhere among the first acknowledgements, or later in full swing.
        const acksBeforeKill = Math.floor(Math.random() ** 2 * 3_000);
        const writer = spawnWriter(directory, synchronous, `round-${round}`, "inherit");
        acked.push(...(await readAcksAndKill(writer, acksBeforeKill)));

        const storage = openEmbeddedStorage({ directory });
        const entries = await readAll(storage);
        const where = `round ${round}, killed after ${acksBeforeKill} acks`;
        expectExactlyOnce(acked, entries, where);
        await expectRepetitionsAnswered(storage, acked, where);

        // What the killed worker left is stored by the next one; then the history alone has everything.
        const worker = new PersistWorker({ ...storage, batchEntriesMax: 100 });
        worker.start();
        while (storage.log.use.unpersistedEntries > 0) {
          await new Promise((resolve) => setTimeout(resolve, 1));
        }
        await worker.stop();
        expectExactlyOnce(acked, await readHistory(storage), where);
        await storage.close();
      }
    }, 60_000);
  }
});

interface Ack {
  roomId: string;
  key: string;
  position: string;
  acceptedMs: number;
}

function spawnWriter(directory: string, synchronous: string, prefix: string, stderr: "pipe" | "inherit") {
  return Bun.spawn(
    [process.execPath, join(import.meta.dir, "embedded-crash-child.ts"), directory, synchronous, prefix],
    {
      stdout: "pipe",
      stderr,
    },
  );
}

/** Everything it printed until it was dead, also what was still in the pipe. */
async function readAcksAndKill(writer: ReturnType<typeof spawnWriter>, acksBeforeKill: number): Promise<Ack[]> {
  let printed = "";
  const decoder = new TextDecoder();
  for await (const chunk of writer.stdout) {
    printed += decoder.decode(chunk, { stream: true });
    if (!writer.killed && printed.split("\n").length > acksBeforeKill) {
      writer.kill("SIGKILL");
    }
  }
  await writer.exited;
  expect(writer.signalCode).toBe("SIGKILL");
  // The last line may be half of one.
  return printed
    .split("\n")
    .slice(0, -1)
    .map((line) => {
      const [roomId = "", key = "", position = "", acceptedMs = ""] = line.split(" ");
      return { roomId, key, position, acceptedMs: Number(acceptedMs) };
    });
}

const roomIds = ["room-0", "room-1", "room-2"];

/** All of history and log, each position once; where both have it they must agree. */
async function readAll(storage: EmbeddedStorage): Promise<LogEntry[]> {
  const byPosition = new Map((await readHistory(storage)).map((entry) => [name(entry), entry]));
  for (const roomId of roomIds) {
    let after: Position | undefined;
    for (;;) {
      const { entries, floor, top } = await storage.log.readAfter(roomId, after, 500);
      for (const entry of entries) {
        const stored = byPosition.get(name(entry));
        expect(stored ?? entry).toEqual(entry);
        byPosition.set(name(entry), entry);
      }
      after = entries.at(-1)?.position;
      if (!after) {
        // Nothing was let go that the history does not have.
        expect(!floor || byPosition.has(name({ roomId, position: floor }))).toBe(true);
        expect(!top || byPosition.has(name({ roomId, position: top }))).toBe(true);
        break;
      }
    }
  }
  return [...byPosition.values()];
}

async function readHistory(storage: EmbeddedStorage): Promise<LogEntry[]> {
  const all: LogEntry[] = [];
  for (const roomId of roomIds) {
    let after: Position | undefined;
    do {
      const page = await storage.history.page(roomId, { after, entriesMax: 1_000, from: "oldest" });
      all.push(...page);
      after = page.at(-1)?.position;
    } while (after);
  }
  return all;
}

/** Every acknowledged append is there, at its position, with its bytes; no text is there twice; no hole in an epoch. */
function expectExactlyOnce(acked: readonly Ack[], entries: readonly LogEntry[], where: string): void {
  const found = new Map(entries.map((entry) => [name(entry), entry]));
  const wrong = acked.filter(({ roomId, key, position, acceptedMs }) => {
    const entry = found.get(`${roomId} ${position}`);
    return !entry || entry.acceptedMs !== acceptedMs || !Buffer.from(entry.event).equals(eventOf(key));
  });
  expect(wrong, where).toEqual([]);
  const texts = entries.map(({ event }) => Buffer.from(event).toString("base64"));
  expect(new Set(texts).size, where).toBe(entries.length);
  for (const ofRoom of Map.groupBy(entries, ({ roomId }) => roomId).values()) {
    const positions = ofRoom.map(({ position }) => position).sort(comparePositions);
    for (const [index, position] of positions.entries()) {
      const before = positions[index - 1];
      expect(position.seq, where).toBe(before?.epoch === position.epoch ? before.seq + 1 : 0);
    }
  }
}

async function expectRepetitionsAnswered(
  storage: EmbeddedStorage,
  acked: readonly Ack[],
  where: string,
): Promise<void> {
  const answers: unknown[] = [];
  // In parts: a log takes a bounded number of appends at once.
  for (let index = 0; index < acked.length; index += 1_000) {
    const again = acked.slice(index, index + 1_000).map(async ({ roomId, key }) => {
      const appended = await storage.log.append({ roomId, event: eventOf(key), dedupe: { key, digest: key } });
      return { ...appended, position: formatPosition(appended.position) };
    });
    answers.push(...(await Promise.all(again)));
  }
  expect(answers, where).toEqual(acked.map(({ position, acceptedMs }) => ({ position, acceptedMs, duplicate: true })));
}

const name = ({ roomId, position }: Pick<LogEntry, "roomId" | "position">) => `${roomId} ${formatPosition(position)}`;
const eventOf = (key: string) => encodeMessage(create(MessageSchema, { text: key, clientMessageId: key }));
