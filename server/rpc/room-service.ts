/** chat.v1.RoomService: what its rpcs mean. */
import type { ServiceImpl } from "@connectrpc/connect";
import { type RoomService, RoomStatus } from "../../gen/chat/v1/room_pb.ts";
import type { RoomCatalog } from "../room/room-catalog.ts";

const pageSizeDefault = 20;

/** No vowels and no look-alikes: no words by chance, and easy to read out. */
const idAlphabet = "23456789bcdfghjkmnpqrstvwxyz";
const idLength = 12;

export function roomService(catalog: RoomCatalog): ServiceImpl<typeof RoomService> {
  return {
    async createRoom({ roomId, title, description }) {
      return { room: await catalog.create({ roomId: roomId || newRoomId(), title, description }) };
    },
    async getRoom({ roomId }) {
      return { room: await catalog.get(roomId) };
    },
    async listRooms({ pageSize, pageToken, status }) {
      const page = await catalog.list({
        roomsMax: pageSize || pageSizeDefault,
        pageToken: pageToken || undefined,
        status: status === RoomStatus.UNSPECIFIED ? undefined : status,
      });
      return { rooms: page.rooms, nextPageToken: page.nextPageToken ?? "" };
    },
    async updateRoom({ roomId, title, description, version }) {
      return { room: await catalog.update(roomId, { title, description, version: version || undefined }) };
    },
    async closeRoom({ roomId }) {
      return { room: await catalog.close(roomId) };
    },
  };
}

/** 57 random bits: two rooms of a million collide once in 300,000 such millions. */
function newRoomId(): string {
  const random = crypto.getRandomValues(new Uint32Array(idLength));
  return Array.from(random, (value) => idAlphabet[value % idAlphabet.length]).join("");
}
