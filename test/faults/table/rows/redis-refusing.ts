/** Redis is there and does not do what it should: no memory, no answer, no right to write, damaged keys. */

import { RedisKeys, shardsDefault } from "../../../../storage/log/redis/redis-keys.ts";
import { CuttingProxy } from "../../../browser/cutting-proxy.ts";
import { waitFor } from "../../../harness/wait-for.ts";
import type { FaultRow } from "../fault-row.ts";
import { milliseconds, redisOf, runPlanned, verdictFigures } from "../planned-row.ts";
import { codesOf, type ProbeAnswer, startProbe, tookMs } from "../send-probe.ts";

const isOk = ({ code }: ProbeAnswer) => code === "ok";
const isRefused = ({ code }: ProbeAnswer) => code !== "ok";

const usedBytes = async (command: ((...words: string[]) => Promise<unknown>) | undefined) =>
  Number(/used_memory:(\d+)/.exec(String(await command?.("INFO", "memory")))?.[1]);

/** What Redis may take beside what it holds when the workers stop. */
const roomLeftBytes = 2 * 1_024 * 1_024;

export const redisFull: FaultRow = {
  name: "redis-full",
  fault: "The workers stand still, people flood a room, and Redis runs out of memory (noeviction)",
  holds:
    "sends are refused with a code that says so, nothing is half written, readers go on; it heals when the workers go on",
  async run(context) {
    let codes = "";
    let grownBytes = Number.NaN;
    let refusedTook: ProbeAnswer[] = [];
    let healedMs = Number.NaN;
    const result = await runPlanned(context, {
      async plan(run) {
        const { deployment, load, strike } = run;
        const probe = startProbe(run);
        await Bun.sleep(2_000);
        const workers = deployment.members.filter(({ kind }) => kind === "worker");
        await strike(
          {
            name: "redis-full",
            about: "",
            kind: "redis",
            async inject({ command }) {
              for (const worker of workers) {
                worker.freeze();
              }
              const before = await usedBytes(command);
              await command?.("CONFIG", "SET", "maxmemory", String(before + roomLeftBytes));
              const startedMs = performance.now();
              const flood = load.flood(load.roomIds[1] as string, 40);
              await waitFor("a send is refused", () => probe.between(startedMs, Infinity).some(isRefused), 30_000);
              grownBytes = (await usedBytes(command)) - before;
              await Bun.sleep(3_000);
              const refused = probe.between(startedMs, Infinity).filter(isRefused);
              codes = codesOf(refused);
              refusedTook = refused;
              await load.allLive();
              const healStartMs = performance.now();
              for (const worker of workers) {
                worker.thaw();
              }
              await waitFor(
                "a send is accepted again",
                () => !Number.isNaN(probe.untilFirst(healStartMs + 500, isOk)),
                60_000,
              );
              healedMs = probe.untilFirst(healStartMs, isOk);
              await command?.("CONFIG", "SET", "maxmemory", "0");
              await flood;
            },
          },
          redisOf(deployment),
        );
        await probe.stop();
      },
    });
    return [
      ...verdictFigures(result),
      ["first refusal", `${(grownBytes / 1_048_576).toFixed(1)} MB after the workers stopped, of 2 MB left to Redis`],
      ["what a send that is not tried again is told", codes],
      [
        "refusal after",
        `p50 ${milliseconds(tookMs(refusedTook, 0.5))}, p99 ${milliseconds(tookMs(refusedTook, 0.99))}`,
      ],
      ["from the workers' return to the next send accepted", milliseconds(healedMs)],
    ];
  },
};

const cutForMs = 15_000;

