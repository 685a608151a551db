/** Workers die with a batch in hand, and two of them believe to be the same. */
import { waitFor } from "../../../harness/wait-for.ts";
import { CqlProxy } from "../../driver/cql-proxy.ts";
import type { Member } from "../../driver/deployment.ts";
import type { PlannedRun } from "../../driver/fault-run.ts";
import type { FaultRow } from "../fault-row.ts";
import { median, milliseconds, redisOf, runPlanned, verdictFigures } from "../planned-row.ts";
import { isPending, listPending } from "../unstored.ts";

const kills = 20;

export const workerKill: FaultRow = {
  name: "worker-kill",
  fault: `One worker of two, at random, is killed ${kills} times while entries are in its hands, and started again after up to 1 s; then once more, and stays away`,
  holds:
    "every acknowledged message is one row, with equal bytes; what was in hand goes to the same worker, or to the other when its lease has ended",
  async run(context) {
    const again: number[] = [];
    const caughtUpMs: number[] = [];
    let takenOverMs = Number.NaN;
    const result = await runPlanned(context, {
      load: { messagesPerSecond: 60 },
      async plan(run) {
        for (let left = kills; left > 0; left--) {
          await run.context.pause(100, 500);
          await killInBatch(run, async (entries, worker, killedMs) => {
            again.push(entries.length);
            await run.context.pause(0, 1_000);
            await worker.start();
            await untilStored(run, entries);
            caughtUpMs.push(performance.now() - killedMs);
          });
        }
        await killInBatch(run, async (entries, worker, killedMs) => {
          again.push(entries.length);
          await untilStored(run, entries);
          takenOverMs = performance.now() - killedMs;
          await worker.start();
        });
      },
    });
    const delivered = again.reduce((sum, count) => sum + count, 0);
    return [
      ...verdictFigures(result),
      ["rows missing, rows doubled", `${result.figures.lost}, ${result.counts["stored-twice"] ?? 0}`],
      ["entries in hand at the kills, delivered again", `${delivered}, at most ${Math.max(...again)} at once`],
      [
        "from the kill until they were stored, the worker started again",
        `median ${milliseconds(median(caughtUpMs))}, longest ${milliseconds(Math.max(...caughtUpMs))}`,
      ],
      ["the same by the other worker, after the lease", milliseconds(takenOverMs)],
    ];
  },
};

/** Holds Cassandra still until one worker, at random, has entries in hand; kills that one and lets Cassandra go on. */
async function killInBatch(
  { deployment, load, context, strike }: PlannedRun,
  after: (entries: Awaited<ReturnType<typeof listPending>>, worker: Member, killedMs: number) => Promise<void>,
): Promise<void> {
  const redis = redisOf(deployment);
  const cassandra = memberOf(deployment.members, "cassandra");
  cassandra.freeze();
  let entries: Awaited<ReturnType<typeof listPending>> = [];
  try {
    await waitFor("a worker has entries in hand", async () => {
      entries = (await listPending(redis, load.roomIds)).filter(({ worker }) => worker !== "-");
      return entries.length > 0;
    });
  } catch (error) {
    cassandra.thaw();
    throw error;
  }
  const holders = [...new Set(entries.map(({ worker }) => worker))];
  const name = holders[Math.floor(context.random() * holders.length)];
  const worker = memberOf(deployment.members, "worker", name);
  const fault = {
    name: "worker-kill",
    about: "",
    kind: "worker",
    async inject() {
      const killedMs = performance.now();
      await worker.end("SIGKILL");
      cassandra.thaw();
      await after(
        entries.filter((entry) => entry.worker === name),
        worker,
        killedMs,
      );
    },
  } as const;
  await strike(fault, worker).finally(() => cassandra.thaw());
}

async function untilStored({ deployment }: PlannedRun, entries: Awaited<ReturnType<typeof listPending>>) {
  const redis = redisOf(deployment);
  const left = new Set(entries);
  const areStored = async () => {
    for (const entry of left) {
      if (await isPending(redis, entry)) {
        return false;
      }
      left.delete(entry);
    }
    return true;
  };
  await waitFor("what was in hand is acknowledged", areStored, 60_000);
}

const racingMs = 20_000;

export const workersOfOneName: FaultRow = {
  name: "workers-of-one-name",
  fault:
    "Two workers have the same name, so each takes what the other has in hand, while every answer of Cassandra comes 300 ms late (20 s)",
  holds: "rows may be written more than once, always with equal bytes; none is missing or doubled",
  async run(context) {
    let proxy: CqlProxy | undefined;
    const result = await runPlanned(context, {
      deployment: {
        async cassandraBehind(port) {
          proxy = await CqlProxy.start(port);
          return proxy;
        },
        // Gateways don't know the setting.
        settingsOf: () => ({ WORKER_NAME: "twin" }),
      },
      async plan(run) {
        await run.strike(
          {
            name: "workers-of-one-name",
            about: "",
            kind: "worker",
            async inject() {
              (proxy as CqlProxy).answerDelayMs = 300;
              await Bun.sleep(racingMs);
              (proxy as CqlProxy).answerDelayMs = 0;
            },
          },
          memberOf(run.deployment.members, "worker"),
        );
      },
    });
    const { rows, writes, again, most } = (proxy as CqlProxy).written;
    const { differing } = proxy as CqlProxy;
    if (differing > 0 || again === 0) {
      throw new Error(`${differing} writes differed; ${again} of ${rows} rows were written more than once`);
    }
    return [
      ...verdictFigures(result),
      ["rows, writes", `${rows.toLocaleString("en-US")}, ${writes.toLocaleString("en-US")}`],
      ["rows written more than once, at most", `${again.toLocaleString("en-US")}, ${most} times`],
      ["writes with other bytes", String(differing)],
    ];
  },
};

function memberOf(members: readonly Member[], kind: Member["kind"], name?: string): Member {
  return members.find((member) => member.kind === kind && (name === undefined || member.name === name)) as Member;
}
