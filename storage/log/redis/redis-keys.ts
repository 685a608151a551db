/**
 * The names of everything that the room log keeps in Redis.
 *
 * Rooms fall into a fixed number of shards by hash. Every key and channel of a room carries the hash tag of its shard, so
 * all of them are in one slot of a Redis Cluster and one script may touch them:
 *
 *     {chat:17}:log                 stream   what the workers consume, of all rooms of shard 17
 *     {chat:17}:lease:<group>       string   who has entries of it in hand
 *     {chat:17}:rooms               zset     rooms of the shard that have a log
 *     {chat:17}:log:<room>          stream   the room's log; the ids are positions
 *     {chat:17}:state:<room>        hash     run, top, floor, final, persisted
 *     {chat:17}:once:<room>:<key>   string   recognises a repetition
 *     {chat:17}:room:<room>         channel  the room's entries as they come
 *
 * Room ids hold no colon (`room_id` in room.proto). The number of shards must never change for data that is there.
 */
import type { ConsumerGroup } from "../room-log.ts";

/** Enough that workers can share the load and a cluster can spread it; few enough that one look at all of them is cheap. */
export const shardsDefault = 64;

export class RedisKeys {
  constructor(
    readonly prefix: string,
    readonly shards: number,
  ) {
    if (/[{}]/.test(prefix)) {
      throw new RangeError(`the prefix of Redis keys may not hold braces: ${JSON.stringify(prefix)}`);
    }
    if (!Number.isInteger(shards) || shards < 1 || shards > 1_024) {
      throw new RangeError(`shards is ${shards}, it must be 1 to 1,024`);
    }
  }

  /** CRC-32 of the room's id, so that other programs can find a room's keys. */
  shardOf(roomId: string): number {
    return Bun.hash.crc32(roomId) % this.shards;
  }

  tag(shard: number): string {
    return `{${this.prefix}:${shard}}`;
  }

  shardLog(shard: number): string {
    return `${this.tag(shard)}:log`;
  }

  lease(shard: number, group: ConsumerGroup): string {
    return `${this.tag(shard)}:lease:${group}`;
  }

  rooms(shard: number): string {
    return `${this.tag(shard)}:rooms`;
  }

  roomLog(roomId: string): string {
    return `${this.tag(this.shardOf(roomId))}:log:${roomId}`;
  }

  state(roomId: string): string {
    return `${this.tag(this.shardOf(roomId))}:state:${roomId}`;
  }

  once(roomId: string, key: string): string {
    return `${this.tag(this.shardOf(roomId))}:once:${roomId}:${key}`;
  }

  channel(roomId: string): string {
    return `${this.tag(this.shardOf(roomId))}:room:${roomId}`;
  }

  /** The room of a channel of this prefix. */
  roomOfChannel(channel: string): string {
    return channel.slice(channel.lastIndexOf(":") + 1);
  }
}
