/** The history in a real Cassandra: the contract, where rows lie, and what writing twice, late and at once does. */
import { afterAll, beforeAll, describe, expect, spyOn, test } from "bun:test";
import { randomUUID } from "node:crypto";
import fc from "fast-check";
import { cassandraStartTimeoutMs, sharedCassandra } from "../../test/harness/cassandra.ts";
import { CassandraConnection } from "../cassandra/connection.ts";
import type { LogEntry } from "../log/room-log.ts";
import { comparePositions, formatPosition } from "../position.ts";
import { CassandraHistoryStore } from "./cassandra-history-store.ts";
import { historyStoreContract } from "./history-store.contract.ts";
import type { HistoryStore } from "./history-store.ts";

let connection: CassandraConnection;
let other: CassandraConnection;

beforeAll(async () => {
  const keyspace = (await sharedCassandra()).freshKeyspace();
  connection = new CassandraConnection(keyspace);
  await connection.ready();
  other = new CassandraConnection(keyspace);
  await other.ready();
}, cassandraStartTimeoutMs);

afterAll(async () => {
  await connection?.close();
  await other?.close();
});

historyStoreContract("Cassandra", async () => {
  const history = new CassandraHistoryStore(connection);
  return { history: inRoomsOfItsOwn(history), cleanup: () => history.close() };
});

/** A view of a history in which all rooms are empty at first: making and dropping tables for each test takes seconds. */
function inRoomsOfItsOwn(history: HistoryStore): HistoryStore {
  const prefix = `${randomUUID()} `;
  const outside = (entry: LogEntry) => ({ ...entry, roomId: prefix + entry.roomId });
  const inside = (entry: LogEntry) => ({ ...entry, roomId: entry.roomId.slice(prefix.length) });
  return {
    write: (entries) => history.write(entries.map(outside)),
    page: async (roomId, range) => (await history.page(prefix + roomId, range)).map(inside),
    get: async (roomId, position) => {
      const entry = await history.get(prefix + roomId, position);
      return entry && inside(entry);
    },
    close: () => history.close(),
  };
}

const acceptedMs = 1_700_000_000_000;
const eraMs = 2 ** 35;
const entry = (roomId: string, epoch: number, seq: number, event = `${roomId} ${epoch}-${seq}`): LogEntry => ({
  roomId,
  position: { epoch, seq },
  acceptedMs: acceptedMs + (seq % 1_000),
  event: new TextEncoder().encode(event),
});
const names = (entries: LogEntry[]) => entries.map(({ position }) => formatPosition(position));

/** All of a room, by pages from one end. */
async function walk(history: HistoryStore, roomId: string, entriesMax: number, from: "oldest" | "newest") {
  const walked: LogEntry[] = [];
  for (;;) {
    const range = from === "oldest" ? { after: walked.at(-1)?.position } : { before: walked[0]?.position };
    const page = await history.page(roomId, { ...range, entriesMax, from });
    if (page.length === 0) {
      return names(walked);
    }
    walked[from === "oldest" ? "push" : "unshift"](...page);
  }
}

const rowsOf = async (table: string, roomId: string) =>
  (await connection.execute({ query: `SELECT * FROM ${table} WHERE room_id = ? ALLOW FILTERING`, params: [roomId] }))
    .rows;

