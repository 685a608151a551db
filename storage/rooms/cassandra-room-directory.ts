/**
 * The room directory in Cassandra: one row a room, changed by conditional writes, and a list by time of creation.
 *
 * It stands behind RoomService and the rooms REST. It owns the tables `rooms`, `rooms_by_week` and `room_weeks`; the
 * connection belongs to `storage/cassandra/`.
 *
 * Every change carries an id of its own, and is made on condition that the id of the change before is still there. So of
 * changes at the same time one wins, the others look again; and a change whose answer was lost is recognised by its id.
 *
 * The list is written before the room: what it names counts only where the room is there and was created at that time. A
 * process that dies in between leaves a line that nobody is shown.
 */
import { types } from "cassandra-driver";
import { type Room, RoomStatus } from "../../gen/chat/v1/room_pb.ts";
import { type Backoff, backoffDelayMs, pause } from "../../lib/backoff.ts";
import type { CassandraConnection } from "../cassandra/connection.ts";
import { CassandraUnavailableError } from "../cassandra/errors.ts";
import {
  type NewRoom,
  type RoomChange,
  type RoomDirectory,
  RoomDirectoryUnavailableError,
  RoomExistsError,
  RoomNotFoundError,
  type RoomPage,
  type RoomQuery,
} from "./room-directory.ts";
import { changed, closed, type ListPlace, readToken, type StoredRoom, toRoom, writeToken } from "./stored-room.ts";

const weekMs = 7 * 24 * 60 * 60 * 1_000;
/** Places of the list that one page looks at: with few rooms of the status asked for, a page is short, and has a token. */
const placesPerPageMax = 1_000;
/** Rooms asked for at once, each by a request of its own. */
const roomsAtOnceMax = 64;
/** Weeks that one request brings: over a year. */
const weeksAtOnceMax = 64;
/** How often a change that others come before is made again. */
const changeTriesMax = 20;
/** Between them: a conditional write takes a few ms. */
const changeBackoff: Backoff = { baseMs: 5, maxMs: 200 };

const columns = "room_id, title, description, status, created_ms, updated_ms, version, change_id";
const insertRoom = `INSERT INTO rooms (${columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?) IF NOT EXISTS`;
const updateRoom = `UPDATE rooms SET title = ?, description = ?, status = ?, updated_ms = ?, version = ?, change_id = ?
  WHERE room_id = ? IF change_id = ?`;
const selectRoom = `SELECT ${columns} FROM rooms WHERE room_id = ?`;
const insertPlace = "INSERT INTO rooms_by_week (week, created_ms, room_id) VALUES (?, ?, ?)";
const insertWeek = "INSERT INTO room_weeks (list, week) VALUES ('all', ?)";
const selectWeeks = "SELECT week FROM room_weeks WHERE list = 'all' AND week <= ? LIMIT ?";
const selectPlaces = "SELECT created_ms, room_id FROM rooms_by_week WHERE week = ? AND created_ms < ? LIMIT ?";
const selectPlacesOfMs = `SELECT created_ms, room_id FROM rooms_by_week WHERE week = ? AND created_ms = ? AND room_id > ?
  LIMIT ?`;

/** A room with the id of its latest change. */
interface ChangedRoom extends StoredRoom {
  change_id: types.Uuid;
}

export class CassandraRoomDirectory implements RoomDirectory {
  readonly #connection: CassandraConnection;
  readonly #now: () => number;
  /** The week that is known to be in `room_weeks`. */
  #week: number | undefined;

  /** @param now the clock of created_at and updated_at, Unix ms */
  constructor(connection: CassandraConnection, now: () => number = Date.now) {
    this.#connection = connection;
    this.#now = now;
  }

