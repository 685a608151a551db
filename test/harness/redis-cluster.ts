/**
 * A real Redis Cluster for tests: masters, with or without replicas, each a server of redis.ts. It can be asked who serves
 * what, and told to hand slots over, as redis-cli does it.
 */
import { freePort, type RedisServer, startRedis } from "./redis.ts";
import { waitFor } from "./wait-for.ts";

const slots = 16_384;
/** Keys that one MIGRATE takes along, as redis-cli does by default. */
const keysAtOnce = 10;
const migrateTimeoutMs = 5_000;
/** Longer than it takes a replica to be elected, and a master that came back to copy what it missed. */
const changeTimeoutMs = 30_000;
/** After five seconds Redis gives a planned failover up. */
const failoverGivenUpMs = 5_500;
const failoverAttemptsMax = 4;
const nodeTimeoutMs = 2_000;
/** Four node timeouts and something. */
const restMs = 4 * nodeTimeoutMs + 1_000;

export interface RedisClusterOptions {
  masters?: number;
  replicasEach?: number;
  /** Of every node, as in RedisOptions. */
  settings?: Readonly<Record<string, string>>;
}

export class RedisCluster {
  /** When a node last took over. */
  readonly #promotedMs = new Map<RedisServer, number>();

  /** @param nodes the masters at the start come first */
  constructor(readonly nodes: readonly RedisServer[]) {}

  get urls(): readonly string[] {
    return this.nodes.map(({ url }) => url);
  }

  /** The nodes that say of themselves that they are masters. Nodes that do not run are left out. */
  async masters(): Promise<RedisServer[]> {
    const are = await Promise.all(this.nodes.map((node) => this.isMaster(node)));
    return this.nodes.filter((_, index) => are[index]);
  }

  async isMaster(node: RedisServer): Promise<boolean> {
    return (await replication(node)).includes("role:master");
  }

  /** The replica of a master. @throws {Error} it has none */
  async replicaOf(master: RedisServer): Promise<RedisServer> {
    for (const node of this.nodes) {
      const text = await replication(node);
      if (text.includes("role:slave") && text.includes(`master_port:${master.port}`)) {
        return node;
      }
    }
    throw new Error(`the master on port ${master.port} has no replica`);
  }

  /** Resolves once a replica has all that its master has. */
  async inStep(replica: RedisServer): Promise<void> {
    await waitFor(
      `the replica on port ${replica.port} is in step`,
      async () => {
        const text = await replication(replica);
        return text.includes("role:slave") && text.includes("master_link_status:up");
      },
      changeTimeoutMs,
    );
  }

  /** Resolves once a node that was a replica serves its master's slots. */
  async promoted(replica: RedisServer, away: readonly RedisServer[] = []): Promise<void> {
    await waitFor(`the replica on port ${replica.port} is a master`, () => this.isMaster(replica), changeTimeoutMs);
    this.#promotedMs.set(replica, performance.now());
    await this.serving(away);
  }

  /**
   * Resolves once every node that runs sees all slots served.
   * @param away nodes not to ask, as those that do not answer
   */
  async serving(away: readonly RedisServer[] = []): Promise<void> {
    const asked = this.nodes.filter((node) => !away.includes(node));
    await waitFor(
      "the cluster serves all slots",
      async () => {
        const states = await Promise.all(asked.map((node) => node.command("CLUSTER", "INFO").catch(() => undefined)));
        return states.every((state) => state === undefined || String(state).includes("cluster_state:ok"));
      },
      changeTimeoutMs,
    );
  }

  /**
   * A replica takes its master's place as planned: the master stops, hands over all it has, and becomes the replica.
   * @returns how long that took, ms, without the rest before
   */
  async failover(replica: RedisServer): Promise<number> {
    await this.rested(replica);
    for (let attempts = 1; ; attempts += 1) {
      const startedMs = performance.now();
      await replica.command("CLUSTER", "FAILOVER");
      // Where the others do not vote for it, Redis gives the attempt up.
      const isMaster = await waitFor("it is a master", () => this.isMaster(replica), failoverGivenUpMs).catch(
        () => false,
      );
      if (isMaster || attempts === failoverAttemptsMax) {
        await this.promoted(replica);
        return performance.now() - startedMs;
      }
    }
  }

