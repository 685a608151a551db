/**
 * The whole: gateways and workers that share a real Redis, one server or a cluster, and a real Cassandra, all on this
 * machine.
 */
import { openCassandra } from "../../../storage/cassandra/open-cassandra.ts";
import { startCassandra } from "../../harness/cassandra.ts";
import { type RedisOptions, startRedis } from "../../harness/redis.ts";
import { startRedisCluster } from "../../harness/redis-cluster.ts";
import { storeRows } from "../recorder/stored-rows.ts";
import type { Deployment, Member } from "./deployment.ts";
import { GatewayMember } from "./gateway-member.ts";
import { cassandraMember, redisClusterMember, redisMember } from "./storage-members.ts";
import { WorkerMember } from "./worker-member.ts";

export interface DistributedOptions {
  /** Default 3. */
  readonly gateways?: number;
  /** Default 2. */
  readonly workers?: number;
  /** Default: an append-only file, everysec. */
  readonly redis?: RedisOptions;
  /** Where gateways and workers find Redis, given where it is: a proxy, as one. It ends with the deployment. */
  readonly redisBehind?: (port: number) => Promise<{ url: string; stop(): unknown }>;
  /** Where gateways and workers find Cassandra, given where it is. It ends with the deployment. */
  readonly cassandraBehind?: (port: number) => Promise<{ readonly port: number; stop(): unknown }>;
  /** Environment variables of "gateway-1", "worker-2" …, beside those that all of them need. */
  readonly settingsOf?: (member: string) => Readonly<Record<string, string>>;
}

/** What carries the messages. */
interface Carrier {
  readonly name: string;
  readonly member: Member;
  /** By which gateways and workers find it. */
  readonly settings: Readonly<Record<string, string>>;
  stop(): Promise<void>;
}

const onDisk = { appendonly: "yes", appendfsync: "everysec" };

export function startDistributedDeployment(options: DistributedOptions = {}): Promise<Deployment> {
  return startDeployment("distributed", options, async () => {
    const settings = { ...onDisk, ...options.redis?.settings };
    const redis = await startRedis({ ...options.redis, settings });
    const front = await options.redisBehind?.(redis.port);
    return {
      name: `Redis ${settings.appendonly === "yes" ? settings.appendfsync : "without a file"}`,
      member: redisMember(redis),
      settings: { REDIS_URL: front?.url.replace("http:", "redis:") ?? redis.url },
      stop: async () => {
        await front?.stop();
        await redis.stop();
      },
    };
  });
}

/** Three masters, each with a replica. */
export function startClusterDeployment(): Promise<Deployment> {
  return startDeployment("cluster", {}, async () => {
    const cluster = await startRedisCluster({ masters: 3, replicasEach: 1, settings: onDisk });
    return {
      name: "a Redis Cluster of 3 masters and 3 replicas, everysec",
      member: redisClusterMember(cluster),
      settings: { REDIS_CLUSTER_NODES: cluster.urls.join(",") },
      stop: () => cluster.stop(),
    };
  });
}

async function startDeployment(
  name: string,
  options: DistributedOptions,
  startCarrier: () => Promise<Carrier>,
): Promise<Deployment> {
  const { gateways: gatewayCount = 3, workers: workerCount = 2 } = options;
  const ends: (() => Promise<unknown>)[] = [];
  const stop = async () => {
    for (const end of ends.splice(0).reverse()) {
      await end();
    }
  };
  try {
    const carrier = await startCarrier();
    ends.push(() => carrier.stop());
    const cassandra = await startCassandra();
    ends.push(() => cassandra.remove());
    const cassandraFront = await options.cassandraBehind?.(Number(cassandra.contactPoint.split(":")[1]));
    ends.push(async () => cassandraFront?.stop());
    const { contactPoints, localDataCenter, keyspace, replication } = cassandra.freshKeyspace();
    const settings = {
      ...carrier.settings,
      CASSANDRA_CONTACT_POINTS: cassandraFront ? `127.0.0.1:${cassandraFront.port}` : contactPoints.join(","),
      CASSANDRA_LOCAL_DATA_CENTER: localDataCenter,
      CASSANDRA_KEYSPACE: keyspace,
      CASSANDRA_REPLICATION: Object.entries(replication)
        .map(([center, count]) => `${center}:${count}`)
        .join(","),
    };
    const storage = openCassandra({ contactPoints, localDataCenter, keyspace, replication });
    ends.push(() => storage.close());
    await storage.ready();
    const workers: WorkerMember[] = [];
    for (let n = 1; n <= workerCount; n++) {
      const worker = await WorkerMember.start(`worker-${n}`, {
        ...settings,
        ...options.settingsOf?.(`worker-${n}`),
      });
      ends.push(() => worker.end("SIGTERM"));
      workers.push(worker);
    }
    const gateways: GatewayMember[] = [];
    for (let n = 1; n <= gatewayCount; n++) {
      const gateway = await GatewayMember.start(`gateway-${n}`, {
        ...settings,
        DRAIN_TIMEOUT_MS: "2000",
        HEARTBEAT_INTERVAL_MS: "1000",
        // Small, so that a reader who stalls is soon left messages out.
        SEND_QUEUE_BYTES_MAX: "16384",
        RECENT_ENTRIES_MAX: "64",
        ...options.settingsOf?.(`gateway-${n}`),
      });
      ends.push(() => gateway.end("SIGTERM"));
      gateways.push(gateway);
    }
    const members: Member[] = [...gateways, ...workers, carrier.member, cassandraMember(cassandra)];
    return {
      name: `${name}: ${gatewayCount} gateways, ${workerCount} workers, ${carrier.name}, Cassandra`,
      gatewayUrls: gateways.map(({ url }) => url),
      members,
      settings,
      stored: storeRows(storage.history),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}
