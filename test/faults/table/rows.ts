/** The rows of the fault table, in the order of the page. One line a row, or a group of them. */
import type { FaultRow } from "./fault-row.ts";
import { cassandraAnswers, cassandraAwayRows } from "./rows/cassandra-process.ts";
import { clockSkew } from "./rows/clock-skew.ts";
import { clusterRows } from "./rows/cluster.ts";
import { reconnectStorm, slowReader } from "./rows/crowds.ts";
import { gatewayFreeze, gatewayKill, gatewayTerm } from "./rows/gateway-process.ts";
import { poisonEntries } from "./rows/poison-entries.ts";
import { redisChannelsCut, redisChannelsDeaf } from "./rows/redis-channels.ts";
import { redisLossRows, redisTwoPrimaries } from "./rows/redis-loss.ts";
import { redisEmpty, redisFailover, redisKillRows, redisStalledDisk } from "./rows/redis-process.ts";
import { redisFull, redisHalfFailure, redisPartition } from "./rows/redis-refusing.ts";
import { redisScriptFlush } from "./rows/redis-script-flush.ts";
import { repeatedSends } from "./rows/repeated-sends.ts";
import { workerKill, workersOfOneName } from "./rows/worker-process.ts";

export const faultRows: readonly FaultRow[] = [
  gatewayKill,
  gatewayTerm,
  gatewayFreeze,
  workerKill,
  workersOfOneName,
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
  ...clusterRows,
  ...cassandraAwayRows,
  cassandraAnswers,
  clockSkew,
  slowReader,
  repeatedSends,
  reconnectStorm,
  poisonEntries,
];
