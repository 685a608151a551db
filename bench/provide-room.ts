/** Makes sure that there is a room to talk in. */
import { type Client, Code, ConnectError } from "@connectrpc/connect";
import { refusalOf } from "../client/index.ts";
import { type RoomService, RoomStatus } from "../gen/chat/v1/room_pb.ts";

/**
 * @returns whether it had to be created
 * @throws {Error} the gateway is out of reach, or the room is closed
 */
export async function provideRoom(rooms: Client<typeof RoomService>, url: string, roomId: string): Promise<boolean> {
  const callOptions = { timeoutMs: 10_000 };
  try {
    const { room } = await rooms.getRoom({ roomId }, callOptions);
    if (room?.status === RoomStatus.CLOSED) {
      throw new Error(`room ${roomId} is closed; choose another with --room`);
    }
    return false;
  } catch (thrown) {
    if (!(thrown instanceof ConnectError)) {
      throw thrown;
    }
    const { code, reason, message } = refusalOf(thrown);
    if (code !== Code.NotFound || reason !== "ROOM_NOT_FOUND") {
      throw new Error(`no chat gateway at ${url}: ${message}`, { cause: thrown });
    }
    try {
      await rooms.createRoom({ roomId, title: roomId }, callOptions);
      return true;
    } catch (error) {
      // Somebody else was faster.
      if (ConnectError.from(error).code !== Code.AlreadyExists) {
        throw error;
      }
      return false;
    }
  }
}
