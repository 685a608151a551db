/** A room log on Redis for the contract: with a clock that can be moved, and a worker that trims as often as it can. */
import type { RedisServer } from "../../../test/harness/redis.ts";
import type { RoomLogBounds, RoomLogFixture } from "../room-log.contract.ts";
import type { LogConsumer, RoomLog } from "../room-log.ts";
import type { RedisEndpoint } from "./open-redis-link.ts";
import { openRedisRoomLog, type RedisRoomLog } from "./redis-room-log.ts";

/**
 * Redis has its own clock, which no test can move. So a millisecond of the contract is this many of Redis's, far more than
 * a test takes, and is passed by shortening the time that keys have left.
 */
const clockScale = 1_000_000;

const passTime = `
for _, key in ipairs(redis.call('KEYS', '*:once:*')) do
  local left = redis.call('PTTL', key) - ARGV[1]
  if left > 0 then redis.call('PEXPIRE', key, left) else redis.call('DEL', key) end
end`;

/**
 * Opens an empty log.
 * @param servers all masters; what they hold is removed
 */
export async function redisLogFixture(
  bounds: RoomLogBounds,
  endpoint: RedisEndpoint,
  servers: readonly RedisServer[],
): Promise<RoomLogFixture> {
  await Promise.all(servers.map((server) => server.command("FLUSHALL")));
  // The bound is the shard's: where a test comes near it, its rooms share few.
  const shards = bounds.persistLogEntriesMax <= 5 ? 1 : bounds.persistLogEntriesMax <= 40 ? 3 : 64;
  const log = await openRedisRoomLog({
    endpoint,
    shards,
    ...bounds,
    dedupeWindowMs: bounds.dedupeWindowMs * clockScale,
    shardLogEntriesMax: 100_000,
    trimMarginMs: 0,
    hotWordsKeepMs: 0,
    lookIntervalMs: 20,
  });
  const shardOf = (roomId: string) => Bun.hash.crc32(roomId) % shards;
  return {
    log: trimming(log),
    advance: async (ms) => {
      await Promise.all(servers.map((server) => server.command("EVAL", passTime, "0", String(ms * clockScale))));
    },
    boundedWith: shardOf,
    heldWith: shardOf,
    cleanup: () => log.close(),
  };
}

/** A log whose worker trims as often as it can. */
function trimming(log: RedisRoomLog): RoomLog {
  const consumer = async (...args: Parameters<RoomLog["consumer"]>): Promise<LogConsumer> => {
    const member = await log.consumer(...args);
    return {
      take: (...taking) => member.take(...taking),
      ack: async (deliveries) => {
        await member.ack(deliveries);
        await log.trim();
      },
      release: (deliveries) => member.release(deliveries),
      close: () => member.close(),
    };
  };
  return {
    append: (entry) => log.append(entry),
    follow: (...args) => log.follow(...args),
    readAfter: (...args) => log.readAfter(...args),
    readBefore: (...args) => log.readBefore(...args),
    consumer,
    close: () => log.close(),
  };
}