describe("where rows lie", () => {
  test("a quiet room is read whole from two partitions, however often its log began anew", async () => {
    const history = new CassandraHistoryStore(connection);
    const epochs = Array.from({ length: 40 }, (_, n) => acceptedMs + n * 1_000_000);
    await history.write(epochs.flatMap((epoch) => [0, 1, 2].map((seq) => entry("quiet", epoch, seq))));
    const execute = spyOn(connection, "execute");
    try {
      for (const from of ["oldest", "newest"] as const) {
        execute.mockClear();
        const page = await history.page("quiet", { entriesMax: 1_000, from });
        expect(names(page)).toEqual(epochs.flatMap((epoch) => [0, 1, 2].map((seq) => `${epoch}-${seq}`)));
        // The list of buckets, and the one bucket.
        expect(execute).toHaveBeenCalledTimes(2);
      }
    } finally {
      execute.mockRestore();
    }
  });

  test("paging through a bucket asks for each page once", async () => {
    const history = new CassandraHistoryStore(connection);
    await history.write(Array.from({ length: 500 }, (_, n) => entry("busy", 5, 40_000 + n)));
    const execute = spyOn(connection, "execute");
    try {
      for (const range of [
        { from: "newest", before: { epoch: 5, seq: 40_300 } },
        { from: "oldest", after: { epoch: 5, seq: 40_100 } },
      ] as const) {
        execute.mockClear();
        expect(await history.page("busy", { ...range, entriesMax: 100 })).toHaveLength(100);
        expect(execute).toHaveBeenCalledTimes(1);
      }
    } finally {
      execute.mockRestore();
    }
  });

  test("pages go on over the borders of buckets, epochs and eras, both ways", async () => {
    const seqs = [0, 1, 1_022, 1_023, 1_024, 32_767, 32_768, 32_769, 65_535, 65_536];
    const epochs = [eraMs - 2, eraMs - 1, eraMs, eraMs + 1, 2 * eraMs];
    const position = fc.record({ epoch: fc.constantFrom(...epochs), seq: fc.constantFrom(...seqs) });
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(position, { selector: formatPosition, maxLength: 50 }),
        fc.integer({ min: 1, max: 20 }),
        fc.tuple(position, position),
        async (positions, entriesMax, [after, before]) => {
          const history = new CassandraHistoryStore(connection);
          const roomId = randomUUID();
          await history.write(positions.map(({ epoch, seq }) => entry(roomId, epoch, seq)));
          const sorted = positions.toSorted(comparePositions);
          expect(await walk(history, roomId, entriesMax, "oldest")).toEqual(sorted.map(formatPosition));
          expect(await walk(history, roomId, entriesMax, "newest")).toEqual(sorted.map(formatPosition));
          const between = sorted.filter((at) => comparePositions(at, after) > 0 && comparePositions(at, before) < 0);
          for (const [from, expected] of [
            ["oldest", between.slice(0, entriesMax)],
            ["newest", between.slice(-entriesMax)],
          ] as const) {
            const page = await history.page(roomId, { after, before, entriesMax, from });
            expect(names(page)).toEqual(expected.map(formatPosition));
          }
        },
      ),
      { numRuns: 25 },
    );
  }, 60_000);

  test("more buckets than one look at their list brings are walked all", async () => {
    const history = new CassandraHistoryStore(connection);
    const epochs = Array.from({ length: 150 }, (_, n) => (n + 1) * eraMs);
    await history.write(epochs.map((epoch) => entry("long", epoch, 0)));
    const all = epochs.map((epoch) => `${epoch}-0`);
    expect(names(await history.page("long", { entriesMax: 1_000, from: "oldest" }))).toEqual(all);
    expect(names(await history.page("long", { entriesMax: 1_000, from: "newest" }))).toEqual(all);
  });

  test("a bucket that a writer listed before it died is passed over", async () => {
    const history = new CassandraHistoryStore(connection);
    await history.write([entry("half", 5, 0), entry("half", 5, 70_000)]);
    await connection.execute({
      query: "INSERT INTO history_buckets (room_id, epoch, bucket) VALUES ('half', 5, 2)",
      params: [],
    });
    expect(await walk(history, "half", 1, "oldest")).toEqual(["5-0", "5-70000"]);
    expect(await walk(history, "half", 1, "newest")).toEqual(["5-0", "5-70000"]);
  });
});