  create({ roomId, title, description }: NewRoom): Promise<Room> {
    return this.#reach(async () => {
      if (await this.#find(roomId)) {
        throw new RoomExistsError(roomId);
      }
      const nowMs = this.#now();
      const room: ChangedRoom = {
        room_id: roomId,
        title,
        description,
        status: RoomStatus.OPEN,
        created_ms: nowMs,
        updated_ms: nowMs,
        version: 1,
        change_id: types.Uuid.random(),
      };
      await this.#enterInList({ createdMs: nowMs, roomId });
      const created = BigInt(nowMs);
      const params = [roomId, title, description, room.status, created, created, room.version, room.change_id];
      const answer = await this.#connection.executeConditional({ query: insertRoom, params });
      if (!tookPlace(answer, room.change_id)) {
        throw new RoomExistsError(roomId);
      }
      return toRoom(room);
    });
  }

  get(roomId: string): Promise<Room | undefined> {
    return this.#reach(async () => {
      const room = await this.#find(roomId);
      return room && toRoom(room);
    });
  }

  /**
   * A page may have fewer rooms than asked for, and a token, where few rooms have the status asked for.
   * @throws {RangeError} if `roomsMax` is less than 1
   */
  async list({ roomsMax, pageToken, status = RoomStatus.UNSPECIFIED }: RoomQuery): Promise<RoomPage> {
    if (!Number.isInteger(roomsMax) || roomsMax < 1) {
      throw new RangeError(`roomsMax is ${roomsMax}, it must be at least 1`);
    }
    const start = pageToken === undefined ? undefined : readToken(pageToken, status);
    return this.#reach(async () => {
      const shown: StoredRoom[] = [];
      let looked = 0;
      let end = start;
      // One more than asked for tells whether there is a next page.
      for await (const places of this.#places(start, Math.min(roomsMax + 1, roomsAtOnceMax))) {
        const found = await Promise.all(places.map(({ roomId }) => this.#find(roomId)));
        for (const [index, place] of places.entries()) {
          const room = found[index];
          const listed = room && room.created_ms === place.createdMs;
          if (listed && (status === RoomStatus.UNSPECIFIED || room.status === status)) {
            if (shown.length === roomsMax) {
              return pageOf(shown, end, status);
            }
            shown.push(room);
          }
          end = place;
        }
        looked += places.length;
        if (looked >= placesPerPageMax) {
          return pageOf(shown, end, status);
        }
      }
      return pageOf(shown, undefined, status);
    });
  }

  update(roomId: string, change: RoomChange): Promise<Room> {
    return this.#change(roomId, (room) => changed(room, change));
  }

  close(roomId: string): Promise<Room> {
    return this.#change(roomId, closed);
  }

  /** Reads, decides and writes, again where another change came between. Where `decide` answers the room it was given, nothing is written. */
  #change(roomId: string, decide: (room: ChangedRoom) => ChangedRoom): Promise<Room> {
    return this.#reach(async () => {
      for (let tries = 1; tries <= changeTriesMax; tries += 1) {
        const before = await this.#find(roomId);
        if (!before) {
          throw new RoomNotFoundError(roomId);
        }
        const wanted = decide(before);
        if (wanted === before) {
          return toRoom(before);
        }
        const after = {
          ...wanted,
          updated_ms: this.#now(),
          version: before.version + 1,
          change_id: types.Uuid.random(),
        };
        const { title, description, status, updated_ms, version, change_id } = after;
        const params = [title, description, status, BigInt(updated_ms), version, change_id, roomId, before.change_id];
        if (tookPlace(await this.#connection.executeConditional({ query: updateRoom, params }), change_id)) {
          return toRoom(after);
        }
        await pause(backoffDelayMs(tries, changeBackoff));
      }
      throw new RoomDirectoryUnavailableError(
        `room ${roomId} was not changed: others came before ${changeTriesMax} times`,
        changeBackoff.maxMs,
      );
    });
  }

  async #find(roomId: string): Promise<ChangedRoom | undefined> {
    const { rows } = await this.#connection.execute({ query: selectRoom, params: [roomId] });
    const [row] = rows;
    return row && toStoredRoom(row);
  }

  /** The week before the place, so that no walk misses a place. */
  async #enterInList({ createdMs, roomId }: ListPlace): Promise<void> {
    const week = weekOf(createdMs);
    if (week !== this.#week) {
      await this.#connection.execute({ query: insertWeek, params: [BigInt(week)] });
      this.#week = week;
    }
    await this.#connection.execute({ query: insertPlace, params: [BigInt(week), BigInt(createdMs), roomId] });
  }

  /** The places of the list after `start`, or all, up to `placesMax` at a time. */
  async *#places(start: ListPlace | undefined, placesMax: number): AsyncGenerator<ListPlace[]> {
    const read = async (query: string, ...params: unknown[]): Promise<ListPlace[]> => {
      const { rows } = await this.#connection.execute({ query, params: [...params, placesMax] }, placesMax);
      return rows.map((row) => ({ createdMs: Number(row.created_ms), roomId: row.room_id }));
    };
    const startWeek = start && weekOf(start.createdMs);
    for await (const week of this.#weeks(startWeek)) {
      let place = week === startWeek ? start : undefined;
      for (let more = true; more; ) {
        // First the rest of the last place's millisecond: there ids rise, while times fall.
        for (let rest = place !== undefined; place && rest; ) {
          const places = await read(selectPlacesOfMs, BigInt(week), BigInt(place.createdMs), place.roomId);
          yield places;
          place = places.at(-1) ?? place;
          rest = places.length === placesMax;
        }
        const places = await read(selectPlaces, BigInt(week), BigInt(place?.createdMs ?? Number.MAX_SAFE_INTEGER));
        yield places;
        place = places.at(-1);
        more = places.length === placesMax;
      }
    }
  }

  /** The weeks that have rooms, from `newest` back. */
  async *#weeks(newest: number = Number.MAX_SAFE_INTEGER): AsyncGenerator<number> {
    for (let from = newest, more = true; more; ) {
      const statement = { query: selectWeeks, params: [BigInt(from), weeksAtOnceMax] };
      const { rows } = await this.#connection.execute(statement, weeksAtOnceMax);
      const weeks = rows.map((row) => Number(row.week));
      yield* weeks;
      from = (weeks.at(-1) ?? 0) - 1;
      more = weeks.length === weeksAtOnceMax;
    }
  }

  async #reach<T>(step: () => Promise<T>): Promise<T> {
    try {
      return await step();
    } catch (error) {
      if (error instanceof CassandraUnavailableError) {
        throw new RoomDirectoryUnavailableError(
          `the room directory did not answer: ${error.message}`,
          error.retryAfterMs,
          { cause: error },
        );
      }
      throw error;
    }
  }
}

function toStoredRoom(row: types.Row): ChangedRoom {
  return {
    room_id: row.room_id,
    title: row.title,
    description: row.description,
    status: row.status,
    created_ms: Number(row.created_ms),
    updated_ms: Number(row.updated_ms),
    version: row.version,
    change_id: row.change_id,
  };
}

/** Whether a conditional write was made: now, or at an earlier try whose answer was lost. */
function tookPlace(answer: types.ResultSet, changeId: types.Uuid): boolean {
  return answer.wasApplied() || changeId.equals(answer.rows[0]?.change_id);
}

function pageOf(rooms: readonly StoredRoom[], end: ListPlace | undefined, status: RoomStatus): RoomPage {
  return { rooms: rooms.map(toRoom), nextPageToken: end && writeToken(end, status) };
}

function weekOf(createdMs: number): number {
  return Math.floor(createdMs / weekMs);
}
