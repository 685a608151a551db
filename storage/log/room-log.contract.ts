/**
 * What every room log must do, as tests: examples first, then a model that random commands are checked against.
 *
 * A file of tests calls `roomLogContract` with a way to open its log. The suite uses the seam alone and what the fixture
 * gives: a clock to move and, where the log keeps what it was told, a way to open it again.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { comparePositions, formatPosition, type Position } from "../position.ts";
import { ClientMessageIdReusedError, RoomClosedError, RoomLogFullError } from "./errors.ts";
import type {
  Appended,
  Delivery,
  Following,
  LogConsumer,
  LogEntry,
  LostRange,
  NewEntry,
  RoomFollower,
  RoomLog,
} from "./room-log.ts";

/** The bounds to open a log with. */
export interface RoomLogBounds {
  dedupeWindowMs: number;
  /** Entries that a room's log keeps although the history has them. */
  roomLogEntriesMax: number;
  /** Entries that group persist has not acknowledged. */
  persistLogEntriesMax: number;
}

export interface RoomLogFixture {
  /** Empty. */
  log: RoomLog;
  /** Moves the log's clock forward. */
  advance(ms: number): Promise<void>;
  /** Closes the log and opens what it kept. Undefined: what was appended outlives this process by itself. */
  reopen?(): Promise<RoomLog>;
  /** Rooms with the same answer share one `persistLogEntriesMax`. Undefined: all rooms do. */
  boundedWith?(roomId: string): number;
  /** Rooms with the same answer are in the hands of one member together. Undefined: each room by itself. */
  heldWith?(roomId: string): number;
  cleanup(): Promise<void>;
}

const wide: RoomLogBounds = { dedupeWindowMs: 300_000, roomLogEntriesMax: 1_000, persistLogEntriesMax: 100_000 };

/**
 * Registers the suite. `open` is called for each test and, by the model, for each run.
 * @param modelRuns how many random lists of commands the model is asked about; fewer where opening a log is slow
 */