  /**
   * Resolves once a replica may take over without harm. Redis 7.0 has a replica that won an election count the same votes
   * again when it is to take over within four node timeouts: it declares itself the master with its old epoch, is told that
   * it is not a moment later, and what it accepted meanwhile is gone.
   */
  async rested(replica: RedisServer): Promise<void> {
    const leftMs = (this.#promotedMs.get(replica) ?? Number.NEGATIVE_INFINITY) + restMs - performance.now();
    await Bun.sleep(Math.max(0, leftMs));
  }

  async slotOf(key: string): Promise<number> {
    return Number(await (this.nodes[0] as RedisServer).command("CLUSTER", "KEYSLOT", key));
  }

  async masterOf(slot: number): Promise<RedisServer> {
    for (const master of await this.masters()) {
      const ranges = (await master.command("CLUSTER", "SLOTS")) as [number, number, [string, number]][];
      const range = ranges.find(([from, through]) => from <= slot && slot <= through);
      if (range?.[2][1] === master.port) {
        return master;
      }
    }
    throw new Error(`nobody serves slot ${slot}`);
  }

  /** Moves a slot with all its keys, while it is used. The order of steps is that of `redis-cli --cluster reshard`. */
  async moveSlot(slot: number, target: RedisServer): Promise<void> {
    const source = await this.masterOf(slot);
    const [sourceId, targetId] = await Promise.all([source, target].map((node) => node.command("CLUSTER", "MYID")));
    const setSlot = (node: RedisServer, how: string, id: unknown) =>
      node.command("CLUSTER", "SETSLOT", String(slot), how, String(id));
    await setSlot(target, "IMPORTING", sourceId);
    await setSlot(source, "MIGRATING", targetId);
    for (;;) {
      const keys = (await source.command("CLUSTER", "GETKEYSINSLOT", String(slot), String(keysAtOnce))) as string[];
      if (keys.length === 0) {
        break;
      }
      const where = ["127.0.0.1", String(target.port), "", "0", String(migrateTimeoutMs)];
      await source.command("MIGRATE", ...where, "KEYS", ...keys);
    }
    // The target first: a slot that nobody claims would be refused.
    await setSlot(target, "NODE", targetId);
    await setSlot(source, "NODE", targetId);
    const others = (await this.masters()).filter((node) => node !== source && node !== target);
    await Promise.all(others.map((node) => setSlot(node, "NODE", targetId)));
  }

  async stop(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.stop()));
  }
}

/** Starts a cluster and resolves once every node sees all slots served, and replicas have what their masters have. */
export async function startRedisCluster({
  masters = 3,
  replicasEach = 0,
  settings = {},
}: RedisClusterOptions = {}): Promise<RedisCluster> {
  const nodes: RedisServer[] = [];
  const cluster = new RedisCluster(nodes);
  try {
    const count = masters * (1 + replicasEach);
    const busPorts: number[] = [];
    for (let index = 0; index < count; index += 1) {
      const busPort = await freePort();
      nodes.push(
        await startRedis({
          settings: {
            "cluster-enabled": "yes",
            "cluster-config-file": "nodes.conf",
            "cluster-node-timeout": String(nodeTimeoutMs),
            "cluster-port": String(busPort),
            // By default a replica waits 5 s before it copies anything, and until then it cannot take over.
            "repl-diskless-sync-delay": "0",
            ...settings,
          },
        }),
      );
      busPorts.push(busPort);
    }
    const [first] = nodes as [RedisServer];
    for (const [index, node] of nodes.entries()) {
      if (index < masters) {
        const from = Math.floor((slots * index) / masters);
        const to = Math.floor((slots * (index + 1)) / masters) - 1;
        await node.command("CLUSTER", "ADDSLOTSRANGE", String(from), String(to));
      }
      if (index > 0) {
        await first.command("CLUSTER", "MEET", "127.0.0.1", String(node.port), String(busPorts[index]));
      }
    }
    await waitFor("the nodes of the cluster know each other", async () => {
      const infos = await Promise.all(nodes.map((node) => node.command("CLUSTER", "INFO")));
      return infos.every((info) => String(info).includes(`cluster_known_nodes:${count}`));
    });
    const ids = await Promise.all(nodes.map((node) => node.command("CLUSTER", "MYID")));
    for (const [index, node] of nodes.entries()) {
      if (index >= masters) {
        const master = String(ids[index % masters]);
        // It must have heard of its master first.
        await waitFor("a replica follows its master", () =>
          node.command("CLUSTER", "REPLICATE", master).then(
            () => true,
            () => false,
          ),
        );
        await cluster.inStep(node);
      }
    }
    await cluster.serving();
  } catch (error) {
    await cluster.stop();
    throw error;
  }
  return cluster;
}

/** What a node says of its part in replication; "" where it does not answer. */
async function replication(node: RedisServer): Promise<string> {
  return String(await node.command("INFO", "replication").catch(() => ""));
}
