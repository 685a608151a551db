/** The rows of the fault table, in the order of the page. One line a row, or a group of them. */
import type { FaultRow } from "./fault-row.ts";
import { clockSkew } from "./rows/clock-skew.ts";
import { redisChannelsCut, redisChannelsDeaf } from "./rows/redis-channels.ts";
import { redisLossRows, redisTwoPrimaries } from "./rows/redis-loss.ts";
import { redisEmpty, redisFailover, redisKillRows, redisStalledDisk } from "./rows/redis-process.ts";
import { redisFull, redisHalfFailure, redisPartition } from "./rows/redis-refusing.ts";
import { redisScriptFlush } from "./rows/redis-script-flush.ts";

export const faultRows: readonly FaultRow[] = [
  ...redisLossRows,
  ...redisKillRows,
  redisStalledDisk,
  redisEmpty,
  redisFailover,
  ...redisTwoPrimaries,
  redisFull,
  redisPartition,
  redisChannelsCut,
  redisChannelsDeaf,
  redisScriptFlush,
  redisHalfFailure,
  clockSkew,
];
