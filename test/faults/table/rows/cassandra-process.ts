/** Cassandra is away, slow, or does what it is asked and its answer is lost. */
import { waitFor } from "../../../harness/wait-for.ts";
import { CqlProxy } from "../../driver/cql-proxy.ts";
import type { Member } from "../../driver/deployment.ts";
import type { PlannedRun } from "../../driver/fault-run.ts";
import { RecordedSender } from "../../recorder/recorded-sender.ts";
import { countMessages } from "../../recorder/stored-rows.ts";
import type { FaultRow } from "../fault-row.ts";
import { milliseconds, redisOf, runPlanned, verdictFigures } from "../planned-row.ts";
import { countDeadLetters, countUnstored } from "../unstored.ts";

/** For each of the two rooms, which are in shards of their own. Small, so that it is reached soon. */
const unstoredMax = 1_500;
const awayMs = 30_000;
/** What is promised of the way back. */
const catchUpTimesMin = 3;

function cassandraAway(
  how: Pick<FaultRow, "name" | "fault"> & {
    harm(cassandra: Member): Promise<unknown>;
    heal(cassandra: Member): Promise<unknown>;
  },
): FaultRow {
  return {
    name: how.name,
    fault: `${how.fault} for ${awayMs / 1_000} s, while people fill two rooms; the log's cap is ${unstoredMax.toLocaleString("en-US")} entries a shard (--redis-unstored-entries-max)`,
    holds:
      "the chat goes on until the cap is reached; then sends are refused with RESOURCE_EXHAUSTED and a delay; on its return everything is stored, at 3 times the live rate or faster",
    async run(context) {
      let peak = 0;
      let flood: FloodResult | undefined;
      let backMs = Number.NaN;
      let rate = Number.NaN;
      let liveRate = Number.NaN;
      let lagMs = Number.NaN;
      const result = await runPlanned(context, {
        load: { rooms: 2, readersPerRoom: 3, people: 6, messagesPerSecond: 40 },
        deployment: { settingsOf: () => ({ REDIS_UNSTORED_ENTRIES_MAX: String(unstoredMax) }) },
        storeLagMaxMs: 60_000,
        async plan(run) {
          const { deployment, load } = run;
          const redis = redisOf(deployment);
          const unstored = () => countUnstored(redis, load.roomIds);
          const acked = () => load.roomIds.reduce((sum, room) => sum + load.ackedIn(room), 0);
          const live = { atMs: performance.now(), acked: acked() };
          await Bun.sleep(5_000);
          liveRate = ((acked() - live.acked) * 1_000) / (performance.now() - live.atMs);
          const cassandra = deployment.members.find(({ kind }) => kind === "cassandra") as Member;
          await run.strike(
            {
              name: how.name,
              about: "",
              kind: "cassandra",
              async inject() {
                const awayFromMs = performance.now();
                await how.harm(cassandra);
                flood = await floodUntilRefused(run);
                peak = await unstored();
                await Bun.sleep(Math.max(0, awayMs - (performance.now() - awayFromMs)));
                await how.heal(cassandra);
                const backFromMs = performance.now();
                const start = { count: await unstored(), acked: acked() };
                let firstMs = backFromMs;
                await waitFor(
                  "the workers have caught up",
                  async () => {
                    const count = await unstored();
                    const nowMs = performance.now();
                    if (count >= start.count) {
                      // They have not begun.
                      firstMs = nowMs;
                      start.acked = acked();
                      start.count = count;
                    }
                    backMs = nowMs - backFromMs;
                    rate = ((start.count - count + acked() - start.acked) * 1_000) / (nowMs - firstMs);
                    return count < liveRate;
                  },
                  60_000,
                );
                lagMs = performance.now() - awayFromMs;
              },
            },
            cassandra,
          );
        },
      });
      const { acceptedBefore, refusedBefore, code, retryAfterMs, tookMs } = flood as FloodResult;
      if (code !== "ResourceExhausted" || retryAfterMs === undefined || refusedBefore > 0) {
        throw new Error(`told ${code}, to come again in ${retryAfterMs} ms; before the cap ${refusedBefore} refused`);
      }
      if (!(rate >= catchUpTimesMin * liveRate)) {
        throw new Error(`caught up with ${rate} a second, live ${liveRate}`);
      }
      const figures = (value: number) => Math.round(value).toLocaleString("en-US");
      return [
        ...verdictFigures(result),
        ["sends of the flood accepted until the cap, in", `${figures(acceptedBefore)}, ${milliseconds(tookMs)}`],
        ["refused before it", String(refusedBefore)],
        ["unstored at most, both shards", figures(peak)],
        ["then told", `${code}, again in ${milliseconds(retryAfterMs)}`],
        ["from its return until all was stored", milliseconds(backMs)],
        ["stored a second meanwhile, and live rate", `${figures(rate)}, ${figures(liveRate)}`],
        ["longest lag of the store", milliseconds(lagMs)],
      ];
    },
  };
}