export function roomLogContract(
  name: string,
  open: (bounds: RoomLogBounds) => Promise<RoomLogFixture>,
  { modelRuns = 100 }: { modelRuns?: number } = {},
): void {
  const within = async (bounds: Partial<RoomLogBounds>, work: (fixture: RoomLogFixture) => Promise<void>) => {
    const fixture = await open({ ...wide, ...bounds });
    try {
      await work(fixture);
    } finally {
      await fixture.cleanup();
    }
  };

  describe(`room log: ${name}`, () => {
    describe("append", () => {
      test("positions rise and count without holes, in each room by itself", () =>
        within({}, async ({ log }) => {
          for (const roomId of ["a", "b"]) {
            const appended = [await log.append(entry(roomId, 0)), ...(await appendAll(log, roomId, 1, 20))];
            expect(appended.map(({ position }) => position.seq)).toEqual(range(0, 20));
            expect(new Set(appended.map(({ position }) => position.epoch)).size).toBe(1);
            expect(appended.every(({ duplicate }) => !duplicate)).toBe(true);
          }
        }));

      test("what is appended can be read, bytes and times unchanged", () =>
        within({}, async ({ log }) => {
          const event = new Uint8Array([0, 255, 10, 13, 0]);
          const { position, acceptedMs } = await log.append({ roomId: "a", event });
          const { entries } = await log.readBefore("a", undefined, 1);
          expect(entries.map(plain)).toEqual([{ roomId: "a", position, acceptedMs, event: [0, 255, 10, 13, 0] }]);
        }));

      test("a repetition answers the first position and time and adds nothing", () =>
        within({}, async ({ log, advance }) => {
          const first = await log.append(entry("a", 1, "key"));
          await log.append(entry("a", 2));
          await advance(1_000);
          expect(await log.append(entry("a", 1, "key"))).toEqual({ ...first, duplicate: true });
          expect((await log.readAfter("a", undefined, 10)).entries).toHaveLength(2);
        }));

      test("the same entry sent many times at once is appended once", () =>
        within({}, async ({ log }) => {
          const appended = await Promise.all(range(1, 20).map(() => log.append(entry("a", 1, "key"))));
          expect(appended.filter(({ duplicate }) => !duplicate)).toHaveLength(1);
          expect(new Set(appended.map(({ position }) => formatPosition(position))).size).toBe(1);
          expect((await log.readAfter("a", undefined, 10)).entries).toHaveLength(1);
        }));

      test("a key used again for another content is refused and nothing is appended", () =>
        within({}, async ({ log }) => {
          await log.append(entry("a", 1, "key"));
          await rejects(
            log.append({ ...entry("a", 2), dedupe: { key: "key", digest: "other" } }),
            ClientMessageIdReusedError,
          );
          expect((await log.readAfter("a", undefined, 10)).entries).toHaveLength(1);
        }));

      test("the same key in another room is another entry", () =>
        within({}, async ({ log }) => {
          await log.append(entry("a", 1, "key"));
          expect((await log.append(entry("b", 1, "key"))).duplicate).toBe(false);
        }));

      test("a key is forgotten when its window has passed, and counts from then anew", () =>
        within({ dedupeWindowMs: 10_000 }, async ({ log, advance }) => {
          const first = await log.append(entry("a", 1, "key"));
          await advance(9_000);
          expect((await log.append(entry("a", 1, "key"))).duplicate).toBe(true);
          await advance(2_000);
          const second = await log.append(entry("a", 1, "key"));
          expect(second.duplicate).toBe(false);
          expect(comparePositions(second.position, first.position)).toBeGreaterThan(0);
          await advance(9_000);
          expect(await log.append(entry("a", 1, "key"))).toEqual({ ...second, duplicate: true });
        }));

      test("after the final entry of a room nothing is appended to it, but repetitions are answered", () =>
        within({}, async ({ log }) => {
          const first = await log.append(entry("a", 1, "key"));
          const final = await log.append({ ...entry("a", 2, "end"), final: true });
          await rejects(log.append(entry("a", 3)), RoomClosedError);
          await rejects(log.append({ ...entry("a", 3), final: true }), RoomClosedError);
          expect(await log.append(entry("a", 1, "key"))).toEqual({ ...first, duplicate: true });
          expect(await log.append({ ...entry("a", 2, "end"), final: true })).toEqual({ ...final, duplicate: true });
          expect((await log.append(entry("b", 1))).duplicate).toBe(false);
          expect((await log.readAfter("a", undefined, 10)).entries).toHaveLength(2);
        }));

      test("of what is sent at once with the final entry, nothing comes after it", () =>
        within({}, async ({ log }) => {
          const sends = range(1, 30).map((n) => log.append({ ...entry("a", n), final: n === 15 }));
          const settled = await Promise.allSettled(sends);
          const { top } = await log.readBefore("a", undefined, 1);
          expect(settled[14]).toMatchObject({ status: "fulfilled", value: { position: top } });
          for (const one of settled) {
            if (one.status === "rejected") {
              expect(one.reason).toBeInstanceOf(RoomClosedError);
            }
          }
        }));

      test("a log whose worker is too far behind refuses, answers repetitions, and takes on when the worker has caught up", () =>
        within({ persistLogEntriesMax: 5 }, async ({ log }) => {
          await appendAll(log, "a", 1, 4);
          const fifth = await log.append(entry("b", 5, "key"));
          const error = await rejects(log.append(entry("a", 6)), RoomLogFullError);
          expect(error).toMatchObject({ entriesMax: 5, retryable: true });
          expect(error.retryAfterMs).toBeGreaterThan(0);
          expect(await log.append(entry("b", 5, "key"))).toEqual({ ...fifth, duplicate: true });
          const consumer = await log.consumer("persist", "one");
          await consumer.ack(await takeExactly(consumer, 5));
          await eventually("the log takes entries again", () => log.append(entry("a", 6)).then(() => true, isFull));
        }));
    });

    describe("follow", () => {
      test("a follower gets exactly what comes after its top, once and in order", () =>
        within({}, async ({ log }) => {
          await appendAll(log, "a", 1, 3);
          const collector = new Collector();
          const following = await log.follow("a", collector);
          expect(following.top?.seq).toBe(2);
          const appended = await appendAll(log, "a", 4, 50);
          await log.append(entry("b", 1));
          await collector.until(47);
          expect(collector.positions()).toEqual(appended.map(({ position }) => formatPosition(position)));
          expect(collector.entries.map(({ event }) => text(event))).toEqual(range(4, 50).map(String));
          expect(collector.losses).toEqual([]);
        }));

      test("the top of a room that never had an entry is undefined", () =>
        within({}, async ({ log }) => {
          const collector = new Collector();
          expect((await log.follow("a", collector)).top).toBeUndefined();
          await log.append(entry("a", 1));
          await collector.until(1);
        }));

      test("a follower of a room hears nothing of others", () =>
        within({}, async ({ log }) => {
          const [a, b] = [new Collector(), new Collector()];
          await log.follow("a", a);
          await log.follow("b", b);
          await Promise.all(range(1, 20).map((n) => log.append(entry(n % 2 ? "a" : "b", n))));
          await Promise.all([a.until(10), b.until(10)]);
          expect(a.entries.every(({ roomId }) => roomId === "a")).toBe(true);
          expect(b.entries.every(({ roomId }) => roomId === "b")).toBe(true);
        }));

      test("a follower that stops hears nothing more, the others go on", () =>
        within({}, async ({ log }) => {
          const [stays, goes] = [new Collector(), new Collector()];
          await log.follow("a", stays);
          const following = await log.follow("a", goes);
          await log.append(entry("a", 1));
          await Promise.all([stays.until(1), goes.until(1)]);
          following.stop();
          following.stop();
          await log.append(entry("a", 2));
          await stays.until(2);
          expect(goes.entries).toHaveLength(1);
        }));

      test("a follower may stop others, or begin to follow, while it is handed an entry", () =>
        within({}, async ({ log }) => {
          const [stopped, joined] = [new Collector(), new Collector()];
          let stoppedFollowing: Following | undefined;
          let joining: Promise<Following> | undefined;
          const busy: RoomFollower = {
            entry: () => {
              stoppedFollowing?.stop();
              joining ??= log.follow("a", joined);
            },
            lost: () => {},
          };
          await log.follow("a", busy);
          stoppedFollowing = await log.follow("a", stopped);
          await log.append(entry("a", 1));
          await eventually("it was handed the entry", () => joining !== undefined);
          const top = (await joining)?.top;
          await log.append(entry("a", 2));
          // It may have begun before or after the first entry, but gets exactly what its top says.
          await joined.until(top ? 1 : 2);
          expect(joined.entries.map(({ position }) => position.seq)).toEqual(top ? [1] : [0, 1]);
          expect(stopped.entries).toEqual([]);
        }));

      test("a follower that joins while others send misses nothing and sees nothing twice", () =>
        within({}, async ({ log }) => {
          const sends: Promise<Appended>[] = [];
          const collector = new Collector();
          let following: Following | undefined;
          for (const n of range(1, 60)) {
            sends.push(log.append(entry("a", n)));
            if (n % 7 === 0) {
              await sends.at(-1);
            }
            if (n === 30) {
              // Not awaited: sending goes on while it joins.
              void log.follow("a", collector).then((joined) => {
                following = joined;
              });
            }
          }
          await Promise.all(sends);
          await eventually("it follows", () => following !== undefined);
          const { entries } = await log.readAfter("a", undefined, 100);
          const after = entries.filter(
            ({ position }) => !following?.top || comparePositions(position, following.top) > 0,
          );
          await collector.until(after.length);
          expect(collector.positions()).toEqual(after.map(({ position }) => formatPosition(position)));
        }));
    });

    describe("read", () => {
      test("reads after a position, oldest first, and the newest, and tells the top", () =>
        within({}, async ({ log }) => {
          const appended = await appendAll(log, "a", 0, 9);
          const top = appended[9]?.position;
          const texts = (entries: LogEntry[]) => entries.map(({ event }) => Number(text(event)));
          const fromStart = await log.readAfter("a", undefined, 3);
          expect({ ...fromStart, entries: texts(fromStart.entries) }).toEqual({
            entries: [0, 1, 2],
            floor: undefined,
            top,
          });
          expect(texts((await log.readAfter("a", appended[2]?.position, 3)).entries)).toEqual([3, 4, 5]);
          expect(texts((await log.readAfter("a", appended[7]?.position, 3)).entries)).toEqual([8, 9]);
          expect(texts((await log.readAfter("a", top, 3)).entries)).toEqual([]);
          expect(texts((await log.readBefore("a", undefined, 3)).entries)).toEqual([7, 8, 9]);
          expect(texts((await log.readBefore("a", undefined, 30)).entries)).toEqual(range(0, 9));
          expect(texts((await log.readBefore("a", appended[7]?.position, 3)).entries)).toEqual([4, 5, 6]);
          expect(texts((await log.readBefore("a", appended[2]?.position, 3)).entries)).toEqual([0, 1]);
          expect(texts((await log.readBefore("a", appended[0]?.position, 3)).entries)).toEqual([]);
        }));

      test("a room that never had an entry is empty, with neither floor nor top", () =>
        within({}, async ({ log }) => {
          const empty = { entries: [], floor: undefined, top: undefined };
          expect(await log.readAfter("a", undefined, 10)).toEqual(empty);
          expect(await log.readAfter("a", { epoch: 5, seq: 5 }, 10)).toEqual(empty);
          expect(await log.readBefore("a", undefined, 10)).toEqual(empty);
        }));

      test("an entry that no worker has acknowledged never leaves the log, however many come after it", () =>
        within({ roomLogEntriesMax: 5 }, async ({ log }) => {
          await appendAll(log, "a", 1, 40);
          expect((await log.readAfter("a", undefined, 100)).entries).toHaveLength(40);
          const consumer = await log.consumer("persist", "one");
          const deliveries = await takeExactly(consumer, 40);
          // All but the third: the floor may rise over the first two at most.
          await consumer.ack(deliveries.filter((_, index) => index !== 2));
          await appendAll(log, "a", 41, 60);
          const page = await log.readAfter("a", deliveries[1]?.entry.position, 100);
          expect(page.entries.map(({ event }) => Number(text(event)))).toEqual(range(3, 60));
          if (page.floor && deliveries[1]) {
            expect(comparePositions(page.floor, deliveries[1].entry.position)).toBeLessThanOrEqual(0);
          }
        }));

      test("what is above the floor is in the log without a hole, what is not was acknowledged", () =>
        within({ roomLogEntriesMax: 5 }, async ({ log }) => {
          const consumer = await log.consumer("persist", "one");
          for (const round of range(0, 4)) {
            const appended = await appendAll(log, "a", round * 10, round * 10 + 9);
            await consumer.ack(await takeExactly(consumer, 10));
            const page = await log.readAfter("a", undefined, 1_000);
            const top = appended.at(-1)?.position;
            expect(page.top).toEqual(top);
            expect(page.entries.map(({ position }) => position.seq)).toEqual(
              range(page.floor ? page.floor.seq + 1 : 0, top?.seq ?? -1),
            );
          }
        }));
    });

    describe("consume", () => {
      for (const group of ["persist", "hot-words"] as const) {
        test(`a member of ${group} gets every entry, of each room in order`, () =>
          within({}, async ({ log }) => {
            const consumer = await log.consumer(group, "one");
            await Promise.all(range(1, 60).map((n) => log.append(entry(`room-${n % 3}`, n))));
            const deliveries = await takeExactly(consumer, 60, 7);
            await consumer.ack(deliveries);
            expect(deliveries.map(({ entry }) => Number(text(entry.event))).sort((a, b) => a - b)).toEqual(
              range(1, 60),
            );
            expectRoomOrder(deliveries);
            expect(deliveries.every(({ attempts }) => attempts === 1)).toBe(true);
          }));
      }

      test("each group gets every entry", () =>
        within({}, async ({ log }) => {
          const members = [await log.consumer("persist", "one"), await log.consumer("hot-words", "one")];
          await appendAll(log, "a", 1, 5);
          for (const member of members) {
            expect(await takeExactly(member, 5)).toHaveLength(5);
          }
        }));

      test("take hands out at most what was asked for", () =>
        within({}, async ({ log }) => {
          const consumer = await log.consumer("persist", "one");
          await appendAll(log, "a", 1, 5);
          expect(await consumer.take(2, never())).toHaveLength(2);
          expect(await takeExactly(consumer, 3, 2)).toHaveLength(3);
        }));

      test("take waits for an entry", () =>
        within({}, async ({ log }) => {
          const consumer = await log.consumer("persist", "one");
          const taken = consumer.take(10, never());
          await log.append(entry("a", 1));
          expect((await taken).map(({ entry }) => text(entry.event))).toEqual(["1"]);
        }));

      test("take resolves to none when its signal aborts, before and during the wait, and loses nothing", () =>
        within({}, async ({ log }) => {
          const consumer = await log.consumer("persist", "one");
          expect(await consumer.take(10, AbortSignal.abort())).toEqual([]);
          const abort = new AbortController();
          const taken = consumer.take(10, abort.signal);
          abort.abort();
          expect(await taken).toEqual([]);
          await log.append(entry("a", 1));
          expect(await takeExactly(consumer, 1)).toHaveLength(1);
        }));

      test("what is released comes again, once more counted, before what is newer in its room", () =>
        within({}, async ({ log }) => {
          const consumer = await log.consumer("persist", "one");
          await appendAll(log, "a", 1, 10);
          const deliveries = await takeExactly(consumer, 6);
          // In two parts and the newer one first.
          await consumer.release(deliveries.slice(4));
          await consumer.ack(deliveries.slice(0, 1));
          await consumer.release(deliveries.slice(1, 4));
          const again = await takeExactly(consumer, 9);
          expect(again.map(({ entry }) => Number(text(entry.event)))).toEqual(range(2, 10));
          expect(again.map(({ attempts }) => attempts)).toEqual([2, 2, 2, 2, 2, 1, 1, 1, 1]);
        }));

      test("acknowledging twice is harmless, and what was acknowledged does not come again", () =>
        within({}, async ({ log }) => {
          const consumer = await log.consumer("persist", "one");
          await appendAll(log, "a", 1, 2);
          const deliveries = await takeExactly(consumer, 2);
          await Promise.all([consumer.ack(deliveries), consumer.ack(deliveries)]);
          await consumer.ack(deliveries);
          await consumer.release(deliveries);
          await log.append(entry("a", 3));
          expect((await takeExactly(consumer, 1)).map(({ entry }) => text(entry.event))).toEqual(["3"]);
        }));

      test("members of a group share the entries: each goes to one of them", () =>
        within({}, async ({ log }) => {
          const [one, two] = [await log.consumer("persist", "one"), await log.consumer("persist", "two")];
          await Promise.all(range(1, 60).map((n) => log.append(entry(`room-${n % 6}`, n))));
          const seen: Delivery[] = [];
          const stop = new AbortController();
          const work = async (member: LogConsumer) => {
            while (!stop.signal.aborted) {
              const deliveries = await member.take(4, stop.signal);
              seen.push(...deliveries);
              await member.ack(deliveries);
              if (seen.length >= 60) {
                stop.abort();
              }
            }
          };
          await Promise.all([work(one), work(two)]);
          expect(seen.map(({ entry }) => Number(text(entry.event))).sort((a, b) => a - b)).toEqual(range(1, 60));
          expectRoomOrder(seen);
        }));

      test("a room is in the hands of one member at a time, so its order holds also when that member releases", () =>
        within({}, async ({ log }) => {
          const [one, two] = [await log.consumer("persist", "one"), await log.consumer("persist", "two")];
          await appendAll(log, "a", 1, 4);
          const held = await takeExactly(one, 2);
          await appendAll(log, "b", 5, 6);
          expect((await takeExactly(two, 2, 10)).map(({ entry }) => Number(text(entry.event)))).toEqual([5, 6]);
          const waits = two.take(10, never());
          await one.release(held);
          expect((await waits).map(({ entry }) => Number(text(entry.event)))).toEqual([1, 2, 3, 4]);
        }));

      test("a member that waits gets the rest of a room when whoever holds the room acknowledges", () =>
        within({}, async ({ log }) => {
          const [one, two] = [await log.consumer("persist", "one"), await log.consumer("persist", "two")];
          await appendAll(log, "a", 1, 4);
          const held = await takeExactly(one, 2);
          const waits = two.take(10, never());
          await one.ack(held);
          expect((await waits).map(({ entry }) => Number(text(entry.event)))).toEqual([3, 4]);
        }));

      test("what a member held when it left goes to another, or to itself when it comes back", () =>
        within({}, async ({ log }) => {
          const one = await log.consumer("persist", "one");
          await appendAll(log, "a", 1, 4);
          const first = await takeExactly(one, 4);
          await one.ack(first.slice(0, 1));
          await one.close();
          await one.close();
          const two = await log.consumer("persist", "two");
          const second = await takeExactly(two, 3);
          expect(second.map(({ entry }) => Number(text(entry.event)))).toEqual([2, 3, 4]);
          await two.ack(second.slice(0, 1));
          await two.close();
          const back = await log.consumer("persist", "one");
          const third = await takeExactly(back, 2);
          expect(third.map(({ entry }) => Number(text(entry.event)))).toEqual([3, 4]);
          expect(third.every(({ attempts }) => attempts >= 2)).toBe(true);
        }));

      test("a member that leaves while it waits gets none", () =>
        within({}, async ({ log }) => {
          const consumer = await log.consumer("persist", "one");
          const taken = consumer.take(10, never());
          await consumer.close();
          expect(await taken).toEqual([]);
        }));
    });

    test("closing and opening again keeps entries, keys, closed rooms and what was not acknowledged", () =>
      within({}, async ({ log, reopen }) => {
        if (!reopen) {
          return;
        }
        const before = await appendAll(log, "a", 1, 5);
        const keyed = await log.append(entry("a", 6, "key"));
        await log.append({ ...entry("b", 1), final: true });
        const consumer = await log.consumer("persist", "one");
        const deliveries = await takeExactly(consumer, 7);
        await consumer.ack(deliveries.filter(({ entry }) => entry.roomId === "a").slice(0, 2));

        const again = await reopen();
        expect((await again.readAfter("a", before[1]?.position, 10)).entries.map(plain)).toEqual(
          deliveries.flatMap(({ entry }) => (entry.roomId === "a" ? [plain(entry)] : [])).slice(2),
        );
        expect((await again.readBefore("a", undefined, 1)).top).toEqual(keyed.position);
        expect(await again.append(entry("a", 6, "key"))).toEqual({ ...keyed, duplicate: true });
        await rejects(again.append(entry("b", 2)), RoomClosedError);
        const back = await again.consumer("persist", "one");
        const left = await takeExactly(back, 5);
        expectRoomOrder(left);
        const collector = new Collector();
        expect((await again.follow("a", collector)).top).toEqual(keyed.position);
        const later = await again.append(entry("a", 7));
        expect(comparePositions(later.position, keyed.position)).toBeGreaterThan(0);
        await collector.until(1);
        expect((await again.readAfter("a", keyed.position, 10)).entries).toHaveLength(1);
      }));

    test("whatever is done to it, it agrees with the model", async () => {
      await fc.assert(
        fc.asyncProperty(fc.commands(commands, { maxCommands: 60, size: "max" }), async (run) => {
          const bounds = { dedupeWindowMs: 10_000, roomLogEntriesMax: 4, persistLogEntriesMax: 40 };
          await within(bounds, async (fixture) => {
            const model = new Model(bounds, fixture);
            const real = new Real(fixture);
            await fc.asyncModelRun(() => ({ model, real }), run);
            await checkEverything(model, real);
          });
        }),
        { numRuns: modelRuns },
      );
    }, 60_000);
  });
}

