/** The whole: three gateways and two workers that share a real Redis and a real Cassandra, all on this machine. */
import { openCassandra } from "../../../storage/cassandra/open-cassandra.ts";
import { startCassandra } from "../../harness/cassandra.ts";
import { startRedis } from "../../harness/redis.ts";
import { storeRows } from "../recorder/stored-rows.ts";
import type { Deployment, Member } from "./deployment.ts";
import { GatewayMember } from "./gateway-member.ts";
import { cassandraMember, redisMember } from "./storage-members.ts";
import { WorkerMember } from "./worker-member.ts";

const gatewayCount = 3;
const workerCount = 2;

export async function startDistributedDeployment(): Promise<Deployment> {
  const ends: (() => Promise<unknown>)[] = [];
  const stop = async () => {
    for (const end of ends.splice(0).reverse()) {
      await end();
    }
  };
  try {
    const redis = await startRedis({ settings: { appendonly: "yes", appendfsync: "everysec" } });
    ends.push(() => redis.stop());
    const cassandra = await startCassandra();
    ends.push(() => cassandra.remove());
    const { contactPoints, localDataCenter, keyspace, replication } = cassandra.freshKeyspace();
    const settings = {
      REDIS_URL: redis.url,
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
    const members: Member[] = [...gateways, ...workers, redisMember(redis), cassandraMember(cassandra)];
    return {
      name: `distributed: ${gatewayCount} gateways, ${workerCount} workers, Redis everysec, Cassandra`,
      gatewayUrls: gateways.map(({ url }) => url),
      members,
      stored: storeRows(storage.history),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}
