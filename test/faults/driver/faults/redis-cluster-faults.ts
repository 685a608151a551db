/** What can happen to a Redis Cluster: its masters, its slots, the connections to its nodes. */
import { RedisKeys, shardsDefault } from "../../../../storage/log/redis/redis-keys.ts";
import type { RedisServer } from "../../../harness/redis.ts";
import type { RedisCluster } from "../../../harness/redis-cluster.ts";
import type { Member } from "../deployment.ts";
import { kill } from "./any-process.ts";
import type { Fault, FaultContext } from "./fault.ts";

/** What a replica may lack that takes over without having been asked: replication is asynchronous. */
const lostTail = [
  "acked-not-stored",
  "seen-not-stored",
  "key-at-two-positions",
  "accepted-twice",
  "stored-twice",
] as const;

export const redisClusterFaults: readonly Fault[] = [
  kill("redis-cluster", 0, 1_000),
  {
    name: "cluster-master-kill",
    about: "SIGKILL of a master: its replica takes over, and the master comes back as the replica",
    kind: "redis-cluster",
    allows: lostTail,
    async inject(member, { random, pause, measure }) {
      const cluster = clusterOf(member);
      const { master, replica } = await pair(cluster, random);
      const startedMs = performance.now();
      await master.kill();
      await cluster.promoted(replica);
      measure("replaced ms", performance.now() - startedMs);
      await pause(0, 1_000);
      await master.start();
      await cluster.inStep(master);
    },
  },
  {
    name: "cluster-master-freeze",
    about: "SIGSTOP of a master until its replica has taken over, then SIGCONT: it thinks that it is the master still",
    kind: "redis-cluster",
    allows: lostTail,
    async inject(member, { random, pause, measure }) {
      const cluster = clusterOf(member);
      const { master, replica } = await pair(cluster, random);
      const startedMs = performance.now();
      master.freeze();
      try {
        await cluster.promoted(replica, [master]);
        measure("replaced ms", performance.now() - startedMs);
        await pause(0, 2_000);
      } finally {
        master.thaw();
      }
      await cluster.inStep(master);
    },
  },
  {
    name: "cluster-failover",
    about: "CLUSTER FAILOVER: a replica takes its master's place as planned, which loses nothing",
    kind: "redis-cluster",
    async inject(member, { random, measure }) {
      const cluster = clusterOf(member);
      const { master, replica } = await pair(cluster, random);
      measure("ms", await cluster.failover(replica));
      await cluster.inStep(master);
    },
  },
  {
    name: "cluster-slots-move",
    about: "the slots of two rooms that talk move to other masters, one after the other",
    kind: "redis-cluster",
    async inject(member, context) {
      const first = Math.floor(context.random() * context.load.roomIds.length);
      for (const index of [first, first + 1]) {
        await moveRoom(clusterOf(member), context, index % context.load.roomIds.length);
      }
    },
  },
  {
    name: "cluster-channels-cut",
    about: "CLIENT KILL TYPE pubsub on every node, one to five times",
    kind: "redis-cluster",
    inject: (member, context) => cutConnections(clusterOf(member), context, "pubsub"),
  },
  {
    name: "cluster-connections-cut",
    about: "CLIENT KILL TYPE normal on every node, one to five times: what is under way is without an answer",
    kind: "redis-cluster",
    inject: (member, context) => cutConnections(clusterOf(member), context, "normal"),
  },
];

function clusterOf({ name, cluster }: Member): RedisCluster {
  if (!cluster) {
    throw new Error(`${name} is no cluster`);
  }
  return cluster;
}

/** A master, and the replica that would take over. */
async function pair(
  cluster: RedisCluster,
  random: () => number,
): Promise<{ master: RedisServer; replica: RedisServer }> {
  const masters = await cluster.masters();
  const master = masters[Math.floor(random() * masters.length)] as RedisServer;
  const replica = await cluster.replicaOf(master);
  await cluster.inStep(replica);
  await cluster.rested(replica);
  return { master, replica };
}

async function moveRoom(cluster: RedisCluster, { load, random, measure }: FaultContext, index: number): Promise<void> {
  const keys = new RedisKeys("chat", shardsDefault);
  const slot = await cluster.slotOf(keys.state(load.roomIds[index] as string));
  const source = await cluster.masterOf(slot);
  const others = (await cluster.masters()).filter((node) => node !== source);
  const startedMs = performance.now();
  await cluster.moveSlot(slot, others[Math.floor(random() * others.length)] as RedisServer);
  measure("ms a slot", performance.now() - startedMs);
}

async function cutConnections(
  cluster: RedisCluster,
  { pause, random }: FaultContext,
  type: "pubsub" | "normal",
): Promise<void> {
  for (let left = 1 + Math.floor(random() * 5); left > 0; left--) {
    await Promise.all(cluster.nodes.map((node) => node.command("CLIENT", "KILL", "TYPE", type, "SKIPME", "yes")));
    await pause(20, 300);
  }
}
