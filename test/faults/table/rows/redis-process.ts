/** Redis dies under a whole deployment: killed, killed on a stalled disk, come back empty, replaced by its replica. */

import { CuttingProxy } from "../../../browser/cutting-proxy.ts";
import { startRedis } from "../../../harness/redis.ts";
import { waitFor } from "../../../harness/wait-for.ts";
import type { ViolationKind } from "../../checker/violation.ts";
import { TracedDisk } from "../../driver/traced-disk.ts";
import { countMessages } from "../../recorder/stored-rows.ts";
import type { FaultRow } from "../fault-row.ts";
import { latencyFigure, median, milliseconds, redisOf, runPlanned, verdictFigures } from "../planned-row.ts";
import { startProbe } from "../send-probe.ts";
import { isLinked, promote } from "./redis-loss.ts";

/** What is gone cannot be in the store, and with it goes the memory of its keys: a repetition is taken as new. */
const lossOfData: readonly ViolationKind[] = [
  "acked-not-stored",
  "seen-not-stored",
  "key-at-two-positions",
  "accepted-twice",
  "stored-twice",
];

const kills = 5;

function killRow(appendfsync: "everysec" | "always"): FaultRow {
  return {
    name: `redis-kill-${appendfsync}`,
    fault: `Redis (${appendfsync}) is killed ${kills} times and started again after up to 1 s`,
    holds: "nothing is lost, doubled or missed unsaid; no position is given twice; every send is answered in the end",
    async run(context) {
      const outagesMs: number[] = [];
      const backMs: number[] = [];
      const result = await runPlanned(context, {
        deployment: { redis: { settings: { appendfsync } } },
        async plan(run) {
          const { deployment, load, strike, context: tools } = run;
          const probe = startProbe(run);
          for (let left = kills; left > 0; left--) {
            await tools.pause(1_000, 2_000);
            const killedMs = performance.now();
            let startedMs = 0;
            await strike(
              {
                name: "redis-kill",
                about: "",
                kind: "redis",
                async inject(redis) {
                  await redis.end("SIGKILL");
                  await tools.pause(0, 1_000);
                  startedMs = performance.now();
                  await redis.start();
                },
              },
              redisOf(deployment),
            );
            await waitFor("a send is accepted", () => !Number.isNaN(probe.untilFirst(startedMs, isOk)), 20_000);
            backMs.push(probe.untilFirst(startedMs, isOk));
            outagesMs.push(startedMs + probe.untilFirst(startedMs, isOk) - killedMs);
            await load.allLive();
          }
          await probe.stop();
        },
      });
      return [
        ...verdictFigures(result),
        [
          "from the kill to the next send accepted",
          `median ${milliseconds(median(outagesMs))}, longest ${milliseconds(Math.max(...outagesMs))}`,
        ],
        [
          "of it after the start of Redis",
          `median ${milliseconds(median(backMs))}, longest ${milliseconds(Math.max(...backMs))}`,
        ],
        ["send to answer, with the client's tries", latencyFigure(result.figures.ackMs)],
      ];
    },
  };
}

export const redisStalledDisk: FaultRow = {
  name: "redis-stalled-disk",
  fault: "Redis (everysec) is killed on a disk whose fdatasync takes 6 s, with workers at work",
  holds: "no position is given twice; readers who were there are told of what they did not see; the room goes on",
  async run(context) {
    const disk = new TracedDisk({ stallMs: 6_000 });
    let unwritten = 0;
    try {
      const result = await runPlanned(context, {
        deployment: { redis: { launcher: disk.launcher } },
        allows: lossOfData,
        // What is lost is never stored: no need to wait for it long.
        storeLagMaxMs: 8_000,
        async plan({ deployment, load, strike }) {
          const redis = redisOf(deployment);
          const behind = async () => {
            const info = String(await redis.command?.("INFO", "persistence"));
            unwritten = Number(/aof_buffer_length:(\d+)/.exec(info)?.[1]);
            // The fdatasync before may just have ended; this much is more than half a second of this load.
            return unwritten > 20_000;
          };
          await waitFor("the disk is behind", behind, 30_000);
          await strike(
            {
              name: "redis-stalled-disk",
              about: "",
              kind: "redis",
              async inject(member) {
                await member.end("SIGKILL");
                await member.start();
              },
            },
            redis,
          );
          await Bun.sleep(2_000);
          await load.allLive();
        },
      });
      return [
        ...verdictFigures(result),
        ["acknowledged by Redis and not in its file", `${Math.round(unwritten / 1_024)} KB`],
        ["readers told of a loss", String(result.figures.gaps.lost)],
      ];
    } finally {
      disk.remove();
    }
  },
};

