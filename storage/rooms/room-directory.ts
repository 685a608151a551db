/**
 * The seam of the room directory: which rooms there are and what they are called.
 *
 * Implementations: `sqlite-room-directory.ts`, `cassandra-room-directory.ts`. The contract that they all pass is `room-directory.contract.ts`.
 */
import type { Room, RoomStatus } from "../../gen/chat/v1/room_pb.ts";

export interface NewRoom {
  roomId: string;
  title: string;
  description: string;
}

/** What to change; what is undefined stays. */
export interface RoomChange {
  title?: string | undefined;
  description?: string | undefined;
  /** Change only a room that has this version. Undefined: any. */
  version?: number | undefined;
}

export interface RoomQuery {
  roomsMax: number;
  /** RoomPage.nextPageToken of the page before. Undefined: the first page. */
  pageToken?: string | undefined;
  /** Undefined: all. */
  status?: RoomStatus | undefined;
}

export interface RoomPage {
  /** Newest first; rooms created within one millisecond in the order of their ids. */
  rooms: Room[];
  /** Undefined: this was the last page. */
  nextPageToken: string | undefined;
}

export interface RoomDirectory {
  /** Creates an open room, version 1. @throws {RoomExistsError} */
  create(room: NewRoom): Promise<Room>;
  get(roomId: string): Promise<Room | undefined>;
  /** A walk over all pages shows every room that existed when it began exactly once. @throws {PageTokenError} */
  list(query: RoomQuery): Promise<RoomPage>;
  /** Changes a room and counts its version up. @throws {RoomNotFoundError | RoomVersionMismatchError | RoomNotOpenError} */
  update(roomId: string, change: RoomChange): Promise<Room>;
  /** Closes a room; closing a closed one changes nothing and answers it. @throws {RoomNotFoundError} */
  close(roomId: string): Promise<Room>;
}

export class RoomExistsError extends Error {
  override readonly name = "RoomExistsError";
  constructor(readonly roomId: string) {
    super(`there is a room ${roomId} already`);
  }
}

export class RoomNotFoundError extends Error {
  override readonly name = "RoomNotFoundError";
  constructor(readonly roomId: string) {
    super(`there is no room ${roomId}`);
  }
}

export class RoomNotOpenError extends Error {
  override readonly name = "RoomNotOpenError";
  constructor(readonly roomId: string) {
    super(`room ${roomId} is closed and cannot be changed`);
  }
}

export class RoomVersionMismatchError extends Error {
  override readonly name = "RoomVersionMismatchError";
  constructor(
    readonly roomId: string,
    readonly wantedVersion: number,
    readonly version: number,
  ) {
    super(`room ${roomId} has version ${version}, the change was meant for ${wantedVersion}`);
  }
}

/** A page token that no directory gave out. */
export class PageTokenError extends Error {
  override readonly name = "PageTokenError";
  constructor(readonly pageToken: string) {
    super(`not a page token of this list: ${JSON.stringify(pageToken)}`);
  }
}

/** The directory did not answer; the same call can succeed later. Any method may throw it. */
export class RoomDirectoryUnavailableError extends Error {
  override readonly name = "RoomDirectoryUnavailableError";
  readonly retryable = true;
  constructor(
    message: string,
    readonly retryAfterMs: number,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}
