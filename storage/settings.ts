/** Where messages, rooms and counts are kept: the settings that the gateway and the worker share. */
import { list, oneOf, optionalText, type SettingsOf, text, wholeNumber } from "../lib/settings.ts";

export const storageSettings = {
  dataDirectory: { ...text(), default: "./data", about: "Where messages and rooms are kept. :memory: keeps nothing." },
  sqliteSynchronous: {
    ...oneOf("NORMAL", "FULL"),
    default: "NORMAL",
    about: "What an accepted message withstands: NORMAL the death of the process, FULL also of the machine's power.",
  },
  redisUrl: {
    ...optionalText(),
    default: "",
    about:
      "redis:// or rediss:// of the server that joins gateways and workers. Empty, and no nodes: everything embedded.",
  },
  redisClusterNodes: {
    ...list(),
    default: "",
    about: "Instead of one server, some nodes of a Redis Cluster: redis://a:6379,…",
  },
  redisPrefix: { ...text(), default: "chat", about: "Before every key and channel in Redis." },
  redisUnstoredEntriesMax: {
    ...wholeNumber(100, 1_000_000),
    default: "20000",
    about:
      "Entries of a shard, a 64th of the rooms, that Redis holds and no worker has stored; beyond it sends are refused.",
  },
  cassandraContactPoints: {
    ...list(),
    default: "",
    about: "Some nodes of the Cassandra that keeps history and rooms, host or host:port. Needed with Redis.",
  },
  cassandraLocalDataCenter: {
    ...text(),
    default: "datacenter1",
    about: "The data center of this process, as Cassandra calls it.",
  },
  cassandraKeyspace: { ...text(), default: "chat", about: "The keyspace of all tables." },
  cassandraReplication: {
    ...list(),
    default: "",
    about:
      "Replicas by data center, datacenter1:3,…: the keyspace is created where it is missing. Empty: it must be there.",
  },
  cassandraConsistency: {
    ...oneOf("ONE", "LOCAL_ONE", "QUORUM", "LOCAL_QUORUM", "EACH_QUORUM", "ALL"),
    default: "LOCAL_QUORUM",
    about: "Of all reads and writes.",
  },
  cassandraUsername: { ...optionalText(), default: "", about: "Empty: no password is asked for." },
  cassandraPassword: {
    ...optionalText(),
    default: "",
    about: "Best given as a variable: flags are seen by all on the machine.",
  },
  cassandraTlsCaFile: {
    ...optionalText(),
    default: "",
    about: "PEM file of the authority of Cassandra's certificates. Empty: cleartext.",
  },
} as const;

export type StorageSettings = SettingsOf<typeof storageSettings>;

/** Whether several processes share the storage. */
export function isDistributed({ redisUrl, redisClusterNodes }: StorageSettings): boolean {
  return redisUrl !== undefined || redisClusterNodes.length > 0;
}

/** What is wrong with storage settings that are right one by one. */
export function checkStorageSettings(settings: StorageSettings): string[] {
  const problems: string[] = [];
  if (settings.redisUrl && settings.redisClusterNodes.length > 0) {
    problems.push("--redis-url and --redis-cluster-nodes: only one of them");
  }
  if (isDistributed(settings) !== settings.cassandraContactPoints.length > 0) {
    problems.push("Redis and --cassandra-contact-points: both, or none for embedded storage");
  }
  for (const each of settings.cassandraReplication) {
    if (!/^[^:]+:[1-9][0-9]?$/.test(each)) {
      problems.push(`--cassandra-replication ${JSON.stringify(each)}: must be <data center>:<1 to 99>`);
    }
  }
  return problems;
}