// The model -----------------------------------------------------------------------------------------------------------

interface ModelEntry {
  position: Position;
  text: string;
  acked: boolean;
  /** Which member has it in hand. */
  holder: number | undefined;
  /** How often it was handed out since the log was opened. */
  attempts: number;
}

class ModelRoom {
  entries: ModelEntry[] = [];
  final = false;
  /** Positions were given under an earlier opening only: the next one begins an epoch. */
  epochEnded = true;
}

/** What the log should be. */
class Model {
  nowMs = 0;
  readonly rooms = new Map<string, ModelRoom>();
  readonly keys = new Map<string, { digest: string; position: Position; atMs: number }>();
  /** By room: what each follower must have seen. */
  followers: { roomId: string; from: number; to: number | undefined }[] = [];

  constructor(
    readonly bounds: RoomLogBounds,
    readonly fixture: Pick<RoomLogFixture, "boundedWith" | "heldWith">,
  ) {}

  /** Which rooms share a bound with this one. */
  bounded(roomId: string): unknown {
    return this.fixture.boundedWith?.(roomId);
  }

  /** Which rooms are in one member's hands together with this one. */
  held(roomId: string): unknown {
    return this.fixture.heldWith ? this.fixture.heldWith(roomId) : roomId;
  }

  room(roomId: string): ModelRoom {
    let room = this.rooms.get(roomId);
    if (!room) {
      room = new ModelRoom();
      this.rooms.set(roomId, room);
    }
    return room;
  }

