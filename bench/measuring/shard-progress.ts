/** How far the consumer groups are in the shards' logs, seen from outside. */
import { RedisKeys, shardsDefault } from "../../storage/log/redis/redis-keys.ts";
import type { RedisServer } from "../../test/harness/redis.ts";

const keys = new RedisKeys("chat", shardsDefault);

/** Entries in the logs of all shards that a group has not acknowledged: one script, some 200 µs of Redis. */
const script = `
local waiting = 0
for _, shard in ipairs(KEYS) do
  local lag = redis.call('XLEN', shard)
  if lag > 0 then
    for _, group in ipairs(redis.call('XINFO', 'GROUPS', shard)) do
      local field = {}
      for at = 1, #group, 2 do
        field[group[at]] = group[at + 1]
      end
      if field['name'] == ARGV[1] then
        lag = (field['lag'] or lag) + field['pending']
      end
    end
  end
  waiting = waiting + lag
end
return waiting`;

export async function entriesWaiting(redis: RedisServer, group: "persist" | "hot-words"): Promise<number> {
  const shards = Array.from({ length: shardsDefault }, (_, shard) => keys.shardLog(shard));
  return Number(await redis.command("EVAL", script, String(shards.length), ...shards, group));
}

/** Entries in the logs of all shards, whoever has read them. */
export async function entriesIn(redis: RedisServer): Promise<number> {
  const lengths = Array.from({ length: shardsDefault }, (_, shard) => redis.command("XLEN", keys.shardLog(shard)));
  return (await Promise.all(lengths)).reduce((sum: number, length) => sum + Number(length), 0);
}