export const cassandraAwayRows: readonly FaultRow[] = [
  cassandraAway({
    name: "cassandra-killed",
    fault: "Cassandra is killed and stays away",
    harm: (cassandra) => cassandra.end("SIGKILL"),
    heal: (cassandra) => cassandra.start(),
  }),
  cassandraAway({
    name: "cassandra-frozen",
    fault: "Cassandra is frozen (it takes connections and answers nothing)",
    harm: async (cassandra) => cassandra.freeze(),
    heal: async (cassandra) => cassandra.thaw(),
  }),
];

interface FloodResult {
  acceptedBefore: number;
  refusedBefore: number;
  code: string;
  retryAfterMs: number | undefined;
  tookMs: number;
}

const floodersPerRoom = 8;
const floodMsMax = 60_000;

/** Sends into every room, without a pause, until each room refuses. */
async function floodUntilRefused({ deployment, load, history }: PlannedRun): Promise<FloodResult> {
  const startedMs = performance.now();
  const result: FloodResult = { acceptedBefore: 0, refusedBefore: 0, code: "", retryAfterMs: undefined, tookMs: 0 };
  const full = new Set<string>();
  const flood = async (room: string, n: number) => {
    const author = { userId: `flooder-${n}`, name: `flooder ${n}` };
    const sender = new RecordedSender({ n, author, baseUrls: deployment.gatewayUrls, history, tries: 1 });
    for (let sent = 0; !full.has(room); sent++) {
      if (performance.now() - startedMs > floodMsMax) {
        throw new Error(`${room} refused nothing within ${floodMsMax} ms`);
      }
      const id = `flood-${room}-${n}-${sent}`;
      const outcome = await sender.send(room, id, id);
      if (outcome.kind === "ok") {
        result.acceptedBefore += 1;
      } else if (outcome.code === "ResourceExhausted") {
        full.add(room);
        result.code = outcome.code;
        result.retryAfterMs = outcome.retryAfterMs;
      } else {
        result.refusedBefore += 1;
      }
    }
  };
  await Promise.all(
    load.roomIds.flatMap((room, at) =>
      Array.from({ length: floodersPerRoom }, (_, n) => flood(room, at * floodersPerRoom + n)),
    ),
  );
  result.tookMs = performance.now() - startedMs;
  return result;
}

const phaseMs = 12_000;

export const cassandraAnswers: FaultRow = {
  name: "cassandra-answers-lost",
  fault: `Every answer of Cassandra comes 3 s late; then all answers to writes are lost, which were made; then half of them; ${phaseMs / 1_000} s each`,
  holds:
    "writing again changes nothing: one row for each message, with equal bytes; nothing becomes a dead letter; the worker backs off",
  async run(context) {
    let proxy: CqlProxy | undefined;
    let dead = 0;
    const told: [string, string][] = [];
    const result = await runPlanned(context, {
      deployment: {
        async cassandraBehind(port) {
          proxy = await CqlProxy.start(port);
          return proxy;
        },
      },
      storeLagMaxMs: 60_000,
      async plan(run) {
        const redis = redisOf(run.deployment);
        const cql = proxy as CqlProxy;
        const cassandra = run.deployment.members.find(({ kind }) => kind === "cassandra") as Member;
        const phases: readonly [what: string, begin: () => unknown][] = [
          ["answers 3 s late", () => (cql.answerDelayMs = 3_000)],
          ["no answer to a write", () => (cql.swallowsAnswer = () => true)],
          ["half the answers to writes", () => (cql.swallowsAnswer = () => run.context.random() < 0.5)],
        ];
        // What comes first, once for a room, is the announcement of its bucket: without it nothing is written.
        await waitFor("all rooms have rows", async () => {
          const counts = run.load.roomIds.map((room) => countMessages(run.deployment.stored, room));
          return Math.min(...(await Promise.all(counts))) > 0;
        });
        for (const [what, begin] of phases) {
          const before = cql.written;
          await run.strike(
            {
              name: "cassandra-answers-lost",
              about: what,
              kind: "cassandra",
              async inject() {
                begin();
                await Bun.sleep(phaseMs);
                cql.answerDelayMs = 0;
                cql.swallowsAnswer = undefined;
                const healedMs = performance.now();
                await waitFor(
                  "the workers have caught up",
                  async () => (await countUnstored(redis, run.load.roomIds)) < 40,
                  60_000,
                );
                const after = cql.written;
                const rows = after.rows - before.rows;
                told.push([
                  `writes a row, most writes of one: ${what}`,
                  `${((after.writes - before.writes) / rows).toFixed(2)} of ${rows}, ${after.most}; caught up ${milliseconds(performance.now() - healedMs)} after`,
                ]);
              },
            },
            cassandra,
          );
        }
        dead = await countDeadLetters(redis);
      },
    });
    const { differing, written } = proxy as CqlProxy;
    if (differing > 0 || dead > 0 || written.again === 0) {
      throw new Error(`${differing} writes differed, ${dead} dead letters, ${written.again} rows written again`);
    }
    return [
      ...verdictFigures(result),
      ...told,
      ["writes with other bytes", String(differing)],
      ["dead letters", String(dead)],
    ];
  },
};