  /** Entries of each room from its first unacknowledged one: the log must keep these, and may count them all. */
  behind(bounded: unknown): number {
    return this.#boundedRooms(bounded).reduce((sum, { entries }) => {
      const first = entries.findIndex(({ acked }) => !acked);
      return sum + (first < 0 ? 0 : entries.length - first);
    }, 0);
  }

  /** Those that the log must refuse for: not acknowledged. */
  unacked(bounded: unknown): number {
    return this.#boundedRooms(bounded).reduce((sum, { entries }) => sum + entries.filter((e) => !e.acked).length, 0);
  }

  #boundedRooms(bounded: unknown): ModelRoom[] {
    return [...this.rooms].flatMap(([roomId, room]) => (this.bounded(roomId) === bounded ? [room] : []));
  }

  dedupe(roomId: string, key: string) {
    const known = this.keys.get(`${roomId} ${key}`);
    return known && known.atMs > this.nowMs - this.bounds.dedupeWindowMs ? known : undefined;
  }
}

/** The log under test and what the run holds of it. */
class Real {
  log: RoomLog;
  followers: { collector: Collector; following: Following }[] = [];
  members: (LogConsumer | undefined)[] = [undefined, undefined];
  hands: Delivery[][] = [[], []];

  constructor(readonly fixture: RoomLogFixture) {
    this.log = fixture.log;
  }

