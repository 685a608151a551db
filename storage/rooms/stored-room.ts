/**
 * What both room directories have in common: the form of a stored room, the rules of its changes, and the tokens of the
 * pages of their lists.
 */
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type Room, RoomSchema, RoomStatus } from "../../gen/chat/v1/room_pb.ts";
import { PageTokenError, type RoomChange, RoomNotOpenError, RoomVersionMismatchError } from "./room-directory.ts";

/** A room as tables have it. */
export interface StoredRoom {
  room_id: string;
  title: string;
  description: string;
  status: RoomStatus;
  created_ms: number;
  updated_ms: number;
  version: number;
}

/** A place in the list: newest first, rooms of one millisecond by id. */
export interface ListPlace {
  createdMs: number;
  roomId: string;
}

export function toRoom(row: StoredRoom): Room {
  return create(RoomSchema, {
    roomId: row.room_id,
    title: row.title,
    description: row.description,
    status: row.status,
    createdAt: timestampFromMs(row.created_ms),
    updatedAt: timestampFromMs(row.updated_ms),
    version: row.version,
  });
}

/** The room after a change, its version and time aside. @throws {RoomNotOpenError | RoomVersionMismatchError} */
export function changed<Stored extends StoredRoom>(room: Stored, { title, description, version }: RoomChange): Stored {
  if (room.status !== RoomStatus.OPEN) {
    throw new RoomNotOpenError(room.room_id);
  }
  if (version !== undefined && version !== room.version) {
    throw new RoomVersionMismatchError(room.room_id, version, room.version);
  }
  return { ...room, title: title ?? room.title, description: description ?? room.description };
}

/** The room closed, its version and time aside; the very same where it is closed already. */
export function closed<Stored extends StoredRoom>(room: Stored): Stored {
  return room.status === RoomStatus.CLOSED ? room : { ...room, status: RoomStatus.CLOSED };
}

/**
 * A page token names the status asked for and the last room shown, after a checksum of both, in base64url:
 *
 *     <crc32> <status> <created_ms> <room_id>
 *
 * The checksum finds tokens that were cut or made up; it keeps no secret, since a token opens nothing that is closed.
 */
export function writeToken({ createdMs, roomId }: ListPlace, status: RoomStatus): string {
  const names = `${status} ${createdMs} ${roomId}`;
  return Buffer.from(`${Bun.hash.crc32(names)} ${names}`).toString("base64url");
}

/** @throws {PageTokenError} if `token` was not written for a list of this status */
export function readToken(token: string, status: RoomStatus): ListPlace {
  const match = /^[0-9]+ [0-9] ([0-9]{1,15}) (.+)$/s.exec(Buffer.from(token, "base64url").toString());
  const [, createdMs = "", roomId = ""] = match ?? [];
  const place = { createdMs: Number(createdMs), roomId };
  // Whoever writes it anew gets the same token, or it was not one.
  if (!match || writeToken(place, status) !== token) {
    throw new PageTokenError(token);
  }
  return place;
}
