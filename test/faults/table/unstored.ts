/** What the workers have not stored yet, as Redis tells: the lag and the pending entries of group `persist` in each shard. */
import { RedisKeys, shardsDefault } from "../../../storage/log/redis/redis-keys.ts";
import type { Member } from "../driver/deployment.ts";

const keys = new RedisKeys("chat", shardsDefault);

export interface PendingEntry {
  readonly shardLog: string;
  readonly id: string;
  /** Whose hands it is in; "-": nobody's. */
  readonly worker: string;
}

export function shardLogOf(roomId: string): string {
  return keys.shardLog(keys.shardOf(roomId));
}

/** Entries in the shards of these rooms that are not acknowledged, delivered or not. */
export async function countUnstored(redis: Member, roomIds: readonly string[]): Promise<number> {
  let count = 0;
  for (const shardLog of shardLogsOf(roomIds)) {
    const group = await persistGroup(redis, shardLog);
    count += (group?.lag ?? 0) + (group?.pending ?? 0);
  }
  return count;
}

/** Entries that were handed out and not acknowledged, at most 1,000 a shard. */
export async function listPending(redis: Member, roomIds: readonly string[]): Promise<PendingEntry[]> {
  const found: PendingEntry[] = [];
  for (const shardLog of shardLogsOf(roomIds)) {
    const reply = await redis.command?.("XPENDING", shardLog, "persist", "-", "+", "1000").catch(() => []);
    for (const [id, worker] of (reply ?? []) as [string, string][]) {
      found.push({ shardLog, id, worker });
    }
  }
  return found;
}

export async function isPending(redis: Member, { shardLog, id }: PendingEntry): Promise<boolean> {
  const reply = await redis.command?.("XPENDING", shardLog, "persist", id, id, "1");
  return (reply as unknown[]).length > 0;
}

export async function countDeadLetters(redis: Member): Promise<number> {
  return Number(await redis.command?.("HLEN", "{chat:dead}:letters"));
}

function shardLogsOf(roomIds: readonly string[]): Set<string> {
  return new Set(roomIds.map(shardLogOf));
}

interface GroupInfo {
  readonly name: string;
  readonly pending: number;
  /** Null: Redis can't tell, as after a deletion. */
  readonly lag: number | null;
}

async function persistGroup(redis: Member, shardLog: string): Promise<GroupInfo | undefined> {
  const groups = (await redis.command?.("XINFO", "GROUPS", shardLog)) as GroupInfo[];
  return groups.find(({ name }) => name === "persist");
}
