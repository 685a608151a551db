/** What a benchmark's worker is told of its storage: settings as flags. */
import type { CassandraNode, FreshKeyspace } from "../../test/harness/cassandra.ts";
import type { RedisServer } from "../../test/harness/redis.ts";

/** @param name unique among the workers that run */
export function workerArgs(
  redis: RedisServer,
  cassandra: CassandraNode,
  { keyspace }: FreshKeyspace,
  name: string,
): string[] {
  return [
    ...["--redis-url", redis.url, "--worker-name", name],
    ...["--cassandra-contact-points", cassandra.contactPoint, "--cassandra-keyspace", keyspace],
  ];
}