export const redisEmpty: FaultRow = {
  name: "redis-empty",
  fault: "Redis is killed while the workers stand still for 2 s, and comes back with an empty directory",
  holds: "no position is given twice; what was stored is read as before; only what no worker had stored is lost",
  async run(context) {
    let backlog = 0;
    const result = await runPlanned(context, {
      allows: lossOfData,
      // What is lost is never stored: no need to wait for it long.
      storeLagMaxMs: 8_000,
      async plan({ deployment, load, strike }) {
        await Bun.sleep(3_000);
        const workers = deployment.members.filter(({ kind }) => kind === "worker");
        for (const worker of workers) {
          worker.freeze();
        }
        await Bun.sleep(2_000);
        await strike(
          {
            name: "redis-empty",
            about: "",
            kind: "redis",
            async inject(redis) {
              await redis.end("SIGKILL");
              const acked = load.roomIds.reduce((sum, roomId) => sum + load.ackedIn(roomId), 0);
              const stored = await Promise.all(load.roomIds.map((roomId) => countMessages(deployment.stored, roomId)));
              backlog = acked - stored.reduce((sum, count) => sum + count, 0);
              await redis.loseTail?.(Number.POSITIVE_INFINITY);
              await redis.start();
            },
          },
          redisOf(deployment),
        );
        for (const worker of workers) {
          worker.thaw();
        }
        await Bun.sleep(3_000);
        await load.allLive();
      },
    });
    const { figures } = result;
    if (figures.lost > backlog) {
      throw new Error(`${figures.lost} are lost, and only ${backlog} were not stored`);
    }
    return [
      ...verdictFigures(result),
      ["acknowledged and not stored when it was killed", String(backlog)],
      ["readers told of a loss", String(figures.gaps.lost)],
      ["readers who had to begin anew", String(figures.resets)],
    ];
  },
};

export const redisFailover: FaultRow = {
  name: "redis-failover",
  fault:
    "Redis freezes, its replica takes over at the same address; 3 s later the old one wakes and becomes the replica",
  holds: "no position is given twice; readers who were there are told of what is lost; the room goes on",
  async run(context) {
    let front: CuttingProxy | undefined;
    let outageMs = Number.NaN;
    const replica = await startRedis({ settings: { appendonly: "yes", "repl-diskless-sync-delay": "0" } });
    try {
      const result = await runPlanned(context, {
        deployment: {
          redis: { settings: { "repl-diskless-sync-delay": "0" } },
          redisBehind: async (port) => {
            front = await CuttingProxy.start(port);
            await replica.command("REPLICAOF", "127.0.0.1", String(port));
            return front;
          },
        },
        allows: lossOfData,
        // What is lost is never stored: no need to wait for it long.
        storeLagMaxMs: 8_000,
        async plan(run) {
          const { deployment, load, strike } = run;
          const proxy = front as CuttingProxy;
          await waitFor("the replica has a copy", () => isLinked(replica));
          const probe = startProbe(run);
          await Bun.sleep(3_000);
          const frozenMs = performance.now();
          await strike(
            {
              name: "redis-failover",
              about: "",
              kind: "redis",
              async inject(redis) {
                redis.freeze();
                await promote(replica);
                proxy.leadTo(replica.port);
                proxy.cut();
                await Bun.sleep(3_000);
                redis.thaw();
                await redis.command?.("REPLICAOF", "127.0.0.1", String(replica.port));
              },
            },
            redisOf(deployment),
          );
          outageMs = probe.untilFirst(frozenMs, isOk);
          await Bun.sleep(2_000);
          await load.allLive();
          await probe.stop();
        },
      });
      return [
        ...verdictFigures(result),
        ["from the freeze to the next send accepted", milliseconds(outageMs)],
        ["readers told of a loss", String(result.figures.gaps.lost)],
      ];
    } finally {
      await replica.stop();
    }
  },
};

export const redisKillRows: readonly FaultRow[] = [killRow("everysec"), killRow("always")];

const isOk = ({ code }: { code: string }) => code === "ok";
