/**
 * Taking out of Redis what is stored: the front of a shard's log that every group has done with, and of the logs of its
 * rooms what they need not keep. trim-plan.lua looks, trim-shard.lua takes; between the two more may come, never less.
 */
import type { RedisKeys } from "./redis-keys.ts";
import type { RedisLink } from "./redis-link.ts";
import { RedisScript } from "./redis-script.ts";
import restSource from "./rest-room.lua" with { type: "text" };
import planSource from "./trim-plan.lua" with { type: "text" };
import trimSource from "./trim-shard.lua" with { type: "text" };

export interface RedisTrimResult {
  /** Entries that left shards' logs. */
  shardEntries: number;
  /** Entries that left rooms' logs. */
  roomEntries: number;
  /** Of the shards' entries, those that group hot-words had not acknowledged. */
  hotWordsDropped: number;
}

export interface TrimBounds {
  trimMarginMs: number;
  hotWordsKeepMs: number;
  roomLogEntriesMax: number;
  roomIdleMs: number;
}

/** Entries that a script looks at: about a millisecond. */
const entriesAtOnceMax = 500;
/** Rounds a shard and call; what is left waits for the next call. */
const roundsMax = 100;
const roomsAtOnceMax = 100;

const planScript = new RedisScript(planSource);
const trimScript = new RedisScript(trimSource);
const restScript = new RedisScript(restSource);

type Plan = [firstKept?: string, entries?: number, unread?: number, rooms?: string[]];

/** @throws as RedisLink.send */
export async function trimShard(
  link: RedisLink,
  keys: RedisKeys,
  shard: number,
  { trimMarginMs, hotWordsKeepMs, roomLogEntriesMax, roomIdleMs }: TrimBounds,
): Promise<RedisTrimResult> {
  const result: RedisTrimResult = { shardEntries: 0, roomEntries: 0, hotWordsDropped: 0 };
  const shardLog = keys.shardLog(shard);
  for (let round = 0; round < roundsMax; round += 1) {
    const limits = [trimMarginMs, hotWordsKeepMs, entriesAtOnceMax].map(String);
    const plan = (await planScript.run(link, [shardLog], limits)) as Plan;
    const [firstKept, entries = 0, unread = 0, rooms = []] = plan;
    if (firstKept === undefined) {
      break;
    }
    const roomIds = rooms.filter((_, index) => index % 2 === 0);
    const roomKeys = roomIds.flatMap((roomId) => [keys.roomLog(roomId), keys.state(roomId)]);
    const gone = await trimScript.run(
      link,
      [shardLog, keys.rooms(shard), ...roomKeys],
      [firstKept, String(roomLogEntriesMax), ...rooms],
    );
    result.shardEntries += entries;
    result.roomEntries += Number(gone);
    result.hotWordsDropped += unread;
    if (entries < entriesAtOnceMax) {
      break;
    }
  }
  const time = (await link.send(shardLog, ["TIME"])) as [string, string];
  const idleSince = String(Number(time[0]) * 1_000 - roomIdleMs);
  const idle = (await link.send(keys.rooms(shard), [
    ...["ZRANGEBYSCORE", keys.rooms(shard), "-inf", idleSince],
    ...["LIMIT", "0", String(roomsAtOnceMax)],
  ])) as string[];
  for (const roomId of idle) {
    const room: [string, string, string] = [keys.rooms(shard), keys.roomLog(roomId), keys.state(roomId)];
    result.roomEntries += Number(await restScript.run(link, room, [roomId, idleSince]));
  }
  return result;
}