  async member(index: number): Promise<LogConsumer> {
    const member = this.members[index] ?? (await this.log.consumer("persist", `member-${index}`));
    this.members[index] = member;
    return member;
  }
}

type Command = fc.AsyncCommand<Model, Real>;

interface Send {
  roomId: string;
  key: string | undefined;
  digest: string;
  final: boolean;
}

/** Appends, several at once: which of them comes first is the log's choice, the rest is not. */
class AppendCommand implements Command {
  constructor(readonly sends: readonly Send[]) {}
  check = () => true;

  async run(model: Model, real: Real): Promise<void> {
    const bounds = new Set(this.sends.map(({ roomId }) => model.bounded(roomId)));
    const before = new Map([...bounds].map((one) => [one, { unacked: model.unacked(one), behind: model.behind(one) }]));
    const known = this.sends.map(({ roomId, key }) => (key === undefined ? undefined : model.dedupe(roomId, key)));
    const closed = new Set(this.sends.flatMap(({ roomId }) => (model.room(roomId).final ? [roomId] : [])));
    const settled = await Promise.allSettled(
      this.sends.map(({ roomId, key, digest, final }, index) =>
        real.log.append({
          roomId,
          event: bytes(`${index} ${key} ${digest}`),
          ...(key !== undefined && { dedupe: { key, digest } }),
          final,
        }),
      ),
    );
    // The new ones in the order that the log gave them.
    const fresh = this.sends
      .flatMap((send, index) => {
        const one = settled[index];
        return one?.status === "fulfilled" && !one.value.duplicate ? [{ send, index, ...one.value }] : [];
      })
      .sort((a, b) => comparePositions(a.position, b.position));
    for (const { send, index, position, acceptedMs } of fresh) {
      const room = model.room(send.roomId);
      expect(known[index]).toBeUndefined();
      expect(room.final).toBe(false);
      const last = room.entries.at(-1)?.position;
      if (last && !room.epochEnded) {
        expect(position).toEqual({ epoch: last.epoch, seq: last.seq + 1 });
      } else {
        expect(position.epoch).toBeGreaterThan(last?.epoch ?? -1);
        expect(position.seq).toBe(0);
      }
      room.epochEnded = false;
      room.final = send.final;
      room.entries.push({
        position,
        text: `${index} ${send.key} ${send.digest}`,
        acked: false,
        holder: undefined,
        attempts: 0,
      });
      if (send.key !== undefined) {
        // Not there before, also not from this burst.
        expect(model.dedupe(send.roomId, send.key)).toBeUndefined();
        model.keys.set(`${send.roomId} ${send.key}`, { digest: send.digest, position, atMs: model.nowMs });
      }
      expect(acceptedMs).toBeGreaterThan(0);
    }
    for (const [index, send] of this.sends.entries()) {
      const one = settled[index];
      const first = send.key === undefined ? undefined : model.dedupe(send.roomId, send.key);
      if (one?.status === "fulfilled") {
        if (one.value.duplicate) {
          expect(first?.digest).toBe(send.digest);
          expect(one.value.position).toEqual(first?.position as Position);
        }
      } else if (one?.reason instanceof ClientMessageIdReusedError) {
        expect(first?.digest).not.toBe(send.digest);
        expect(first).toBeDefined();
      } else if (one?.reason instanceof RoomClosedError) {
        expect(known[index]).toBeUndefined();
        expect(closed.has(send.roomId) || this.sends.some((other) => other.roomId === send.roomId && other.final)).toBe(
          true,
        );
      } else {
        expect(one?.reason).toBeInstanceOf(RoomLogFullError);
        expect(known[index]).toBeUndefined();
        const bounded = model.bounded(send.roomId);
        const added = fresh.filter((other) => model.bounded(other.send.roomId) === bounded).length;
        expect((before.get(bounded)?.behind ?? 0) + added).toBeGreaterThanOrEqual(model.bounds.persistLogEntriesMax);
      }
    }
    for (const [bounded, { unacked }] of before) {
      const added = fresh.filter((other) => model.bounded(other.send.roomId) === bounded).length;
      expect(added === 0 || unacked + added <= model.bounds.persistLogEntriesMax).toBe(true);
    }
    await checkFollowers(model, real);
  }
  toString = () => `append(${JSON.stringify(this.sends)})`;
}

