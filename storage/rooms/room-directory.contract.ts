/**
 * What every room directory must do, as tests. A file of tests calls `roomDirectoryContract` with a way to open an empty one.
 */
import { describe, expect, test } from "bun:test";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import fc from "fast-check";
import { type Room, RoomStatus } from "../../gen/chat/v1/room_pb.ts";
import {
  PageTokenError,
  type RoomDirectory,
  RoomExistsError,
  RoomNotFoundError,
  RoomNotOpenError,
  RoomVersionMismatchError,
} from "./room-directory.ts";

export interface RoomDirectoryFixture {
  /** Empty. */
  rooms: RoomDirectory;
  /** Moves the directory's clock, also back; it begins at `startMs`. */
  advance(ms: number): Promise<void>;
  startMs: number;
  cleanup(): Promise<void>;
}

/**
 * Registers the suite. `open` is called for each test and, by the model, for each run.
 * @param walksMax how many random walks over the list the model takes
 */
export function roomDirectoryContract(name: string, open: () => Promise<RoomDirectoryFixture>, walksMax = 50): void {
  const within = async (work: (fixture: RoomDirectoryFixture) => Promise<void>) => {
    const fixture = await open();
    try {
      await work(fixture);
    } finally {
      await fixture.cleanup();
    }
  };

  describe(`room directory: ${name}`, () => {
    test("a room is created open, in version 1, and found", () =>
      within(async ({ rooms, startMs }) => {
        const room = await rooms.create({ roomId: "a", title: "제목 🎉", description: "about" });
        expect(room).toMatchObject({
          roomId: "a",
          title: "제목 🎉",
          description: "about",
          status: RoomStatus.OPEN,
          version: 1,
        });
        expect(times(room)).toEqual([startMs, startMs]);
        expect(await rooms.get("a")).toEqual(room);
        expect(await rooms.get("b")).toBeUndefined();
      }));

    test("an id is given once, also to those who ask at the same time, and the first room stays as it is", () =>
      within(async ({ rooms }) => {
        const titles = ["one", "two", "three"];
        const settled = await Promise.allSettled(
          titles.map((title) => rooms.create({ roomId: "a", title, description: "" })),
        );
        const created = settled.filter((one) => one.status === "fulfilled");
        expect(created).toHaveLength(1);
        for (const one of settled) {
          if (one.status === "rejected") {
            expect(one.reason).toBeInstanceOf(RoomExistsError);
          }
        }
        expect(await rooms.get("a")).toEqual(created[0]?.value as Room);
      }));

    test("an update changes what it names, counts the version and tells the time", () =>
      within(async ({ rooms, advance, startMs }) => {
        await rooms.create({ roomId: "a", title: "old", description: "about" });
        await advance(1_000);
        const titled = await rooms.update("a", { title: "new" });
        expect(titled).toMatchObject({ title: "new", description: "about", version: 2 });
        expect(times(titled)).toEqual([startMs, startMs + 1_000]);
        // Empty is a value, unlike undefined.
        expect(await rooms.update("a", { description: "" })).toMatchObject({
          title: "new",
          description: "",
          version: 3,
        });
        expect(await rooms.get("a")).toMatchObject({ title: "new", description: "", version: 3 });
      }));

    test("of updates that name the same version one wins", () =>
      within(async ({ rooms }) => {
        await rooms.create({ roomId: "a", title: "old", description: "" });
        const settled = await Promise.allSettled(
          [1, 2, 3, 4].map((n) => rooms.update("a", { title: `title ${n}`, version: 1 })),
        );
        expect(settled.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
        for (const one of settled) {
          if (one.status === "rejected") {
            expect(one.reason).toBeInstanceOf(RoomVersionMismatchError);
            expect(one.reason).toMatchObject({ wantedVersion: 1, version: 2 });
          }
        }
        expect((await rooms.get("a"))?.version).toBe(2);
      }));

    test("updates that name no version all count", () =>
      within(async ({ rooms }) => {
        await rooms.create({ roomId: "a", title: "old", description: "" });
        await Promise.all([1, 2, 3, 4].map((n) => rooms.update("a", { title: `title ${n}` })));
        expect((await rooms.get("a"))?.version).toBe(5);
      }));

    test("a closed room stays, cannot be changed, and closing it again changes nothing", () =>
      within(async ({ rooms, advance }) => {
        await rooms.create({ roomId: "a", title: "title", description: "" });
        await advance(1_000);
        const closed = await rooms.close("a");
        expect(closed).toMatchObject({ status: RoomStatus.CLOSED, version: 2, title: "title" });
        await advance(1_000);
        expect(await rooms.close("a")).toEqual(closed);
        expect(await rooms.update("a", { title: "new" }).catch((error) => error)).toBeInstanceOf(RoomNotOpenError);
        expect(await rooms.get("a")).toEqual(closed);
        expect(await rooms.create({ roomId: "a", title: "again", description: "" }).catch((e) => e)).toBeInstanceOf(
          RoomExistsError,
        );
      }));

    test("a room that does not exist can be neither changed nor closed", () =>
      within(async ({ rooms }) => {
        expect(await rooms.update("a", { title: "new" }).catch((error) => error)).toBeInstanceOf(RoomNotFoundError);
        expect(await rooms.close("a").catch((error) => error)).toBeInstanceOf(RoomNotFoundError);
        expect(await rooms.get("a")).toBeUndefined();
      }));

    test("the list shows the newest first, rooms of one millisecond by id, and only the status asked for", () =>
      within(async ({ rooms, advance }) => {
        for (const roomId of ["b", "a"]) {
          await rooms.create({ roomId, title: roomId, description: "" });
        }
        await advance(1);
        await rooms.create({ roomId: "c", title: "c", description: "" });
        await rooms.close("a");
        const list = async (status?: RoomStatus) =>
          (await rooms.list({ roomsMax: 10, status })).rooms.map(({ roomId }) => roomId);
        expect(await list()).toEqual(["c", "a", "b"]);
        expect(await list(RoomStatus.UNSPECIFIED)).toEqual(["c", "a", "b"]);
        expect(await list(RoomStatus.OPEN)).toEqual(["c", "b"]);
        expect(await list(RoomStatus.CLOSED)).toEqual(["a"]);
      }));

    test("the last page has no token, also where it is full; an empty list is one page", () =>
      within(async ({ rooms }) => {
        expect(await rooms.list({ roomsMax: 2 })).toEqual({ rooms: [], nextPageToken: undefined });
        for (const roomId of ["a", "b", "c", "d"]) {
          await rooms.create({ roomId, title: roomId, description: "" });
        }
        const first = await rooms.list({ roomsMax: 2 });
        const second = await rooms.list({ roomsMax: 2, pageToken: first.nextPageToken });
        expect(second.rooms.map(({ roomId }) => roomId)).toEqual(["c", "d"]);
        expect(second.nextPageToken).toBeUndefined();
      }));

    test("a token that this list did not give out is refused", () =>
      within(async ({ rooms }) => {
        for (const roomId of ["a", "b"]) {
          await rooms.create({ roomId, title: roomId, description: "" });
        }
        const { nextPageToken = "" } = await rooms.list({ roomsMax: 1, status: RoomStatus.OPEN });
        for (const pageToken of [
          "",
          "x",
          "나",
          "../..",
          `${nextPageToken}A`,
          nextPageToken.slice(1),
          "A".repeat(200),
        ]) {
          const refused = await rooms.list({ roomsMax: 1, status: RoomStatus.OPEN, pageToken }).catch((error) => error);
          expect(refused).toBeInstanceOf(PageTokenError);
        }
        // Given out for another list.
        const other = await rooms.list({ roomsMax: 1, pageToken: nextPageToken }).catch((error) => error);
        expect(other).toBeInstanceOf(PageTokenError);
      }));

    test("a walk over the pages shows each room that was there when it began once, whatever happens meanwhile", async () => {
      const gaps = fc.array(fc.integer({ min: 0, max: 2 }), { minLength: 1, maxLength: 25 });
      await fc.assert(
        fc.asyncProperty(gaps, fc.integer({ min: 1, max: 6 }), async (gapsMs, roomsMax) => {
          await within(async ({ rooms, advance }) => {
            for (const [n, gapMs] of gapsMs.entries()) {
              await advance(gapMs);
              await rooms.create({ roomId: `room-${n}`, title: "", description: "" });
            }
            const seen: string[] = [];
            let pageToken: string | undefined;
            let pages = 0;
            do {
              const page = await rooms.list({ roomsMax, pageToken });
              expect(page.rooms.length).toBeLessThanOrEqual(roomsMax);
              seen.push(...page.rooms.map(({ roomId }) => roomId));
              pageToken = page.nextPageToken;
              pages += 1;
              await advance(1);
              await rooms.create({ roomId: `new-${pages}`, title: "", description: "" });
              await rooms.update(`room-${pages % gapsMs.length}`, { title: "changed" });
            } while (pageToken !== undefined);
            const there = seen.filter((roomId) => roomId.startsWith("room-"));
            expect(there.toSorted()).toEqual(gapsMs.map((_, n) => `room-${n}`).toSorted());
          });
        }),
        { numRuns: walksMax },
      );
    }, 60_000);
  });
}

const times = (room: Room) => [room.createdAt, room.updatedAt].map((time) => time && timestampMs(time));
