/** The embedded room directory: the contract, then how it fails. */
import { expect, test } from "bun:test";
import { ChatDatabase } from "../chat-database.ts";
import { roomDirectoryContract } from "./room-directory.contract.ts";
import { RoomDirectoryUnavailableError } from "./room-directory.ts";
import { SqliteRoomDirectory } from "./sqlite-room-directory.ts";

roomDirectoryContract("SQLite, in memory", async () => {
  const database = new ChatDatabase({ directory: ":memory:" });
  const startMs = 1_700_000_000_000;
  let nowMs = startMs;
  return {
    rooms: new SqliteRoomDirectory(database, () => nowMs),
    advance: async (ms) => {
      nowMs += ms;
    },
    startMs,
    cleanup: async () => database.close(),
  };
});

test("a full disk is an error that passes, and the room is not half there", async () => {
  const database = new ChatDatabase({ directory: ":memory:" });
  const rooms = new SqliteRoomDirectory(database);
  database.run("PRAGMA max_page_count = 1");
  const room = { roomId: "a", title: "title", description: "x".repeat(500_000) };
  const refused = await rooms.create(room).catch((error) => error);
  expect(refused).toBeInstanceOf(RoomDirectoryUnavailableError);
  expect(refused).toMatchObject({ retryable: true });
  expect(await rooms.get("a")).toBeUndefined();
  database.run("PRAGMA max_page_count = 1000000");
  expect(await rooms.create(room)).toMatchObject({ version: 1 });
  database.close();
});

test("a page of the list is one walk along its index", () => {
  const database = new ChatDatabase({ directory: ":memory:" });
  const plan = database.prepare<{ detail: string }, []>(
    `EXPLAIN QUERY PLAN SELECT * FROM rooms WHERE created_ms <= 5 AND (created_ms < 5 OR room_id > 'a')
     ORDER BY created_ms DESC, room_id LIMIT 10`,
  );
  const steps = plan.all().map(({ detail }) => detail);
  expect(steps).toEqual(["SEARCH rooms USING INDEX rooms_newest_first (created_ms<?)"]);
  database.close();
});