class FollowCommand implements Command {
  constructor(readonly roomId: string) {}
  check = (model: Readonly<Model>) => model.followers.length < 6;
  async run(model: Model, real: Real): Promise<void> {
    const collector = new Collector();
    const following = await real.log.follow(this.roomId, collector);
    const { entries } = model.room(this.roomId);
    expect(following.top).toEqual(entries.at(-1)?.position as Position);
    model.followers.push({ roomId: this.roomId, from: entries.length, to: undefined });
    real.followers.push({ collector, following });
  }
  toString = () => `follow(${this.roomId})`;
}

class StopCommand implements Command {
  constructor(readonly index: number) {}
  check = (model: Readonly<Model>) => model.followers.length > 0;
  async run(model: Model, real: Real): Promise<void> {
    const index = this.index % model.followers.length;
    real.followers[index]?.following.stop();
    const follower = model.followers[index];
    if (follower) {
      follower.to ??= model.room(follower.roomId).entries.length;
    }
  }
  toString = () => `stop(${this.index})`;
}

class ReadCommand implements Command {
  constructor(
    readonly roomId: string,
    readonly from: number,
    readonly entriesMax: number,
  ) {}
  check = () => true;
  async run(model: Model, real: Real): Promise<void> {
    const { entries } = model.room(this.roomId);
    const positions = entries.map(({ position }) => formatPosition(position));
    const top = entries.at(-1)?.position;
    // A place between two entries: the one page ends there, the other begins there.
    const place = this.from % (entries.length + 1);
    const older = await real.log.readBefore(this.roomId, entries[place]?.position, this.entriesMax);
    const newer = await real.log.readAfter(this.roomId, entries[place - 1]?.position, this.entriesMax);
    for (const { top: told, floor, entries: read } of [older, newer]) {
      expect(told).toEqual(top as Position);
      expect(read.length).toBeLessThanOrEqual(this.entriesMax);
      // At or below the floor everything was acknowledged.
      expect(entries.filter((e) => !e.acked && floor && comparePositions(e.position, floor) <= 0)).toEqual([]);
      for (const entry of read) {
        expect(text(entry.event)).toBe(entries[positions.indexOf(formatPosition(entry.position))]?.text as string);
      }
    }
    // Above its floor a log has everything, so a page is without a hole there; below it may have some still.
    const olderAt = older.entries.map(({ position }) => positions.indexOf(formatPosition(position)));
    expect(olderAt).toEqual(range(place - olderAt.length, place - 1));
    const olderSure = place - Math.min(place, firstAfter(entries, older.floor));
    expect(olderAt.length).toBeGreaterThanOrEqual(Math.min(this.entriesMax, olderSure));
    const newerAt = newer.entries.map(({ position }) => positions.indexOf(formatPosition(position)));
    const sureFrom = Math.max(place, firstAfter(entries, newer.floor));
    const newerSure = newerAt.filter((index) => index >= sureFrom);
    expect(newerSure).toEqual(range(sureFrom, sureFrom + newerSure.length - 1));
    expect(newerAt).toEqual(newerAt.toSorted((a, b) => a - b).filter((index) => index >= place));
    expect(newerAt.length).toBeGreaterThanOrEqual(Math.min(this.entriesMax, entries.length - sureFrom));
  }
  toString = () => `read(${this.roomId}, ${this.from}, ${this.entriesMax})`;
}

