/**
 * The embedded room directory: one table in `chat.db`.
 *
 * It stands behind RoomService and the rooms REST. It owns the table `rooms`; the connection belongs to
 * `chat-database.ts`. Every method is one transaction, so a change that names a version is conditional.
 */
import { type Room, RoomStatus } from "../../gen/chat/v1/room_pb.ts";
import { type ChatDatabase, isOutOfReach } from "../chat-database.ts";
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
import { changed, closed, readToken, type StoredRoom, toRoom, writeToken } from "./stored-room.ts";

const retryAfterMs = 1_000;

export class SqliteRoomDirectory implements RoomDirectory {
  readonly #database: ChatDatabase;
  readonly #now: () => number;
  readonly #insert;
  readonly #one;
  readonly #page;
  readonly #update;

  /** @param now the clock of created_at and updated_at, Unix ms */
  constructor(database: ChatDatabase, now: () => number = Date.now) {
    this.#database = database;
    this.#now = now;
    this.#insert = database.prepare<StoredRoom, [string, string, string, RoomStatus, number, number]>(
      `INSERT INTO rooms (room_id, title, description, status, created_ms, updated_ms, version)
       VALUES (?, ?, ?, ?, ?, ?, 1) ON CONFLICT DO NOTHING RETURNING *`,
    );
    this.#one = database.prepare<StoredRoom, [string]>("SELECT * FROM rooms WHERE room_id = ?");
    // The index gives this order; a status is filtered on the way. Status 0 (unspecified): all.
    this.#page = database.prepare<StoredRoom, [number, number, string, RoomStatus, RoomStatus, number]>(
      `SELECT * FROM rooms
       WHERE created_ms <= ? AND (created_ms < ? OR room_id > ?) AND (? = 0 OR status = ?)
       ORDER BY created_ms DESC, room_id LIMIT ?`,
    );
    this.#update = database.prepare<StoredRoom, [string, string, RoomStatus, number, string]>(
      `UPDATE rooms SET title = ?, description = ?, status = ?, updated_ms = ?, version = version + 1
       WHERE room_id = ? RETURNING *`,
    );
  }

  async create({ roomId, title, description }: NewRoom): Promise<Room> {
    const nowMs = this.#now();
    const row = this.#reach(() => this.#insert.get(roomId, title, description, RoomStatus.OPEN, nowMs, nowMs));
    if (!row) {
      throw new RoomExistsError(roomId);
    }
    return toRoom(row);
  }

  async get(roomId: string): Promise<Room | undefined> {
    const row = this.#reach(() => this.#one.get(roomId));
    return row ? toRoom(row) : undefined;
  }

  /** @throws {RangeError} if `roomsMax` is less than 1 */
  async list({ roomsMax, pageToken, status = RoomStatus.UNSPECIFIED }: RoomQuery): Promise<RoomPage> {
    if (!Number.isInteger(roomsMax) || roomsMax < 1) {
      throw new RangeError(`roomsMax is ${roomsMax}, it must be at least 1`);
    }
    const { createdMs, roomId } =
      pageToken === undefined ? { createdMs: Number.MAX_SAFE_INTEGER, roomId: "" } : readToken(pageToken, status);
    // One more than asked for tells whether there is a next page.
    const rows = this.#reach(() => this.#page.all(createdMs, createdMs, roomId, status, status, roomsMax + 1));
    const shown = rows.slice(0, roomsMax);
    const end = rows.length > roomsMax ? shown.at(-1) : undefined;
    return {
      rooms: shown.map(toRoom),
      nextPageToken: end && writeToken({ createdMs: end.created_ms, roomId: end.room_id }, status),
    };
  }

  async update(roomId: string, change: RoomChange): Promise<Room> {
    return this.#change(roomId, (room) => changed(room, change));
  }

  async close(roomId: string): Promise<Room> {
    return this.#change(roomId, closed);
  }

  /** Reads, decides and writes as one step. Where `decide` answers the row it was given, nothing is written. */
  #change(roomId: string, decide: (row: StoredRoom) => StoredRoom): Room {
    return this.#reach(() =>
      this.#database.transaction(() => {
        const row = this.#one.get(roomId);
        if (!row) {
          throw new RoomNotFoundError(roomId);
        }
        const wanted = decide(row);
        if (wanted === row) {
          return toRoom(row);
        }
        const updated = this.#update.get(wanted.title, wanted.description, wanted.status, this.#now(), roomId);
        return toRoom(updated ?? wanted);
      }),
    );
  }

  #reach<T>(step: () => T): T {
    try {
      return step();
    } catch (error) {
      if (isOutOfReach(error)) {
        throw new RoomDirectoryUnavailableError(`the room directory did not answer: ${error.message}`, retryAfterMs, {
          cause: error,
        });
      }
      throw error;
    }
  }
}
