/**
 * What every history must do, as tests. A file of tests calls `historyStoreContract` with a way to open an empty one.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { LogEntry } from "../log/room-log.ts";
import { comparePositions, formatPosition, type Position } from "../position.ts";
import type { HistoryStore } from "./history-store.ts";

export interface HistoryStoreFixture {
  /** Empty. */
  history: HistoryStore;
  cleanup(): Promise<void>;
}

/** Registers the suite. `open` is called for each test and, by the model, for each run. */
export function historyStoreContract(name: string, open: () => Promise<HistoryStoreFixture>): void {
  const within = async (work: (history: HistoryStore) => Promise<void>) => {
    const { history, cleanup } = await open();
    try {
      await work(history);
    } finally {
      await cleanup();
    }
  };

  describe(`history: ${name}`, () => {
    test("an entry comes back as it was written, bytes and time unchanged", () =>
      within(async (history) => {
        const written = { ...entry("a", 1_700_000_000_000, 7), event: new Uint8Array([0, 255, 10, 0]) };
        await history.write([written]);
        expect(plain(await history.get("a", written.position))).toEqual(plain(written));
        expect((await history.page("a", { entriesMax: 1, from: "newest" })).map(plain)).toEqual([plain(written)]);
      }));

    test("an entry without bytes is an entry", () =>
      within(async (history) => {
        const written = { ...entry("a", 1, 0), event: new Uint8Array() };
        await history.write([written]);
        expect(plain(await history.get("a", written.position))).toEqual(plain(written));
      }));

    test("what was never written is not there", () =>
      within(async (history) => {
        await history.write([]);
        await history.write([entry("a", 1, 0)]);
        expect(await history.get("a", { epoch: 1, seq: 1 })).toBeUndefined();
        expect(await history.get("b", { epoch: 1, seq: 0 })).toBeUndefined();
        expect(await history.page("b", { entriesMax: 10, from: "oldest" })).toEqual([]);
      }));

    test("writing again changes nothing", () =>
      within(async (history) => {
        const entries = [entry("a", 1, 0), entry("a", 1, 1)];
        await history.write(entries);
        await history.write([...entries, entry("a", 1, 2)]);
        await history.write(entries);
        expect(seqs(await history.page("a", { entriesMax: 10, from: "oldest" }))).toEqual(["1-0", "1-1", "1-2"]);
      }));

    test("positions are ordered as numbers, epoch before seq", () =>
      within(async (history) => {
        // In the order of text 10-0 would come before 9-0 and 9-10 before 9-9.
        await history.write([
          entry("a", 10, 0),
          entry("a", 9, 10),
          entry("a", 9, 9),
          entry("a", 999_999_999_999_999, 1),
        ]);
        expect(seqs(await history.page("a", { entriesMax: 10, from: "oldest" }))).toEqual([
          "9-9",
          "9-10",
          "10-0",
          "999999999999999-1",
        ]);
      }));

    test("a page begins after `after`, ends before `before` and is read from the end asked for, always oldest first", () =>
      within(async (history) => {
        await history.write([1, 2].flatMap((epoch) => [0, 1, 2, 3, 4].map((seq) => entry("a", epoch, seq))));
        const page = async (from: "oldest" | "newest", entriesMax: number, after?: Position, before?: Position) =>
          seqs(await history.page("a", { after, before, entriesMax, from }));
        expect(await page("oldest", 3)).toEqual(["1-0", "1-1", "1-2"]);
        expect(await page("newest", 3)).toEqual(["2-2", "2-3", "2-4"]);
        expect(await page("oldest", 3, at(1, 3))).toEqual(["1-4", "2-0", "2-1"]);
        expect(await page("newest", 3, undefined, at(2, 1))).toEqual(["1-3", "1-4", "2-0"]);
        expect(await page("oldest", 9, at(1, 3), at(2, 1))).toEqual(["1-4", "2-0"]);
        expect(await page("newest", 1, at(1, 3), at(2, 1))).toEqual(["2-0"]);
        // Positions that nobody has are places between others.
        expect(await page("oldest", 2, at(1, 99))).toEqual(["2-0", "2-1"]);
        expect(await page("newest", 2, undefined, at(1, 99))).toEqual(["1-3", "1-4"]);
        expect(await page("oldest", 9, at(2, 4))).toEqual([]);
        expect(await page("newest", 9, undefined, at(1, 0))).toEqual([]);
        expect(await page("oldest", 9, at(2, 1), at(1, 3))).toEqual([]);
        expect(await page("oldest", 9, at(1, 3), at(1, 3))).toEqual([]);
      }));

    test("a page holds up to a thousand entries", () =>
      within(async (history) => {
        await history.write(Array.from({ length: 1_100 }, (_, seq) => entry("a", 1, seq)));
        expect(await history.page("a", { entriesMax: 1_000, from: "oldest" })).toHaveLength(1_000);
        for (const entriesMax of [0, 1_001, 1.5]) {
          const refused = await history.page("a", { entriesMax, from: "oldest" }).catch((error) => error);
          expect(refused).toBeInstanceOf(RangeError);
        }
      }));

    test("rooms are apart, also where one's id begins with the other's", () =>
      within(async (history) => {
        await history.write([entry("a", 1, 0), entry("a-b", 1, 0), entry("a-b", 1, 1)]);
        expect(await history.page("a", { entriesMax: 10, from: "oldest" })).toHaveLength(1);
        expect(await history.page("a-b", { entriesMax: 10, from: "newest" })).toHaveLength(2);
      }));

    test("after closing every call is refused with an error that says so", () =>
      within(async (history) => {
        await history.close();
        for (const call of [
          () => history.write([entry("a", 1, 0)]),
          () => history.page("a", { entriesMax: 1, from: "oldest" }),
          () => history.get("a", at(1, 0)),
        ]) {
          const refused = await call().catch((error) => error);
          expect(refused).toMatchObject({ name: "HistoryUnavailableError", retryable: true });
        }
      }));

    test("whatever is written in whatever order, pages in both directions walk all of it", async () => {
      const position = fc.record({ epoch: fc.integer({ min: 1, max: 4 }), seq: fc.integer({ min: 0, max: 30 }) });
      const batches = fc.array(fc.array(fc.tuple(fc.constantFrom("a", "b"), position), { maxLength: 30 }), {
        maxLength: 6,
      });
      await fc.assert(
        fc.asyncProperty(batches, fc.integer({ min: 1, max: 9 }), async (writes, entriesMax) => {
          await within(async (history) => {
            for (const batch of writes) {
              await history.write(batch.map(([roomId, { epoch, seq }]) => entry(roomId, epoch, seq)));
            }
            for (const roomId of ["a", "b"]) {
              const all = writes.flat().flatMap(([id, at]) => (id === roomId ? [at] : []));
              const expected = [...new Map(all.map((at) => [formatPosition(at), at])).values()]
                .toSorted(comparePositions)
                .map(formatPosition);
              expect(await walk(history, roomId, entriesMax, "oldest")).toEqual(expected);
              expect(await walk(history, roomId, entriesMax, "newest")).toEqual(expected);
            }
          });
        }),
        { numRuns: 50 },
      );
    }, 60_000);
  });
}

/** All of a room by pages from one end; answers it oldest first. */
async function walk(
  history: HistoryStore,
  roomId: string,
  entriesMax: number,
  from: "oldest" | "newest",
): Promise<string[]> {
  let walked: LogEntry[] = [];
  for (;;) {
    const edge = from === "oldest" ? { after: walked.at(-1)?.position } : { before: walked[0]?.position };
    const page = await history.page(roomId, { ...edge, entriesMax, from });
    if (page.length === 0) {
      return seqs(walked);
    }
    walked = from === "oldest" ? [...walked, ...page] : [...page, ...walked];
  }
}

function entry(roomId: string, epoch: number, seq: number): LogEntry {
  const event = new TextEncoder().encode(`${roomId} ${epoch}-${seq}`);
  return { roomId, position: { epoch, seq }, acceptedMs: 1_700_000_000_000 + seq, event };
}

const at = (epoch: number, seq: number): Position => ({ epoch, seq });
const seqs = (entries: LogEntry[]) => entries.map(({ position }) => formatPosition(position));
const plain = (value: LogEntry | undefined) => value && { ...value, event: [...value.event] };
