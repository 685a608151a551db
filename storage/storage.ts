/** All seams of storage, opened as the settings say: embedded in this process, or shared by many. */
import { readFile } from "node:fs/promises";
import type { Logger } from "pino";
import { type CassandraStorageOptions, openCassandra } from "./cassandra/open-cassandra.ts";
import type { DeadLetters } from "./dead-letters/dead-letters.ts";
import { RedisDeadLetters } from "./dead-letters/redis-dead-letters.ts";
import { openEmbeddedStorage } from "./embedded.ts";
import type { HistoryStore } from "./history/history-store.ts";
import { EmbeddedHotWords } from "./hot-words/embedded-hot-words.ts";
import type { HotWords } from "./hot-words/hot-words.ts";
import { openRedisHotWords } from "./hot-words/redis/redis-hot-words.ts";
import type { RedisEndpoint } from "./log/redis/open-redis-link.ts";
import { openRedisRoomLog, type RedisRoomLogObserver } from "./log/redis/redis-room-log.ts";
import type { RoomLog } from "./log/room-log.ts";
import type { RoomDirectory } from "./rooms/room-directory.ts";
import { isDistributed, type StorageSettings } from "./settings.ts";

export interface Storage {
  log: RoomLog;
  history: HistoryStore;
  rooms: RoomDirectory;
  deadLetters: DeadLetters;
  hotWords: HotWords;
  /** Lets go of what is stored and needed no more, for a worker to call every few seconds. Undefined: it does so by itself. */
  trim?: () => Promise<unknown>;
  /** Frees everything. Stop the workers before. */
  close(): Promise<void>;
}

/** @throws where the storage cannot be opened */
export function openStorage(settings: StorageSettings, logger: Logger): Promise<Storage> {
  return isDistributed(settings) ? openDistributed(settings, logger) : openEmbedded(settings, logger);
}

async function openEmbedded(settings: StorageSettings, logger: Logger): Promise<Storage> {
  const embedded = openEmbeddedStorage({
    directory: settings.dataDirectory,
    synchronous: settings.sqliteSynchronous,
    log: { onDropped: (group, entries) => logger.warn({ group, entries }, "a consumer is too slow: entries dropped") },
  });
  const hotWords = new EmbeddedHotWords({
    onBoundHit: (bound, roomId) =>
      logger.warn({ bound, roomId }, "hot words are no longer exact: too many words, or no memory left in Redis"),
  });
  const close = async () => {
    await hotWords.close();
    await embedded.close();
  };
  return { ...embedded, hotWords, close };
}

/** How long Redis and Cassandra may take to answer at start. */
const openTimeoutMs = 30_000;

async function openDistributed(settings: StorageSettings, logger: Logger): Promise<Storage> {
  const { redisUrl, redisClusterNodes, redisPrefix: prefix } = settings;
  const endpoint: RedisEndpoint = redisUrl ? { url: redisUrl } : { cluster: redisClusterNodes };
  const cassandra = openCassandra(await cassandraOptions(settings, logger));
  const deadLetters = new RedisDeadLetters({ endpoint, prefix });
  const opened: { close(): Promise<void> }[] = [cassandra, deadLetters];
  const close = async () => {
    await Promise.all(opened.toReversed().map((each) => each.close()));
  };
  try {
    const { history, rooms } = cassandra;
    const log = await openRedisRoomLog(
      {
        endpoint,
        prefix,
        history,
        observer: logObserver(logger),
        persistLogEntriesMax: settings.redisUnstoredEntriesMax,
        // What is stored stays for the margin, and what hot words have not counted.
        shardLogEntriesMax: 3 * settings.redisUnstoredEntriesMax,
      },
      openTimeoutMs,
    );
    opened.push(log);
    const onDropped = (roomId: string, uses: number) =>
      logger.warn({ roomId, uses }, "hot words are no longer exact: too many words");
    const hotWords = await openRedisHotWords({ endpoint, prefix, onDropped }, openTimeoutMs);
    opened.push(hotWords);
    await Promise.all([deadLetters.opened(openTimeoutMs), cassandra.ready()]);
    return { log, history, rooms, deadLetters, hotWords, trim: () => log.trim(), close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function cassandraOptions(settings: StorageSettings, logger: Logger): Promise<CassandraStorageOptions> {
  const { cassandraUsername: username, cassandraPassword: password, cassandraTlsCaFile } = settings;
  const replication = settings.cassandraReplication.map((each) => each.split(":") as [string, string]);
  return {
    contactPoints: settings.cassandraContactPoints,
    localDataCenter: settings.cassandraLocalDataCenter,
    keyspace: settings.cassandraKeyspace,
    consistency: settings.cassandraConsistency,
    ...(replication.length > 0 && {
      replication: Object.fromEntries(replication.map(([center, count]) => [center, Number(count)])),
    }),
    ...(username && { credentials: { username, password: password ?? "" } }),
    ...(cassandraTlsCaFile && { tls: { ca: await readFile(cassandraTlsCaFile) } }),
    observer: {
      connectFailed: (error, pauseMs) => logger.warn({ err: error, pauseMs }, "Cassandra cannot be reached"),
      hostDown: (address) => logger.warn({ address }, "a node of Cassandra is out of reach"),
      hostUp: (address) => logger.info({ address }, "a node of Cassandra is back"),
    },
  };
}

function logObserver(logger: Logger): RedisRoomLogObserver {
  return {
    up: (connection) => logger.info({ connection }, "Redis answers"),
    down: (connection, error) => logger.warn({ connection, err: error }, "Redis is out of reach"),
    repaired: (roomId, entries) =>
      logger.info({ roomId, entries }, "entries that did not come by the channel were read"),
    deaf: (roomId) => logger.warn({ roomId }, "the channel was silent though there was news: subscribed anew"),
    lost: (roomId, { after, through }) =>
      logger.error({ roomId, after, through }, "Redis lost entries: readers are told"),
    foreign: (roomId) => logger.error({ roomId }, "somebody else writes on the room's channel"),
    failed: (roomId, error) =>
      logger.warn({ roomId, err: error }, "a room could not be brought up to date, trying again"),
    leaseLost: (group, entries) => logger.warn({ group, entries }, "this consumer was away too long; others take over"),
    dropped: (group, entries) => logger.warn({ group, entries }, "a consumer is too slow: entries dropped"),
  };
}
