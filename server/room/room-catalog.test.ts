import { beforeEach, expect, test } from "bun:test";
import { create } from "@bufbuild/protobuf";
import { type Room, RoomSchema, RoomStatus } from "../../gen/chat/v1/room_pb.ts";
import type { RoomLog } from "../../storage/log/room-log.ts";
import {
  type RoomDirectory,
  RoomDirectoryUnavailableError,
  RoomNotFoundError,
} from "../../storage/rooms/room-directory.ts";
import { RoomCatalog } from "./room-catalog.ts";

/** A directory that is there, away (refuses) or frozen (never answers), as told, and counts how often it was asked. */
class ToldDirectory {
  state: "there" | "away" | "frozen" = "there";
  readonly rooms = new Map<string, Room>();
  asked = 0;

  async get(roomId: string): Promise<Room | undefined> {
    this.asked++;
    if (this.state === "away") {
      throw new RoomDirectoryUnavailableError("away", 1_000);
    }
    return this.state === "frozen" ? new Promise(() => {}) : this.rooms.get(roomId);
  }
}

let directory: ToldDirectory;
let catalog: RoomCatalog;
let nowMs: number;

beforeEach(() => {
  directory = new ToldDirectory();
  nowMs = 1_000;
  catalog = new RoomCatalog(directory as unknown as RoomDirectory, {} as RoomLog, () => nowMs);
  put("first");
});

function put(title: string): void {
  directory.rooms.set("lobby", create(RoomSchema, { roomId: "lobby", title, status: RoomStatus.OPEN, version: 1 }));
}

/** What is remembered is not fresh any more. */
function grow(): void {
  nowMs += 60_000;
}

test("a room is asked for once while it is fresh, and again after", async () => {
  expect((await catalog.get("lobby")).title).toBe("first");
  put("second");
  expect((await catalog.get("lobby")).title).toBe("first");
  expect(directory.asked).toBe(1);
  grow();
  expect((await catalog.get("lobby")).title).toBe("second");
});

test("a room that was seen is there while the directory is away, which is not asked by every call", async () => {
  await catalog.get("lobby");
  for (const state of ["away", "frozen"] as const) {
    directory.state = state;
    grow();
    directory.asked = 0;
    const rooms = await Promise.all(Array.from({ length: 5 }, () => catalog.get("lobby")));
    expect(rooms.map(({ title }) => title)).toEqual(Array(5).fill("first"));
    expect((await catalog.get("lobby")).title).toBe("first");
    expect(directory.asked).toBe(1);
  }
});

test("a room that was never seen is refused while the directory is away", async () => {
  directory.state = "away";
  await expect(catalog.get("lobby")).rejects.toBeInstanceOf(RoomDirectoryUnavailableError);
});

test("a room that is gone is gone", async () => {
  await catalog.get("lobby");
  directory.rooms.clear();
  grow();
  await expect(catalog.get("lobby")).rejects.toBeInstanceOf(RoomNotFoundError);
});