export const redisPartition: FaultRow = {
  name: "redis-partition",
  fault: "The network between Redis and everybody else swallows all packets for 15 s; connections stay open",
  holds: "sends are refused in bounded time, none hangs; readers keep their streams, and miss nothing afterwards",
  async run(context) {
    let front: CuttingProxy | undefined;
    let during: ProbeAnswer[] = [];
    let detectedMs = Number.NaN;
    let healedMs = Number.NaN;
    const result = await runPlanned(context, {
      deployment: {
        async redisBehind(port) {
          front = await CuttingProxy.start(port);
          return front;
        },
      },
      async plan(run) {
        const { deployment, load, strike } = run;
        const proxy = front as CuttingProxy;
        const probe = startProbe(run);
        await Bun.sleep(3_000);
        await strike(
          {
            name: "redis-partition",
            about: "",
            kind: "redis",
            async inject() {
              const cutMs = performance.now();
              proxy.hold();
              await Bun.sleep(cutForMs);
              const goOnMs = performance.now();
              proxy.goOn();
              await waitFor("a send is accepted again", () => !Number.isNaN(probe.untilFirst(goOnMs, isOk)), 20_000);
              during = probe.between(cutMs, goOnMs);
              detectedMs = probe.untilFirst(cutMs, isRefused);
              healedMs = probe.untilFirst(goOnMs, isOk);
            },
          },
          redisOf(deployment),
        );
        await load.allLive();
        await probe.stop();
      },
    });
    const refused = during.filter(isRefused);
    return [
      ...verdictFigures(result),
      ["first refusal after", milliseconds(detectedMs)],
      [
        "send to refusal while cut",
        `p50 ${milliseconds(tookMs(refused, 0.5))}, p99 ${milliseconds(tookMs(refused, 0.99))}, longest ${milliseconds(tookMs(refused, 1))}`,
      ],
      ["what a send that is not tried again is told", codesOf(during)],
      ["from the network's return to the next send accepted", milliseconds(healedMs)],
    ];
  },
};

/** Each makes the script fail for one reason, in room-0, and undoes it. */
const halves = (keys: RedisKeys, room: string) => {
  const shardLog = keys.shardLog(keys.shardOf(room));
  const log = keys.roomLog(room);
  const state = keys.state(room);
  const damage = (key: string) => ({
    async harm(command: (...words: string[]) => Promise<unknown>) {
      await command("RENAME", key, `${key}:aside`);
      await command("SET", key, "damaged");
    },
    async heal(command: (...words: string[]) => Promise<unknown>) {
      await command("RENAME", `${key}:aside`, key);
    },
  });
  const denied = (...commands: string[]) => ({
    async harm(command: (...words: string[]) => Promise<unknown>) {
      await command("ACL", "SETUSER", "default", ...commands.map((each) => `-${each}`));
    },
    async heal(command: (...words: string[]) => Promise<unknown>) {
      await command("ACL", "SETUSER", "default", "+@all");
    },
  });
  return [
    { what: "the room's log is no stream", ...damage(log) },
    { what: "the room's state is no hash", ...damage(state) },
    { what: "the shard's log is no stream", ...damage(shardLog) },
    { what: "XADD is denied", ...denied("xadd") },
    { what: "HSET is denied", ...denied("hset") },
    { what: "SET is denied", ...denied("set") },
  ];
};

export const redisHalfFailure: FaultRow = {
  name: "redis-script-failure",
  fault: "The script fails in its midst for 1 s: damaged keys (WRONGTYPE) of a room, commands that an ACL denies",
  holds: "sends are refused and use up no position: the room counts on without a hole when it is healed",
  async run(context) {
    const told: string[] = [];
    const result = await runPlanned(context, {
      async plan(run) {
        const { deployment, load, strike } = run;
        const probe = startProbe(run);
        const room = load.roomIds[0] as string;
        await waitFor("there is a log to damage", () => load.ackedIn(room) > 10);
        for (const { what, harm, heal } of halves(new RedisKeys("chat", shardsDefault), room)) {
          await strike(
            {
              name: "redis-script-failure",
              about: what,
              kind: "redis",
              async inject({ command }) {
                const send = command as (...words: string[]) => Promise<unknown>;
                const startMs = performance.now();
                await harm(send);
                await Bun.sleep(1_000);
                await heal(send);
                const healedMs = performance.now();
                await waitFor(
                  `sends are accepted after ${what}`,
                  () => !Number.isNaN(probe.untilFirst(healedMs, isOk)),
                  20_000,
                );
                told.push(`${what}: ${codesOf(probe.between(startMs, healedMs).filter(isRefused))}`);
              },
            },
            redisOf(deployment),
          );
          await load.allLive();
        }
        await probe.stop();
      },
    });
    return [...verdictFigures(result), ["what sends that are not tried again are told", told.join("; ")]];
  },
};
