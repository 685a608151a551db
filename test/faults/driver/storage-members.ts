/** Redis and Cassandra as members of a deployment under test. */
import { readdir, rm, stat, truncate } from "node:fs/promises";
import { join } from "node:path";
import type { CassandraNode } from "../../harness/cassandra.ts";
import type { RedisServer } from "../../harness/redis.ts";
import type { RedisCluster } from "../../harness/redis-cluster.ts";
import type { Member } from "./deployment.ts";

export function redisMember(server: RedisServer): Member {
  let isUp = true;
  return {
    kind: "redis",
    name: "redis",
    log: "",
    get isRunning() {
      return isUp;
    },
    async end(signal) {
      isUp = false;
      await server.kill(signal);
      return -1;
    },
    async start() {
      await server.start();
      isUp = true;
    },
    freeze: () => server.freeze(),
    thaw: () => server.thaw(),
    command: (...words) => server.command(...words),
    loseTail: (bytes) => loseTail(server.directory, bytes),
  };
}

/** All nodes of a cluster together; faults of single nodes find them by `cluster`. */
export function redisClusterMember(cluster: RedisCluster): Member {
  let isUp = true;
  const each = <T>(work: (node: RedisServer) => T) => Promise.all(cluster.nodes.map(work));
  return {
    kind: "redis-cluster",
    name: "redis-cluster",
    log: "",
    cluster,
    get isRunning() {
      return isUp;
    },
    async end(signal) {
      isUp = false;
      await each((node) => node.kill(signal));
      return -1;
    },
    async start() {
      await each((node) => node.start());
      await cluster.serving();
      isUp = true;
    },
    freeze: () => void each((node) => node.freeze()),
    thaw: () => void each((node) => node.thaw()),
  };
}

/** Cuts the file that Redis appends to: the newest one of its multi-part AOF (Redis 7, "appenddirname"). */
async function loseTail(directory: string, bytes: number): Promise<void> {
  const folder = join(directory, "appendonlydir");
  if (bytes === Number.POSITIVE_INFINITY) {
    await rm(folder, { recursive: true, force: true });
    return;
  }
  const names = (await readdir(folder)).filter((name) => name.endsWith(".incr.aof")).sort();
  const file = join(folder, names.at(-1) ?? "");
  const { size } = await stat(file);
  await truncate(file, Math.max(0, size - bytes));
}

export function cassandraMember(node: CassandraNode): Member {
  return {
    kind: "cassandra",
    name: "cassandra",
    get log() {
      return node.log;
    },
    get isRunning() {
      return node.pid !== undefined;
    },
    async end(signal) {
      await (signal === "SIGKILL" ? node.kill() : node.stop());
      return -1;
    },
    start: () => node.start(),
    freeze: () => node.freeze(),
    thaw: () => node.thaw(),
  };
}
