/**
 * What Redis itself loses, by how it keeps its data and by what happens to it. Writers append without a pause and no worker
 * stores anything, so these are the whole windows: what a worker has stored is not lost with Redis.
 */
import { seededRandom } from "../../../../lib/seeded-random.ts";
import { CuttingProxy } from "../../../browser/cutting-proxy.ts";
import { type RedisServer, startRedis } from "../../../harness/redis.ts";
import { waitFor } from "../../../harness/wait-for.ts";
import { measureRedisLoss, measureSplitBrain, type RedisLoss } from "../../driver/redis-loss.ts";
import { TracedDisk } from "../../driver/traced-disk.ts";
import type { FaultRow, FaultRowContext } from "../fault-row.ts";
import { type Figure, milliseconds } from "../planned-row.ts";

const rounds = 3;
/** For so long at least; up to so much more by the seed, so that the harm comes at any moment between two fsyncs. */
const talkMs = { least: 3_000, more: 2_000 };
/** Longer than Redis waits for a disk before it goes on without it (2 s, aof.c). */
const stallMs = 6_000;
/** For how long a replica hears nothing before it takes over. */
const behindMs = 3_000;

/** The settings of redis-server for each way to keep data. */
const redisModes = {
  "no-file": { about: "no append-only file", settings: {} },
  everysec: { about: "`appendfsync everysec`", settings: { appendonly: "yes", appendfsync: "everysec" } },
  always: { about: "`appendfsync always`", settings: { appendonly: "yes", appendfsync: "always" } },
} as const;

/** Figures that the page shows in a table of their own. */
export const lostFigure = "acknowledged and lost";
export const windowFigure = "longest window";

type Mode = keyof typeof redisModes;

/** What happens to a server without a replica. */
const redisHarms = {
  dies: "its process is killed",
  stalled: "its process is killed while each fdatasync takes 6 s",
  power: "its machine loses power: what no fdatasync had confirmed is cut off its file",
} as const;

type Harm = keyof typeof redisHarms;

const mayLose = (mode: Mode, harm: Harm) => mode === "no-file" || (mode === "everysec" && harm !== "dies");

function lossRow(mode: Mode, harm: Harm): FaultRow {
  return {
    name: `redis-${harm}-${mode}`,
    fault: `Redis with ${redisModes[mode].about}: ${redisHarms[harm]}`,
    holds: mayLose(mode, harm)
      ? "no position is given twice; readers of every room that lost something are told"
      : "nothing that was acknowledged is lost; no position is given twice",
    run: (context) => rowOf(context, mayLose(mode, harm), (talkForMs) => lossOnce(mode, harm, talkForMs)),
  };
}

async function lossOnce(mode: Mode, harm: Harm, talkForMs: number): Promise<RedisLoss> {
  const disk = harm === "dies" ? undefined : new TracedDisk({ stallMs: harm === "stalled" ? stallMs : 0 });
  const { settings } = redisModes[mode];
  const server = await startRedis({ settings, ...(disk && { launcher: disk.launcher }) });
  try {
    return await measureRedisLoss({
      url: server.url,
      talkMs: talkForMs,
      async harm(cut) {
        cut();
        await server.kill("SIGKILL");
        if (harm === "power") {
          await disk?.losePower(server);
        }
        await server.start();
      },
    });
  } finally {
    await server.stop();
    disk?.remove();
  }
}

/** How the primary is told to care for its replica. */
const replicaModes = {
  "in-step": { about: "keeps up", settings: {}, isBehind: false },
  behind: { about: "has heard nothing for 3 s", settings: {}, isBehind: true },
  "behind-guarded": {
    about: "has heard nothing for 3 s; `min-replicas-to-write 1`, `min-replicas-max-lag 1`",
    settings: { "min-replicas-to-write": "1", "min-replicas-max-lag": "1" },
    isBehind: true,
  },
} as const;

function failoverRow(name: keyof typeof replicaModes): FaultRow {
  const { about, settings, isBehind } = replicaModes[name];
  return {
    name: `redis-replica-${name}`,
    fault: `The primary is gone (SIGSTOP) and its replica takes over, which ${about}`,
    holds: "no position is given twice; readers of every room that lost something are told",
    run: (context) => rowOf(context, true, (talkForMs) => failoverOnce(settings, isBehind, talkForMs)),
  };
}

async function failoverOnce(
  settings: Readonly<Record<string, string>>,
  isBehind: boolean,
  talkForMs: number,
): Promise<RedisLoss> {
  await using pair = await startPair(settings);
  const { primary, replica, front, replication } = pair;
  return await measureRedisLoss({
    url: front.url.replace("http:", "redis:"),
    talkMs: talkForMs,
    async harm(cut) {
      if (isBehind) {
        replication.hold();
        await Bun.sleep(behindMs);
      }
      cut();
      primary.freeze();
      replication.cut();
      await promote(replica);
      front.leadTo(replica.port);
      front.cut();
    },
  });
}

