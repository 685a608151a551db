/** The embedded room log: the contract, then what is its own: commits, memory, journal. */
import { describe, expect, spyOn, test } from "bun:test";
import { ChatDatabase } from "../chat-database.ts";
import { EmbeddedRoomLog, type EmbeddedRoomLogOptions } from "./embedded-room-log.ts";
import { RoomLogUnavailableError } from "./errors.ts";
import { roomLogContract } from "./room-log.contract.ts";

roomLogContract("embedded, in memory", async (bounds) => {
  const database = new ChatDatabase({ directory: ":memory:" });
  let nowMs = 1_000_000;
  let log = new EmbeddedRoomLog(database, { ...bounds, now: () => nowMs });
  return {
    log,
    advance: async (ms) => {
      nowMs += ms;
    },
    reopen: async () => {
      await log.close();
      log = new EmbeddedRoomLog(database, { ...bounds, now: () => nowMs });
      return log;
    },
    cleanup: async () => {
      await log.close();
      database.close();
    },
  };
});

/** A log of its own, in memory. */
function openLog(options: EmbeddedRoomLogOptions = {}) {
  const database = new ChatDatabase({ directory: ":memory:" });
  const log = new EmbeddedRoomLog(database, options);
  const close = async () => {
    await log.close();
    database.close();
  };
  return { database, log, close, [Symbol.asyncDispose]: close };
}

const small = (n: number) => new Uint8Array([n]);
const never = () => new AbortController().signal;

/** Takes and acknowledges what is there. */
async function persistAll(log: EmbeddedRoomLog, name = "persist"): Promise<void> {
  const consumer = await log.consumer("persist", name);
  while (log.use.unpersistedEntries > 0) {
    await consumer.ack(await consumer.take(1_000, never()));
  }
  await consumer.close();
}

describe("a commit of the embedded room log", () => {
  test("what is appended and acknowledged in one turn is one transaction", async () => {
    await using opened = openLog();
    const { database, log } = opened;
    await log.append({ roomId: "a", event: small(0) });
    const consumer = await log.consumer("persist", "one");
    const deliveries = await consumer.take(10, never());
    const transactions = spyOn(database, "transaction");
    const sends = Array.from({ length: 50 }, (_, n) => log.append({ roomId: `room-${n}`, event: small(n) }));
    await Promise.all([...sends, consumer.ack(deliveries)]);
    expect(transactions).toHaveBeenCalledTimes(1);
  });

  test("a transaction takes at most its bound, in the order of the appends", async () => {
    await using opened = openLog({ commitEntriesMax: 10 });
    const { database, log } = opened;
    const transactions = spyOn(database, "transaction");
    const sends = Array.from({ length: 25 }, (_, n) => log.append({ roomId: "a", event: small(n) }));
    expect((await Promise.all(sends)).map(({ position }) => position.seq)).toEqual(sends.map((_, n) => n));
    expect(transactions).toHaveBeenCalledTimes(3);
  });

  test("appends beyond what may wait for a transaction are refused at once", async () => {
    await using opened = openLog({ appendsWaitingMax: 2 });
    const settled = await Promise.allSettled([1, 2, 3].map((n) => opened.log.append({ roomId: "a", event: small(n) })));
    expect(settled.map(({ status }) => status)).toEqual(["fulfilled", "fulfilled", "rejected"]);
    expect(settled[2]).toMatchObject({ reason: { name: "RoomLogFullError", retryable: true } });
  });

  test("followers hear of an entry before its author gets the answer, and the entry is readable by then", async () => {
    await using opened = openLog();
    const { log } = opened;
    const happened: string[] = [];
    await log.follow("a", {
      entry: ({ position }) => {
        happened.push(`follower ${position.seq}`);
        void log.readBefore("a", undefined, 1).then(({ top }) => happened.push(`read ${top?.seq}`));
      },
      lost: () => {},
    });
    await log.append({ roomId: "a", event: small(1) });
    happened.push("answer");
    expect(happened).toEqual(["follower 0", "read 0", "answer"]);
  });

  test("where it fails, everything in it is refused, nobody sees any of it and no position is used up", async () => {
    await using opened = openLog();
    const { database, log } = opened;
    const seen: number[] = [];
    await log.follow("a", { entry: ({ position }) => seen.push(position.seq), lost: () => {} });
    await log.append({ roomId: "a", event: small(0) });
    const consumer = await log.consumer("persist", "one");
    const deliveries = await consumer.take(10, never());

    // The disk is full: the file may not grow.
    database.run("PRAGMA max_page_count = 1");
    const dedupe = { key: "key", digest: "digest" };
    const settled = await Promise.allSettled([
      log.append({ roomId: "a", event: small(1), dedupe }),
      log.append({ roomId: "b", event: new Uint8Array(500_000), final: true }),
      consumer.ack(deliveries),
    ]);
    for (const one of settled) {
      expect(one).toMatchObject({ status: "rejected", reason: { name: "RoomLogUnavailableError", retryable: true } });
    }
    expect(seen).toEqual([0]);
    expect(await log.readBefore("b", undefined, 1)).toEqual({ entries: [], floor: undefined, top: undefined });
    expect(log.use).toMatchObject({ entries: 1, unpersistedEntries: 1 });

    database.run("PRAGMA max_page_count = 1000000");
    await consumer.ack(deliveries);
    expect(log.use.unpersistedEntries).toBe(0);
    const [first, second] = await Promise.all([
      log.append({ roomId: "a", event: small(1), dedupe }),
      log.append({ roomId: "b", event: small(2) }),
    ]);
    expect(first).toMatchObject({ position: { seq: 1 }, duplicate: false });
    expect(second).toMatchObject({ position: { seq: 0 }, duplicate: false });
    expect(seen).toEqual([0, 1]);
  });
});