describe("writing", () => {
  test("the same twice, and by two workers at once, leaves one row with equal bytes", async () => {
    const entries = Array.from({ length: 120 }, (_, seq) => entry("twice", 7, seq + 1_000));
    const stores = [new CassandraHistoryStore(connection), new CassandraHistoryStore(other)];
    await Promise.all(stores.map((store) => store.write(entries)));
    await stores[0]?.write(entries);
    const rows = await rowsOf("history", "twice");
    expect(rows).toHaveLength(120);
    const events = new Map(rows.map((row) => [Number(row.seq), String(row.event)]));
    expect(events).toEqual(new Map(entries.map((each) => [each.position.seq, String(Buffer.from(each.event))])));
  });

  test("what was deleted stays deleted when a late worker writes it again", async () => {
    const store = new CassandraHistoryStore(connection);
    const kept = entry("moderated", 7, 0);
    const gone = entry("moderated", 7, 1);
    await store.write([kept, gone]);
    await connection.execute({
      query: "DELETE FROM history WHERE room_id = 'moderated' AND era = 0 AND bucket = 0 AND epoch = 7 AND seq = 1",
      params: [],
    });
    await new CassandraHistoryStore(other).write([kept, gone]);
    expect(names(await store.page("moderated", { entriesMax: 10, from: "oldest" }))).toEqual(["7-0"]);
    expect(await store.get("moderated", gone.position)).toBeUndefined();
  });

  test("goes in batches of one partition, of 50 rows or 64 KiB at most", async () => {
    const entries = [
      ...Array.from({ length: 120 }, (_, seq) => entry("many", 7, seq)),
      ...Array.from({ length: 10 }, (_, seq) => entry("large", 7, seq, "x".repeat(20_000))),
      entry("larger", 7, 0, "x".repeat(200_000)),
      ...[1_023, 1_024].map((seq) => entry("border", 7, seq)),
    ];
    const writePartition = spyOn(connection, "writePartition");
    try {
      await new CassandraHistoryStore(connection).write(entries);
      const batches = writePartition.mock.calls.map(([statements]) => statements);
      expect(batches.map((batch) => `${batch[0]?.params[0]} ${batch.length}`).toSorted()).toEqual(
        [
          "many 50",
          "many 50",
          "many 20",
          "large 3",
          "large 3",
          "large 3",
          "large 1",
          "larger 1",
          "border 1",
          "border 1",
        ].toSorted(),
      );
      for (const batch of batches) {
        expect(new Set(batch.map(({ params }) => params.slice(0, 3).join(" "))).size).toBe(1);
      }
    } finally {
      writePartition.mockRestore();
    }
  });

  test("an entry that can never be written is refused as such, and not as a history out of reach", async () => {
    const store = new CassandraHistoryStore(connection);
    for (const [poison, message] of [
      [{ ...entry("poison", 1, 0), acceptedMs: 0.5 }, "acceptedMs of entry poison 1-0 is 0.5"],
      [entry("poison", 1, -1), "seq of entry poison 1--1 is -1"],
      [entry("poison", 1, 0, "x".repeat(1_048_577)), "has 1048577 bytes, the limit is 1048576"],
    ] as const) {
      const refused = await store.write([entry("poison", 1, 5), poison]).catch((error) => error);
      expect(refused).toBeInstanceOf(RangeError);
      expect(refused.message).toContain(message);
    }
    const longId = await store.write([entry("x".repeat(70_000), 1, 0)]).catch((error) => error);
    expect(longId.name).toBe("ResponseError");
    await store.write([entry("poison", 1, 0, "x".repeat(1_048_576))]);
    expect((await store.get("poison", { epoch: 1, seq: 0 }))?.event).toHaveLength(1_048_576);
  });
});

test("those who ask for the same page at the same time share one reading, and each has a list of its own", async () => {
  const history = new CassandraHistoryStore(connection);
  await history.write([entry("joined", 1, 0)]);
  const execute = spyOn(connection, "execute");
  try {
    const read = () => history.page("joined", { entriesMax: 50, from: "newest" });
    const pages = await Promise.all(Array.from({ length: 100 }, read));
    expect(execute).toHaveBeenCalledTimes(2);
    pages[0]?.pop();
    expect(pages.slice(1).every((page) => page.length === 1)).toBeTrue();
    // Over, not remembered.
    await history.write([entry("joined", 1, 1)]);
    expect(names(await read())).toEqual(["1-0", "1-1"]);
  } finally {
    execute.mockRestore();
  }
});