/** A primary and its replica. Clients find the primary behind `front`, the replica finds it behind `replication`. */
async function startPair(settings: Readonly<Record<string, string>>) {
  // By default a replica waits 5 s before it copies anything.
  const both = { appendonly: "yes", appendfsync: "everysec", "repl-diskless-sync-delay": "0", ...settings };
  const primary = await startRedis({ settings: both });
  const replica = await startRedis({ settings: both });
  const front = await CuttingProxy.start(primary.port);
  const replication = await CuttingProxy.start(primary.port);
  await replica.command("REPLICAOF", "127.0.0.1", String(replication.port));
  await waitFor("the replica has a copy", () => isLinked(replica));
  // A guarded primary refuses until it has heard of its replica.
  await waitFor("the primary sees it", async () =>
    /lag=[01]\b/.test(String(await primary.command("INFO", "replication"))),
  );
  return {
    primary,
    replica,
    front,
    replication,
    async [Symbol.asyncDispose]() {
      front.stop();
      replication.stop();
      await Promise.all([primary.stop(), replica.stop()]);
    },
  };
}

/** Makes it the primary; it has no replica of its own yet, so it may not wait for one. */
export async function promote(replica: RedisServer): Promise<void> {
  await replica.command("REPLICAOF", "NO", "ONE");
  await replica.command("CONFIG", "SET", "min-replicas-to-write", "0");
}

export async function isLinked(replica: RedisServer): Promise<boolean> {
  return String(await replica.command("INFO", "replication")).includes("master_link_status:up");
}

async function rowOf(
  { seed, say }: FaultRowContext,
  mayBeLost: boolean,
  once: (talkForMs: number) => Promise<RedisLoss>,
): Promise<Figure[]> {
  const random = seededRandom(seed);
  const losses: RedisLoss[] = [];
  for (let round = 0; round < rounds; round++) {
    const loss = await once(talkMs.least + random() * talkMs.more);
    say(`   ${JSON.stringify(loss)}`);
    if (loss.reused > 0 || loss.roomsTold < loss.roomsWithLoss || (loss.lost > 0 && !mayBeLost)) {
      throw new Error("what must hold did not");
    }
    losses.push(loss);
  }
  const sum = (of: (loss: RedisLoss) => number) => losses.reduce((total, loss) => total + of(loss), 0);
  const most = (of: (loss: RedisLoss) => number) => Math.max(...losses.map(of));
  return [
    ["load", `${rounds} runs, ${count(sum((loss) => loss.ackedPerSecond) / rounds)} sends a second into 8 rooms`],
    [lostFigure, `${count(sum((loss) => loss.lost))} of ${count(sum((loss) => loss.acked))}`],
    [windowFigure, milliseconds(most((loss) => loss.windowMs))],
    ["positions reused", "0"],
    ["rooms with a loss, told", `${sum((loss) => loss.roomsWithLoss)}, ${sum((loss) => loss.roomsTold)}`],
    ["until sends are accepted again, longest", milliseconds(most((loss) => loss.backMs))],
  ];
}

const splitForMs = 8_000;

function splitRow(isGuarded: boolean): FaultRow {
  const guard = isGuarded ? "; `min-replicas-to-write 1`, `min-replicas-max-lag 1`" : "";
  return {
    name: isGuarded ? "redis-two-primaries-guarded" : "redis-two-primaries",
    fault: `For 8 s there are two primaries, each with a gateway that writes there; then the old one becomes the replica${guard}`,
    holds: "no position is given twice; readers at the old one are told what it alone had is gone",
    async run({ say }) {
      const settings = isGuarded ? replicaModes["behind-guarded"].settings : {};
      await using pair = await startPair(settings);
      const { primary, replica, front, replication } = pair;
      const stayed = await CuttingProxy.start(primary.port);
      const found = await measureSplitBrain({
        front: front.url.replace("http:", "redis:"),
        old: stayed.url.replace("http:", "redis:"),
        splitForMs,
        async split() {
          replication.hold();
          await promote(replica);
          front.leadTo(replica.port);
          front.cut();
        },
        async heal() {
          await primary.command("REPLICAOF", "127.0.0.1", String(replica.port));
          await waitFor("the old primary has the copy of the new", () => isLinked(primary), 30_000);
          stayed.leadTo(replica.port);
          stayed.cut();
        },
      }).finally(() => stayed.stop());
      say(`   ${JSON.stringify(found)}`);
      if (found.reused > 0 || found.roomsTold < found.roomsWithLoss) {
        throw new Error("what must hold did not");
      }
      return [
        ["load", "8 writers without a pause, half of them at each, 8 rooms"],
        ["acknowledged by the new primary meanwhile", count(found.ackedByNew)],
        ["acknowledged by the old one after its replica was cut off", count(found.ackedByOld)],
        ["for how long it went on to", milliseconds(found.oldAckedForMs)],
        ["acknowledged and lost", count(found.lost)],
        ["positions reused", "0"],
        ["rooms with a loss, told", `${found.roomsWithLoss}, ${found.roomsTold}`],
      ];
    },
  };
}

export const redisTwoPrimaries: readonly FaultRow[] = [splitRow(false), splitRow(true)];

function count(value: number): string {
  return Math.round(value).toLocaleString("en-US");
}

export const redisLossRows: readonly FaultRow[] = [
  ...(["no-file", "everysec", "always"] as const).map((mode) => lossRow(mode, "dies")),
  lossRow("everysec", "stalled"),
  lossRow("everysec", "power"),
  lossRow("always", "power"),
  ...(Object.keys(replicaModes) as (keyof typeof replicaModes)[]).map(failoverRow),
];
