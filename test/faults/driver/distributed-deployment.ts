/**
 * The whole: three gateways and two workers that share a real Redis, one server or a cluster, and a real Cassandra, all on
 * this machine.
 */
import { openCassandra } from "../../../storage/cassandra/open-cassandra.ts";
import { startCassandra } from "../../harness/cassandra.ts";
import { startRedis } from "../../harness/redis.ts";
import { startRedisCluster } from "../../harness/redis-cluster.ts";
import { storeRows } from "../recorder/stored-rows.ts";
import type { Deployment, Member } from "./deployment.ts";
import { GatewayMember } from "./gateway-member.ts";
import { cassandraMember, redisClusterMember, redisMember } from "./storage-members.ts";
import { WorkerMember } from "./worker-member.ts";

const gatewayCount = 3;
const workerCount = 2;

/** What carries the messages. */
interface Carrier {
  readonly name: string;
  readonly member: Member;
  /** By which gateways and workers find it. */
  readonly settings: Readonly<Record<string, string>>;
  stop(): Promise<void>;
}

export function startDistributedDeployment(): Promise<Deployment> {
  return startDeployment("distributed", async () => {
    const redis = await startRedis({ settings: onDisk });
    return {
      name: "Redis everysec",
      member: redisMember(redis),
      settings: { REDIS_URL: redis.url },
      stop: () => redis.stop(),
    };
  });
}

/** Three masters, each with a replica. */
export function startClusterDeployment(): Promise<Deployment> {
  return startDeployment("cluster", async () => {
    const cluster = await startRedisCluster({ masters: 3, replicasEach: 1, settings: onDisk });
    return {
      name: "a Redis Cluster of 3 masters and 3 replicas, everysec",
      member: redisClusterMember(cluster),
      settings: { REDIS_CLUSTER_NODES: cluster.urls.join(",") },
      stop: () => cluster.stop(),
    };
  });
}

const onDisk = { appendonly: "yes", appendfsync: "everysec" };

async function startDeployment(name: string, startCarrier: () => Promise<Carrier>): Promise<Deployment> {
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
    const { contactPoints, localDataCenter, keyspace, replication } = cassandra.freshKeyspace();
    const settings = {
      ...carrier.settings,
      CASSANDRA_CONTACT_POINTS: contactPoints.join(","),
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
      const worker = await WorkerMember.start(`worker-${n}`, settings);
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