class TakeCommand implements Command {
  constructor(
    readonly member: number,
    readonly entriesMax: number,
  ) {}
  check = () => true;
  async run(model: Model, real: Real): Promise<void> {
    const member = await real.member(this.member);
    // A room in the hands of the other member may have to wait; any other with something waiting must not.
    const othersHold = new Set(
      [...model.rooms].flatMap(([roomId, { entries }]) =>
        entries.some((e) => e.holder !== undefined && e.holder !== this.member) ? [model.held(roomId)] : [],
      ),
    );
    const must = [...model.rooms].some(
      ([roomId, { entries }]) =>
        entries.some((e) => !e.acked && e.holder === undefined) && !othersHold.has(model.held(roomId)),
    );
    const abort = new AbortController();
    if (!must) {
      setImmediate(() => abort.abort());
    }
    const deliveries = await member.take(this.entriesMax, abort.signal);
    expect(deliveries.length).toBeLessThanOrEqual(this.entriesMax);
    if (must) {
      expect(deliveries.length).toBeGreaterThan(0);
    }
    for (const [roomId, ofRoom] of Map.groupBy(deliveries, ({ entry }) => entry.roomId)) {
      const others = model.room(roomId).entries.filter((e) => e.holder !== undefined && e.holder !== this.member);
      expect(others).toEqual([]);
      const available = model.room(roomId).entries.filter((e) => !e.acked && e.holder === undefined);
      const expected = available.slice(0, ofRoom.length);
      expect(ofRoom.map(({ entry }) => entry.position)).toEqual(expected.map(({ position }) => position));
      expect(ofRoom.map(({ entry }) => text(entry.event))).toEqual(expected.map((e) => e.text));
      for (const [index, e] of expected.entries()) {
        e.attempts += 1;
        e.holder = this.member;
        expect(ofRoom[index]?.attempts).toBe(e.attempts);
      }
    }
    real.hands[this.member]?.push(...deliveries);
  }
  toString = () => `take(${this.member}, ${this.entriesMax})`;
}

/** Acknowledges or releases some of what a member has in hand; or the member leaves. */
class LetGoCommand implements Command {
  constructor(
    readonly how: "ack" | "release" | "leave",
    readonly member: number,
    readonly which: readonly boolean[],
  ) {}
  check = () => true;
  async run(model: Model, real: Real): Promise<void> {
    const member = await real.member(this.member);
    const hand = real.hands[this.member] ?? [];
    const chosen = hand.filter((_, index) => this.how === "leave" || this.which[index % this.which.length]);
    if (this.how === "ack") {
      await member.ack(chosen);
    } else if (this.how === "release") {
      await member.release(chosen);
    } else {
      await member.close();
      real.members[this.member] = undefined;
    }
    real.hands[this.member] = hand.filter((delivery) => !chosen.includes(delivery));
    for (const { entry } of chosen) {
      for (const e of model.room(entry.roomId).entries) {
        if (comparePositions(e.position, entry.position) === 0) {
          e.holder = undefined;
          e.acked = this.how === "ack";
        }
      }
    }
  }
  toString = () => `${this.how}(${this.member}, ${this.which})`;
}

class AdvanceCommand implements Command {
  constructor(readonly ms: number) {}
  check = () => true;
  async run(model: Model, real: Real): Promise<void> {
    await real.fixture.advance(this.ms);
    model.nowMs += this.ms;
  }
  toString = () => `advance(${this.ms})`;
}

class ReopenCommand implements Command {
  check = () => true;
  async run(model: Model, real: Real): Promise<void> {
    if (!real.fixture.reopen) {
      return;
    }
    await checkFollowers(model, real);
    real.log = await real.fixture.reopen();
    real.followers = [];
    model.followers = [];
    real.members = [undefined, undefined];
    real.hands = [[], []];
    for (const room of model.rooms.values()) {
      room.epochEnded = true;
      // Each group gets every entry at least once: what was acknowledged behind a gap may come again after this.
      const first = room.entries.findIndex((e) => !e.acked);
      for (const [index, e] of room.entries.entries()) {
        e.acked = first < 0 || index < first;
        e.holder = undefined;
        e.attempts = 0;
      }
    }
  }
  toString = () => "reopen()";
}

const roomIds = fc.constantFrom("a", "b", "c");
const sends = fc.record<Send>({
  roomId: roomIds,
  key: fc.option(fc.constantFrom("k1", "k2", "k3", "k4"), { nil: undefined, freq: 2 }),
  digest: fc.oneof({ weight: 9, arbitrary: fc.constant("d") }, { weight: 1, arbitrary: fc.constant("other") }),
  final: fc.oneof({ weight: 40, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) }),
});
const members = fc.constantFrom(0, 1);
const which = fc.array(fc.boolean(), { minLength: 1, maxLength: 8 });

