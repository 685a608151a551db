/**
 * For every rpc, every field that has rules in the .proto, with values just beyond its limits; and values that stand
 * exactly on them. Tables only: refusals.test.ts sends them, and checks that no field with rules is left out.
 */
import type { JsonObject, JsonValue } from "@bufbuild/protobuf";

/** The room that the requests name. */
export const roomId = "refusals";

/** The values of one field; undefined leaves it out. */
type Values = readonly (JsonValue | undefined)[];

export interface RpcFields {
  /** A request that breaks no rule. */
  valid: JsonObject;
  /** By the field's path, in the names of the .proto. */
  beyond: Readonly<Record<string, Values>>;
  within: Readonly<Record<string, Values>>;
}

const roomIds = { beyond: ["", "Upper", "-first", "two words", "방", "a".repeat(65)], within: [roomId] };
const positions = {
  beyond: ["x", "1", "1-", "-1", "1-2-3", "1-x", " 1-1", `${"1".repeat(16)}-0`, `0-${"1".repeat(16)}`],
  within: ["0-0"],
};
const clientMessageIds = { beyond: ["two words", "한글", "a".repeat(65)], within: ["", "Az09_-", "a".repeat(64)] };
const userIds = { beyond: ["two words", "한글", "a".repeat(65)], within: ["", "Az09_.:-", "a".repeat(64)] };
const names = {
  beyond: ["", " \t ", "a\u0000", "a\nb", "a\u0085b", "\u202eevil", "\u2066x", "a".repeat(41), "👋".repeat(41)],
  within: ["a", "한글 이름", "a".repeat(40), "👋".repeat(40)],
};
const avatars = { beyond: ["a".repeat(17)], within: ["", "🧑‍🚀", "👋".repeat(16)] };
const texts = {
  beyond: ["", " \n\t ", "a\u0000b", "\u001b[31mred", "\u007f", "a".repeat(501), "👋".repeat(501)],
  within: ["a", "두 줄\n\t그리고", "a".repeat(500), "👋".repeat(500)],
};
const titles = {
  beyond: ["", "   ", "two\nlines", "a\u0000", "a".repeat(101), "👋".repeat(101)],
  within: ["a", "a".repeat(100), "👋".repeat(100)],
};
const descriptions = { beyond: ["a".repeat(501)], within: ["", "a".repeat(500)] };
const required = { beyond: [undefined], within: [] };

const author = { userId: "u1", name: "누구" };

/** By the rpc's full name. */
export const rpcFields: Readonly<Record<string, RpcFields>> = {
  "chat.v1.ChatService.SendMessage": rpc(
    { roomId, author, text: "안녕" },
    {
      room_id: roomIds,
      client_message_id: clientMessageIds,
      author: required,
      "author.user_id": userIds,
      "author.name": names,
      "author.avatar": avatars,
      text: texts,
    },
  ),
  "chat.v1.ChatService.Subscribe": rpc(
    { roomId },
    { room_id: roomIds, after: positions, tail: { beyond: [501], within: [500] } },
  ),
  "chat.v1.ChatService.ListMessages": rpc(
    { roomId },
    { room_id: roomIds, page_size: { beyond: [201], within: [200] }, before: positions, after: positions },
  ),
  "chat.v1.RoomService.CreateRoom": rpc(
    { roomId: "never-created", title: "t" },
    { room_id: { beyond: roomIds.beyond.slice(1), within: [] }, title: titles, description: descriptions },
  ),
  "chat.v1.RoomService.GetRoom": rpc({ roomId }, { room_id: roomIds }),
  "chat.v1.RoomService.ListRooms": rpc(
    {},
    {
      page_size: { beyond: [101], within: [100] },
      page_token: { beyond: ["a".repeat(201)], within: [] },
      status: { beyond: [99, -1], within: [0, 1, 2] },
    },
  ),
  "chat.v1.RoomService.UpdateRoom": rpc({ roomId }, { room_id: roomIds, title: titles, description: descriptions }),
  "chat.v1.RoomService.CloseRoom": rpc({ roomId: "closed-for-test" }, { room_id: { ...roomIds, within: [] } }),
  "chat.v1.HotWordService.ListHotWords": rpc({ roomId }, { room_id: roomIds, limit: { beyond: [51], within: [50] } }),
  "chat.v1.HotWordService.WatchHotWords": rpc({ roomId }, { room_id: roomIds, limit: { beyond: [51], within: [50] } }),
};

/** The commands of ChatService.Chat: refused one by one, while the stream goes on. */
export const commandFields: Readonly<Record<string, RpcFields>> = {
  join: rpc(
    { join: { roomId, author } },
    {
      command: { beyond: [undefined], within: [] },
      "join.room_id": { ...roomIds, within: [] },
      "join.author": required,
      "join.author.user_id": userIds,
      "join.author.name": names,
      "join.author.avatar": avatars,
      "join.after": positions,
      "join.tail": { beyond: [501], within: [500] },
    },
  ),
  send: rpc(
    { send: { roomId, text: "안녕" } },
    { "send.room_id": roomIds, "send.client_message_id": clientMessageIds, "send.text": texts },
  ),
  leave: rpc({ leave: { roomId } }, { "leave.room_id": { ...roomIds, within: [] } }),
};

function rpc(valid: JsonObject, fields: Readonly<Record<string, { beyond: Values; within: Values }>>): RpcFields {
  const pick = (which: "beyond" | "within") =>
    Object.fromEntries(Object.entries(fields).map(([path, values]) => [path, values[which]]));
  return { valid, beyond: pick("beyond"), within: pick("within") };
}

/** The valid request with one field set to another value, or left out. */
export function withField(valid: JsonObject, path: string, value: JsonValue | undefined): JsonObject {
  const names = path.split(".").map(toJsonName);
  const request = structuredClone(valid);
  // The whole command: it has no field of its own.
  if (path === "command") {
    return {};
  }
  let parent = request;
  for (const name of names.slice(0, -1)) {
    parent = parent[name] as JsonObject;
  }
  const last = names.at(-1) as string;
  if (value === undefined) {
    delete parent[last];
  } else {
    parent[last] = value;
  }
  return request;
}

/** client_message_id → clientMessageId */
function toJsonName(name: string): string {
  return name.replaceAll(/_(.)/g, (_, letter: string) => letter.toUpperCase());
}
