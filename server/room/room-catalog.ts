/**
 * Which rooms there are, as this gateway knows them: the directory behind a small memory, and the one who tells a room's
 * readers when it changes.
 *
 * State: the rooms looked up lately, at most `roomsMax` of them.
 */
import { create } from "@bufbuild/protobuf";
import { RoomStateSchema } from "../../gen/chat/v1/event_pb.ts";
import { type Room, RoomStatus } from "../../gen/chat/v1/room_pb.ts";
import { RoomClosedError } from "../../storage/log/errors.ts";
import { encodeRoomState } from "../../storage/log/log-event.ts";
import type { RoomLog } from "../../storage/log/room-log.ts";
import {
  type NewRoom,
  type RoomChange,
  type RoomDirectory,
  RoomNotFoundError,
  type RoomPage,
  type RoomQuery,
} from "../../storage/rooms/room-directory.ts";

const roomsMax = 10_000;

/** How long another gateway's change may go unseen here by calls; readers of the room see it at once, in its log. */
const freshMs = 2_000;

/** How long a call waits for the directory where it could do with what is remembered. */
const patienceMs = 250;

interface KnownRoom {
  room: Room;
  /** Until then nobody asks the directory. */
  freshUntil: number;
  /** The directory is being asked. */
  asking: Promise<Room> | undefined;
}

export class RoomCatalog {
  readonly #directory: RoomDirectory;
  readonly #log: RoomLog;
  readonly #now: () => number;
  readonly #known = new Map<string, KnownRoom>();

  /** @param now a clock that only goes forward, ms */
  constructor(directory: RoomDirectory, log: RoomLog, now: () => number = () => performance.now()) {
    this.#directory = directory;
    this.#log = log;
    this.#now = now;
  }

  async create(room: NewRoom): Promise<Room> {
    return this.#remember(await this.#directory.create(room));
  }

  /**
   * A room as it is, or as it was last seen while the directory is away: a chat goes on without its directory, and the log
   * knows by itself which rooms are closed.
   * @throws {RoomNotFoundError} or, for a room that was never seen here, what the directory throws
   */
  async get(roomId: string): Promise<Room> {
    const known = this.#known.get(roomId);
    if (!known) {
      return this.#ask(roomId);
    }
    if (known.freshUntil > this.#now()) {
      return known.room;
    }
    known.asking ??= this.#ask(roomId).finally(() => {
      known.asking = undefined;
    });
    return this.#rememberedUnless(known.asking, known);
  }

  list(query: RoomQuery): Promise<RoomPage> {
    return this.#directory.list(query);
  }

  /** Changes a room and tells its readers. @throws as RoomDirectory.update and RoomLog.append */
  async update(roomId: string, change: RoomChange): Promise<Room> {
    const room = this.#remember(await this.#directory.update(roomId, change));
    await this.#log.append({ roomId, event: stateEvent(room) });
    return room;
  }

  /** Closes a room and its log. Where a close was cut short between the two, closing again finishes it. */
  async close(roomId: string): Promise<Room> {
    const room = this.#remember(await this.#directory.close(roomId));
    try {
      await this.#log.append({ roomId, event: stateEvent(room), final: true });
    } catch (error) {
      if (!(error instanceof RoomClosedError)) {
        throw error;
      }
    }
    return room;
  }

  /** @throws {RoomNotFoundError | RoomClosedError} */
  async open(roomId: string): Promise<Room> {
    const room = await this.get(roomId);
    if (room.status === RoomStatus.CLOSED) {
      throw new RoomClosedError(roomId);
    }
    return room;
  }

  /** What the directory answers, if it does so soon; otherwise what is remembered, without asking again for a while. */
  async #rememberedUnless(asking: Promise<Room>, known: KnownRoom): Promise<Room> {
    const { promise: impatience, resolve: lose } = Promise.withResolvers<undefined>();
    const timer = setTimeout(() => lose(undefined), patienceMs);
    try {
      const room = await Promise.race([asking, impatience]);
      if (room) {
        return room;
      }
    } catch (error) {
      if (error instanceof RoomNotFoundError) {
        throw error;
      }
    } finally {
      clearTimeout(timer);
    }
    known.freshUntil = this.#now() + freshMs;
    return known.room;
  }

  async #ask(roomId: string): Promise<Room> {
    const room = await this.#directory.get(roomId);
    if (!room) {
      this.#known.delete(roomId);
      throw new RoomNotFoundError(roomId);
    }
    return this.#remember(room);
  }

  #remember(room: Room): Room {
    this.#known.delete(room.roomId);
    this.#known.set(room.roomId, { room, freshUntil: this.#now() + freshMs, asking: undefined });
    if (this.#known.size > roomsMax) {
      const oldest = this.#known.keys().next();
      if (!oldest.done) {
        this.#known.delete(oldest.value);
      }
    }
    return room;
  }
}

function stateEvent(room: Room): Uint8Array {
  return encodeRoomState(create(RoomStateSchema, { room }));
}