const append = fc.array(sends, { minLength: 1, maxLength: 8 }).map((burst) => new AppendCommand(burst));
const take = fc.tuple(members, fc.integer({ min: 1, max: 8 })).map((args) => new TakeCommand(...args));
const ack = fc.tuple(members, which).map((args) => new LetGoCommand("ack", ...args));

const commands: fc.Arbitrary<Command>[] = [
  append,
  // More often than the rest, or rooms stay empty and nothing gets old.
  append,
  append,
  take,
  take,
  ack,
  members.map((member) => new LetGoCommand("ack", member, [true])),
  fc.tuple(members, which).map((args) => new LetGoCommand("release", ...args)),
  members.map((member) => new LetGoCommand("leave", member, [true])),
  roomIds.map((roomId) => new FollowCommand(roomId)),
  fc.nat(5).map((index) => new StopCommand(index)),
  fc.tuple(roomIds, fc.nat(50), fc.integer({ min: 1, max: 12 })).map((args) => new ReadCommand(...args)),
  fc.integer({ min: 1, max: 12_000 }).map((ms) => new AdvanceCommand(ms)),
  fc.constant(new ReopenCommand()),
];

/** Each follower has seen exactly what came while it followed. */
async function checkFollowers(model: Model, real: Real): Promise<void> {
  for (const [index, { roomId, from, to }] of model.followers.entries()) {
    const expected = model.room(roomId).entries.slice(from, to);
    const collector = real.followers[index]?.collector;
    await collector?.until(expected.length);
    expect(collector?.positions()).toEqual(expected.map(({ position }) => formatPosition(position)));
    expect(collector?.entries.map(({ event }) => text(event))).toEqual(expected.map((e) => e.text));
    expect(collector?.losses).toEqual([]);
  }
}

/** At the end of a run: everything is found, by reading and by consuming. */
async function checkEverything(model: Model, real: Real): Promise<void> {
  await checkFollowers(model, real);
  for (const roomId of model.rooms.keys()) {
    await new ReadCommand(roomId, 0, 1_000).run(model, real);
  }
  for (const member of [0, 1]) {
    await new LetGoCommand("leave", member, [true]).run(model, real);
  }
  while ([...model.rooms.values()].some(({ entries }) => entries.some((e) => !e.acked))) {
    await new TakeCommand(0, 1_000).run(model, real);
    await new LetGoCommand("ack", 0, [true]).run(model, real);
  }
}

/** The index of the first entry above a floor. */
function firstAfter(entries: readonly ModelEntry[], floor: Position | undefined): number {
  const index = entries.findIndex(({ position }) => !floor || comparePositions(position, floor) > 0);
  return index < 0 ? entries.length : index;
}

// What the tests share ------------------------------------------------------------------------------------------------

/** A follower that remembers. */
class Collector implements RoomFollower {
  readonly entries: LogEntry[] = [];
  readonly losses: LostRange[] = [];
  entry(entry: LogEntry): void {
    this.entries.push(entry);
  }
  lost(range: LostRange): void {
    this.losses.push(range);
  }
  positions(): string[] {
    return this.entries.map(({ position }) => formatPosition(position));
  }
  until(count: number): Promise<void> {
    return eventually(`the follower has ${count} entries`, () => this.entries.length >= count);
  }
}

/** An entry that stands for a number; with a key its digest is the number too. */
function entry(roomId: string, n: number, key?: string): NewEntry {
  return { roomId, event: bytes(String(n)), ...(key !== undefined && { dedupe: { key, digest: String(n) } }) };
}

/** Appends the numbers from `first` to `last`, each when the one before is accepted. */
async function appendAll(log: RoomLog, roomId: string, first: number, last: number): Promise<Appended[]> {
  const appended: Appended[] = [];
  for (const n of range(first, last)) {
    appended.push(await log.append(entry(roomId, n)));
  }
  return appended;
}

/** Takes until it has so many; fails where there are more. */
async function takeExactly(consumer: LogConsumer, count: number, entriesMax = count): Promise<Delivery[]> {
  const deliveries: Delivery[] = [];
  while (deliveries.length < count) {
    deliveries.push(...(await consumer.take(entriesMax, never())));
  }
  expect(deliveries).toHaveLength(count);
  return deliveries;
}

function expectRoomOrder(deliveries: readonly Delivery[]): void {
  for (const ofRoom of Map.groupBy(deliveries, ({ entry }) => entry.roomId).values()) {
    const positions = ofRoom.map(({ entry }) => entry.position);
    expect(positions).toEqual(positions.toSorted(comparePositions));
  }
}

async function rejects<E extends Error>(promise: Promise<unknown>, kind: new (...args: never[]) => E): Promise<E> {
  const error = await promise.then(
    () => undefined,
    (reason) => reason,
  );
  expect(error).toBeInstanceOf(kind);
  return error;
}

/** Waits for a condition; the log may need a moment (another process, a network). */
async function eventually(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  const endMs = performance.now() + 4_000;
  while (!(await condition())) {
    if (performance.now() > endMs) {
      throw new Error(`did not come: ${what}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

const isFull = (error: unknown) => {
  expect(error).toBeInstanceOf(RoomLogFullError);
  return false;
};
const never = () => new AbortController().signal;
const range = (first: number, last: number) =>
  Array.from({ length: Math.max(0, last - first + 1) }, (_, i) => first + i);
const bytes = (value: string) => new TextEncoder().encode(value);
const text = (value: Uint8Array) => new TextDecoder().decode(value);
/** Comparable whatever class the bytes came in. */
const plain = (value: LogEntry) => ({ ...value, event: [...value.event] });
