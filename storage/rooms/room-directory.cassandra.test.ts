/** The room directory in a real Cassandra: the contract, then what happens when answers and processes are lost. */
import { afterAll, beforeAll, expect, spyOn, test } from "bun:test";
import { RoomStatus } from "../../gen/chat/v1/room_pb.ts";
import { cassandraStartTimeoutMs, sharedCassandra } from "../../test/harness/cassandra.ts";
import { CassandraConnection } from "../cassandra/connection.ts";
import { CassandraRoomDirectory } from "./cassandra-room-directory.ts";
import { roomDirectoryContract } from "./room-directory.contract.ts";
import { RoomDirectoryUnavailableError, RoomExistsError } from "./room-directory.ts";

let connection: CassandraConnection;

beforeAll(async () => {
  connection = new CassandraConnection((await sharedCassandra()).freshKeyspace());
  await connection.ready();
}, cassandraStartTimeoutMs);

afterAll(() => connection?.close());

const startMs = 1_700_000_000_000;
const weekMs = 7 * 24 * 60 * 60 * 1_000;

/** A directory in which there is nothing yet. */
async function openEmpty() {
  for (const table of ["rooms", "rooms_by_week", "room_weeks"]) {
    await connection.execute({ query: `TRUNCATE ${table}`, params: [] });
  }
  let nowMs = startMs;
  const advance = async (ms: number) => {
    nowMs += ms;
  };
  return { rooms: new CassandraRoomDirectory(connection, () => nowMs), advance, startMs, cleanup: async () => {} };
}

// Fewer walks: emptying the tables and conditional writes make one take half a second.
roomDirectoryContract("Cassandra", openEmpty, 12);

const room = (roomId: string) => ({ roomId, title: roomId, description: "" });

test("the list goes on over weeks, and over many rooms of one millisecond", async () => {
  const { rooms, advance } = await openEmpty();
  const expected: string[] = [];
  for (let week = 0; week < 3; week += 1) {
    const ids = Array.from({ length: 70 }, (_, n) => `room-${week}-${String(n).padStart(2, "0")}`);
    await Promise.all(ids.map((id) => rooms.create(room(id))));
    expected.unshift(...ids);
    await advance(week === 0 ? 1 : 3 * weekMs);
  }
  for (const roomsMax of [1_000, 64, 7]) {
    const seen: string[] = [];
    let pageToken: string | undefined;
    do {
      const page = await rooms.list({ roomsMax, pageToken });
      seen.push(...page.rooms.map(({ roomId }) => roomId));
      pageToken = page.nextPageToken;
    } while (pageToken !== undefined);
    expect(seen).toEqual(expected);
  }
});

test("a room that a process put on the list before it died is not shown, and can be created", async () => {
  const { rooms, advance } = await openEmpty();
  const executeConditional = spyOn(connection, "executeConditional").mockRejectedValueOnce(new Error("killed"));
  try {
    await rooms.create(room("a")).catch(() => {});
  } finally {
    executeConditional.mockRestore();
  }
  expect((await rooms.list({ roomsMax: 10 })).rooms).toEqual([]);
  await advance(1);
  await rooms.create(room("a"));
  expect((await rooms.list({ roomsMax: 10 })).rooms.map(({ roomId }) => roomId)).toEqual(["a"]);
});

test("a page looks at a bounded part of the list: it can be short, even empty, and its token goes on", async () => {
  const { rooms, advance } = await openEmpty();
  await rooms.create(room("old"));
  await advance(10);
  const week = BigInt(Math.floor(startMs / weekMs));
  await connection.writePartition(
    Array.from({ length: 1_500 }, (_, n) => ({
      query: "INSERT INTO rooms_by_week (week, created_ms, room_id) VALUES (?, ?, ?)",
      params: [week, BigInt(startMs + 1 + (n % 5)), `never-created-${n}`],
    })),
  );
  const first = await rooms.list({ roomsMax: 100 });
  expect(first.rooms).toEqual([]);
  const second = await rooms.list({ roomsMax: 100, pageToken: first.nextPageToken });
  expect(second.rooms.map(({ roomId }) => roomId)).toEqual(["old"]);
  expect(second.nextPageToken).toBeUndefined();
});

/** Makes a conditional write whose answer is lost, and then again: what the connection does after a timeout. */
function loseAnswers() {
  const make = connection.executeConditional.bind(connection);
  return spyOn(connection, "executeConditional").mockImplementation(async (statement) => {
    await make(statement);
    return make(statement);
  });
}

test("a creation and changes whose answers were lost count once", async () => {
  const { rooms } = await openEmpty();
  const lost = loseAnswers();
  try {
    expect(await rooms.create(room("a"))).toMatchObject({ version: 1 });
    expect(await rooms.update("a", { title: "new", version: 1 })).toMatchObject({ title: "new", version: 2 });
    expect(await rooms.close("a")).toMatchObject({ status: RoomStatus.CLOSED, version: 3 });
  } finally {
    lost.mockRestore();
  }
  expect(await rooms.get("a")).toMatchObject({ title: "new", status: RoomStatus.CLOSED, version: 3 });
  expect(await rooms.create(room("a")).catch((error) => error)).toBeInstanceOf(RoomExistsError);
});

test("a change that others come before every time is refused, to be made again later", async () => {
  const { rooms } = await openEmpty();
  await rooms.create(room("a"));
  const make = connection.executeConditional.bind(connection);
  const overtaken = spyOn(connection, "executeConditional").mockImplementation(async (statement) => {
    const others = [...statement.params];
    others[0] = "theirs";
    others[5] = crypto.randomUUID();
    await make({ ...statement, params: others });
    return make(statement);
  });
  try {
    const refused = await rooms.update("a", { title: "mine" }).catch((error) => error);
    expect(refused).toBeInstanceOf(RoomDirectoryUnavailableError);
    expect(refused).toMatchObject({ retryable: true });
  } finally {
    overtaken.mockRestore();
  }
  expect(await rooms.get("a")).toMatchObject({ title: "theirs" });
});

test("once the connection is closed every call is refused, to be made again", async () => {
  const closed = new CassandraConnection((await sharedCassandra()).freshKeyspace());
  await closed.close();
  const rooms = new CassandraRoomDirectory(closed);
  for (const call of [() => rooms.create(room("a")), () => rooms.get("a"), () => rooms.list({ roomsMax: 1 })]) {
    expect(await call().catch((error) => error)).toBeInstanceOf(RoomDirectoryUnavailableError);
  }
});