describe("the memory of the embedded room log", () => {
  test("a room keeps its newest entries; the floor rises over those that the history has", async () => {
    await using opened = openLog({ roomLogEntriesMax: 3 });
    const { log } = opened;
    for (let n = 0; n < 10; n += 1) {
      await log.append({ roomId: "a", event: small(n) });
    }
    expect(log.use).toMatchObject({ entries: 10, unpersistedEntries: 10 });
    await persistAll(log);
    expect(log.use).toMatchObject({ entries: 3, unpersistedEntries: 0 });
    const page = await log.readAfter("a", undefined, 10);
    expect(page.floor?.seq).toBe(6);
    expect(page.entries.map(({ position }) => position.seq)).toEqual([7, 8, 9]);
  });

  test("the room that is idle for longest leaves memory for a new one and goes on where it stood", async () => {
    await using opened = openLog({ roomsInMemoryMax: 2 });
    const { log } = opened;
    const first = await log.append({ roomId: "a", event: small(1) });
    await persistAll(log);
    await log.append({ roomId: "b", event: small(2) });
    await persistAll(log);
    await log.append({ roomId: "c", event: small(3) });
    expect(log.use.rooms).toBe(2);
    expect(await log.readBefore("a", undefined, 1)).toEqual({
      entries: [],
      floor: first.position,
      top: first.position,
    });
    await persistAll(log);
    const { position } = await log.append({ roomId: "a", event: small(4) });
    expect(position).toEqual({ epoch: first.position.epoch, seq: 1 });
    expect((await log.readAfter("a", undefined, 10)).entries).toHaveLength(1);
  });

  test("where no room can leave memory a further one is refused, and the rooms there go on", async () => {
    await using opened = openLog({ roomsInMemoryMax: 2 });
    const { log } = opened;
    const following = await log.follow("a", { entry: () => {}, lost: () => {} });
    await log.append({ roomId: "b", event: small(1) });
    const full = { name: "RoomLogFullError", entries: 2, entriesMax: 2 };
    const refused = { status: "rejected", reason: full };
    expect(await Promise.allSettled([log.append({ roomId: "c", event: small(2) })])).toMatchObject([refused]);
    expect(await Promise.allSettled([log.follow("c", { entry: () => {}, lost: () => {} })])).toMatchObject([refused]);
    await log.append({ roomId: "a", event: small(3) });
    following.stop();
    await persistAll(log);
    expect(await log.append({ roomId: "c", event: small(4) })).toMatchObject({ position: { seq: 0 } });
  });

  test("a room that is written in a transaction does not leave memory in the same one", async () => {
    await using opened = openLog({ roomsInMemoryMax: 1 });
    const { log } = opened;
    await log.append({ roomId: "a", event: small(1) });
    await persistAll(log);
    const settled = await Promise.allSettled(["a", "b", "a"].map((roomId) => log.append({ roomId, event: small(2) })));
    expect(settled.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
    expect((await log.readAfter("a", undefined, 10)).entries).toHaveLength(3);
    await persistAll(log);
    expect(log.use).toMatchObject({ rooms: 1, entries: 3, unpersistedEntries: 0 });
  });

  test("a room whose last follower has gone, or whose first append failed, can leave memory", async () => {
    await using opened = openLog({ roomsInMemoryMax: 1 });
    const { database, log } = opened;
    const following = await log.follow("a", { entry: () => {}, lost: () => {} });
    following.stop();
    database.run("PRAGMA max_page_count = 1");
    const failed = await log.append({ roomId: "b", event: new Uint8Array(500_000) }).catch((error) => error);
    expect(failed).toBeInstanceOf(RoomLogUnavailableError);
    database.run("PRAGMA max_page_count = 1000000");
    expect(await log.append({ roomId: "c", event: small(1) })).toMatchObject({ position: { seq: 0 } });
    expect(log.use.rooms).toBe(1);
  });

  test("beyond the bound of all rooms, idle rooms give their entries back first, then the others what the history has", async () => {
    await using opened = openLog({ entriesInMemoryMax: 20 });
    const { log } = opened;
    await log.follow("busy", { entry: () => {}, lost: () => {} });
    for (const roomId of ["idle", "busy"]) {
      for (let n = 0; n < 10; n += 1) {
        await log.append({ roomId, event: small(n) });
      }
      await persistAll(log);
    }
    await log.append({ roomId: "busy", event: small(10) });
    expect((await log.readBefore("idle", undefined, 100)).entries).toEqual([]);
    expect((await log.readBefore("busy", undefined, 100)).entries).toHaveLength(11);
    for (let n = 0; n < 10; n += 1) {
      await log.append({ roomId: "busy", event: small(n) });
    }
    const { entries, floor } = await log.readBefore("busy", undefined, 100);
    expect(entries.map(({ position }) => position.seq)).toEqual([10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20]);
    expect(floor?.seq).toBe(9);
  });

  test("hot words that nobody counts do not stop the chat: the oldest are dropped and told", async () => {
    const dropped: [string, number][] = [];
    await using opened = openLog({ hotWordsLogEntriesMax: 4, onDropped: (...args) => dropped.push(args) });
    const { log } = opened;
    for (let n = 0; n < 6; n += 1) {
      await log.append({ roomId: "a", event: small(n) });
    }
    expect(dropped).toEqual([
      ["hot-words", 1],
      ["hot-words", 1],
    ]);
    const consumer = await log.consumer("hot-words", "one");
    const deliveries = await consumer.take(10, never());
    expect(deliveries.map(({ entry }) => entry.position.seq)).toEqual([2, 3, 4, 5]);
    await log.append({ roomId: "a", event: small(6) });
    await consumer.ack(deliveries);
    expect(log.use.hotWordsEntries).toBe(0);
  });
});

describe("taking from the embedded room log", () => {
  test("a member that acknowledges late gets its own rooms and free ones in turn", async () => {
    await using opened = openLog();
    const { log } = opened;
    for (let n = 0; n < 8; n += 1) {
      await log.append({ roomId: "busy", event: small(n) });
    }
    for (let n = 0; n < 8; n += 1) {
      await log.append({ roomId: `quiet-${n}`, event: small(n) });
    }
    const consumer = await log.consumer("persist", "one");
    const rooms: string[] = [];
    for (let n = 0; n < 16; n += 1) {
      const deliveries = await consumer.take(1, never());
      rooms.push(...deliveries.map(({ entry }) => (entry.roomId === "busy" ? "busy" : "quiet")));
    }
    expect(rooms.slice(1, 5).toSorted()).toEqual(["busy", "busy", "quiet", "quiet"]);
    expect(rooms.filter((room) => room === "busy")).toHaveLength(8);
  });
});

describe("the journal of the embedded room log", () => {
  test("every opening begins a later epoch, also when the clock went back", async () => {
    const { database, log, close } = openLog({ now: () => 5_000 });
    const first = await log.append({ roomId: "a", event: small(1) });
    await log.close();
    const second = new EmbeddedRoomLog(database, { now: () => 1_000 });
    const { position } = await second.append({ roomId: "a", event: small(2) });
    expect([first.position.epoch, position.epoch]).toEqual([5_000, 5_001]);
    expect((await second.readAfter("a", first.position, 10)).entries).toHaveLength(1);
    await second.close();
    await close();
  });

  test("opening takes everything that was not acknowledged, whatever the bounds are now", async () => {
    const { database, log, close } = openLog();
    for (const roomId of ["a", "b", "c"]) {
      await log.append({ roomId, event: small(1) });
    }
    await log.close();
    const again = new EmbeddedRoomLog(database, { roomsInMemoryMax: 1, persistLogEntriesMax: 1, roomLogEntriesMax: 1 });
    expect(again.use).toMatchObject({ rooms: 3, entries: 3, unpersistedEntries: 3 });
    expect(await again.append({ roomId: "a", event: small(2) }).catch((error) => error.name)).toBe("RoomLogFullError");
    await persistAll(again);
    expect(await again.append({ roomId: "a", event: small(2) })).toMatchObject({ duplicate: false });
    await again.close();
    await close();
  });

  test("keys older than their window leave the disk as new ones come", async () => {
    let nowMs = 1_000_000;
    await using opened = openLog({ dedupeWindowMs: 1_000, now: () => nowMs });
    const { database, log } = opened;
    const keys = database.prepare<{ keys: number }, []>("SELECT count(*) AS keys FROM log_dedupe");
    const send = (key: string) => log.append({ roomId: "a", event: small(1), dedupe: { key, digest: "" } });
    await Promise.all(Array.from({ length: 250 }, (_, n) => send(`old-${n}`)));
    nowMs += 1_000;
    await send("new-1");
    expect(keys.get()?.keys).toBe(151);
    await send("new-2");
    await send("new-3");
    expect(keys.get()?.keys).toBe(3);
  });

  test("closing commits what was appended before, and refuses what comes after", async () => {
    const { database, log, close } = openLog();
    const words = (await log.consumer("hot-words", "one")).take(10, never());
    const pending = log.append({ roomId: "b", event: small(1) });
    await log.close();
    expect(await pending).toMatchObject({ duplicate: false });
    expect(await words).toHaveLength(1);
    for (const call of [
      () => log.append({ roomId: "a", event: small(1) }),
      () => log.follow("a", { entry: () => {}, lost: () => {} }),
      () => log.readAfter("a", undefined, 1),
      () => log.consumer("persist", "two"),
    ]) {
      expect(await call().catch((error) => error.name)).toBe("RoomLogUnavailableError");
    }
    const again = new EmbeddedRoomLog(database);
    expect((await again.readBefore("b", undefined, 1)).entries).toHaveLength(1);
    await again.close();
    await close();
  });

  test("who waits for entries when the log closes is refused", async () => {
    await using opened = openLog();
    const consumer = await opened.log.consumer("persist", "one");
    const waiting = consumer.take(10, never());
    await opened.log.close();
    expect(await waiting.catch((error) => error)).toBeInstanceOf(RoomLogUnavailableError);
  });

  test("two members of a group cannot have one name", async () => {
    await using opened = openLog();
    await opened.log.consumer("persist", "one");
    expect(await opened.log.consumer("persist", "one").catch(String)).toContain("has a member called one already");
    await opened.log.consumer("hot-words", "one");
  });
});
