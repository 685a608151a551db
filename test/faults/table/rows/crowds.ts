/** Many readers: some of them slow, and all of them sent away at once. */
import { waitFor } from "../../../harness/wait-for.ts";
import { CqlProxy } from "../../driver/cql-proxy.ts";
import type { Member } from "../../driver/deployment.ts";
import type { PlannedRun } from "../../driver/fault-run.ts";
import { RecordedSender } from "../../recorder/recorded-sender.ts";
import { Crowd } from "../crowd.ts";
import type { FaultRow } from "../fault-row.ts";
import { milliseconds, part, redisOf, runPlanned, verdictFigures } from "../planned-row.ts";
import { forgetPeak, megabytes, peakBytes, residentBytes } from "../process-memory.ts";
import { WindowReader } from "../window-reader.ts";

const fastReaders = 450;
const slowReaders = 50;
const slowBytesPerSecond = 1_024;
const queueBytesMax = 65_536;
const slowTimeoutMs = 10_000;
/** Messages a second into the room, of `longText`. */
const slowRoomRate = 10;
const calmMs = 12_000;
const longText = "긴 글 ".repeat(100);
/** Of so many looks the least counts: what waits for others for a moment is not what waits for the slow. */
const calmSamples = 5;
/** Of the queue: it goes to the connection whole, as soon as that has caught up, and what comes then waits behind it. */
const waitingTimesMax = 2;
/** What others may feel of those who are slow. */
const othersTimesMax = 1.2;

export const slowReader: FaultRow = {
  name: "slow-readers",
  fault: `${slowReaders} of ${fastReaders + slowReaders} readers of a room take 1 KB/s of 15 (HTTP/2 windows); send queue ${queueBytesMax / 1_024} KB, slow for ${slowTimeoutMs / 1_000} s at most`,
  holds: `a slow reader costs no more than twice its queue, and is ended with SLOW_READER and its cursor; the others' p99 rises by less than ${Math.round((othersTimesMax - 1) * 100)} %`,
  async run(context) {
    const p99: number[] = [];
    let before = 0;
    let peak = 0;
    let waitingMost = 0;
    let cutMs: number[] = [];
    let told = 0;
    const result = await runPlanned(context, {
      load: { rooms: 1, readersPerRoom: 3, people: 2, messagesPerSecond: 1 },
      deployment: {
        settingsOf: () => ({
          SEND_QUEUE_BYTES_MAX: String(queueBytesMax),
          SLOW_READER_TIMEOUT_MS: String(slowTimeoutMs),
        }),
      },
      async plan(run) {
        const { deployment, load } = run;
        const [gateway] = deployment.members as [Member];
        const [url] = deployment.gatewayUrls as [string];
        const room = load.roomIds[0] as string;
        const crowd = await Crowd.open({ gatewayUrls: [url], roomIds: [room], readers: fastReaders });
        const slow = Array.from({ length: slowReaders }, () => new WindowReader(url, room));
        const talk = talkAt(run, room, slowRoomRate);
        try {
          await waitFor("those who will be slow are there", () => slow.every(({ received }) => received > 0));
          // What begins is no measure: the first seconds warm everything up.
          await Bun.sleep(calmMs / 2);
          crowd.takeLatencies();
          await Bun.sleep(calmMs);
          p99.push(part(crowd.takeLatencies(), 0.99));
          before = residentBytes(gateway.pid as number);
          forgetPeak(gateway.pid as number);
          await run.strike(
            {
              name: "slow-readers",
              about: "",
              kind: "gateway",
              async inject() {
                const startMs = performance.now();
                const waiting: number[] = [];
                for (const reader of slow) {
                  reader.slowDown(slowBytesPerSecond);
                }
                const others = (await gauge(url, "chat_streams")) - slowReaders;
                await waitFor(
                  "every slow reader is cut",
                  async () => {
                    waiting.push(await gauge(url, "chat_waiting_bytes"));
                    if (waiting.length === calmSamples) {
                      waitingMost = Math.max(waitingMost, Math.min(...waiting.splice(0)));
                    }
                    const left = (await gauge(url, "chat_streams")) - others;
                    while (cutMs.length < slowReaders - left) {
                      cutMs.push(performance.now() - startMs);
                    }
                    await Bun.sleep(100);
                    return left <= 0;
                  },
                  60_000,
                );
                p99.push(part(crowd.takeLatencies(), 0.99));
                peak = peakBytes(gateway.pid as number);
              },
            },
            gateway,
          );
          for (const reader of slow) {
            reader.goOn();
          }
          await waitFor("every slow reader has its end", () => slow.every(({ endedAtMs }) => endedAtMs));
          told = slow.filter(({ last }) => last.includes("SLOW_READER")).length;
          crowd.takeLatencies();
          await Bun.sleep(calmMs);
          p99.push(part(crowd.takeLatencies(), 0.99));
        } finally {
          await talk.stop();
          crowd.stop();
          for (const reader of slow) {
            reader.stop();
          }
        }
        if (crowd.gaps > 0) {
          throw new Error(`readers who were not slow were told of ${crowd.gaps} gaps`);
        }
      },
    });
    cutMs = cutMs.slice(0, slowReaders);
    const [calm = 0, during = 0, after = 0] = p99;
    const times = during / ((calm + after) / 2);
    const perReader = (peak - before) / slowReaders;
    if (told !== slowReaders || waitingMost > waitingTimesMax * slowReaders * queueBytesMax || times > othersTimesMax) {
      throw new Error(`${told} were told why, ${waitingMost} bytes waited, others' p99 ${p99} (${times} times)`);
    }
    return [
      ...verdictFigures(result),
      [
        "resident memory a slow reader",
        `${Math.round(perReader / 1_024)} KB (${megabytes(before)} before, at most ${megabytes(peak)})`,
      ],
      ["bytes that waited for a slow reader, at most", `${Math.round(waitingMost / slowReaders / 1_024)} KB`],
      ["from slow to cut", `p50 ${milliseconds(part(cutMs, 0.5))}, longest ${milliseconds(Math.max(...cutMs))}`],
      ["told SLOW_READER", `${told} of ${slowReaders}`],
      [
        "others' p99 before, meanwhile, after",
        `${[calm, during, after].map(milliseconds).join(", ")}: ${times.toFixed(2)} times`,
      ],
    ];
  },
};

const stormReaders = 5_000;
const stormRooms = 4;

interface Storm {
  backMs: number[];
  peak: number;
  before: number;
  redisReads: number;
  historyReads: number;
}

export const reconnectStorm: FaultRow = {
  name: "reconnect-storm",
  fault: `A gateway with ${stormReaders.toLocaleString("en-US")} readers (100 on a connection) is killed and all go to another one; once with the client's jitter, once without`,
  holds:
    "all are back, and miss nothing; what they missed is in the gateway's memory or in Redis, Cassandra is not asked",
  async run(context) {
    let proxy: CqlProxy | undefined;
    const storms: Storm[] = [];
    const result = await runPlanned(context, {
      load: { rooms: stormRooms, readersPerRoom: 3, people: 4, messagesPerSecond: 5 },
      deployment: {
        gateways: 2,
        async cassandraBehind(port) {
          proxy = await CqlProxy.start(port);
          return proxy;
        },
      },
      async plan(run) {
        storms.push(await storm(run, proxy as CqlProxy, undefined));
        await run.load.allLive();
        storms.push(await storm(run, proxy as CqlProxy, () => 0.999));
      },
    });
    const reads = storms.reduce((sum, { historyReads }) => sum + historyReads, 0);
    if (reads > 0) {
      throw new Error(`Cassandra was asked for history ${reads} times`);
    }
    return [
      ...verdictFigures(result),
      ...storms.flatMap(({ backMs, peak, before, redisReads, historyReads }, at) => {
        const jitter = at === 0 ? "with jitter" : "without";
        return [
          [
            `from the kill to live, ${jitter}`,
            `p50 ${milliseconds(part(backMs, 0.5))}, 99 % ${milliseconds(part(backMs, 0.99))}, all ${milliseconds(Math.max(...backMs))}`,
          ],
          [
            `resident memory of the other gateway, ${jitter}`,
            `${megabytes(before)} before, at most ${megabytes(peak)}`,
          ],
          [`reads of logs in Redis, of history in Cassandra, ${jitter}`, `${redisReads}, ${historyReads}`],
        ] as const;
      }),
    ];
  },
};

async function storm(run: PlannedRun, cql: CqlProxy, random: (() => number) | undefined): Promise<Storm> {
  const { deployment, load } = run;
  const redis = redisOf(deployment);
  const [dying, other] = deployment.members as [Member, Member];
  const { gatewayUrls } = deployment;
  const crowd = await Crowd.open({
    gatewayUrls,
    roomIds: load.roomIds,
    readers: stormReaders,
    ...(random && { random }),
  });
  try {
    await Bun.sleep(2_000);
    const before = residentBytes(other.pid as number);
    forgetPeak(other.pid as number);
    const reads = { redis: await rangeCalls(redis), history: cql.count("SELECT epoch, seq") };
    let measured: Storm | undefined;
    await run.strike(
      {
        name: "reconnect-storm",
        about: "",
        kind: "gateway",
        async inject() {
          const killedMs = performance.now();
          await dying.end("SIGKILL");
          await waitFor(
            "the whole crowd is live again",
            () => crowd.live === stormReaders && crowd.liveAfter(killedMs).length === stormReaders,
            60_000,
          );
          measured = {
            backMs: crowd.liveAfter(killedMs),
            peak: peakBytes(other.pid as number),
            before,
            redisReads: (await rangeCalls(redis)) - reads.redis,
            historyReads: cql.count("SELECT epoch, seq") - reads.history,
          };
          await dying.start();
        },
      },
      dying,
    );
    await waitFor("the crowd has everything", () => crowd.cursors <= stormRooms, 20_000);
    if (crowd.gaps > 0) {
      throw new Error(`readers were told of ${crowd.gaps} gaps`);
    }
    return measured as Storm;
  } finally {
    crowd.stop();
  }
}

/** XRANGE and XREVRANGE so far, of everybody: those of scripts, too. */
async function rangeCalls(redis: Member): Promise<number> {
  const stats = String(await redis.command?.("INFO", "commandstats"));
  return [...stats.matchAll(/^cmdstat_(?:xrange|xrevrange):calls=(\d+)/gm)].reduce((sum, [, n]) => sum + Number(n), 0);
}

/** Long messages at a rate, recorded like all others. */
function talkAt({ deployment, history }: PlannedRun, room: string, perSecond: number): { stop(): Promise<void> } {
  const author = { userId: "talker", name: "talker", avatar: "📣" };
  const sender = new RecordedSender({ n: 0, author, baseUrls: deployment.gatewayUrls.slice(1), history });
  const underWay = new Set<Promise<unknown>>();
  let sent = 0;
  const timer = setInterval(() => {
    const id = `talk-${sent++}`;
    const sending = sender.send(room, id, `${id} ${longText}`.trimEnd()).finally(() => underWay.delete(sending));
    underWay.add(sending);
  }, 1_000 / perSecond);
  return {
    async stop() {
      clearInterval(timer);
      await Promise.all(underWay);
    },
  };
}

async function gauge(gatewayUrl: string, name: string): Promise<number> {
  const text = await (await fetch(`${gatewayUrl}/metrics`)).text();
  return Number(new RegExp(`^${name} (\\S+)$`, "m").exec(text)?.[1] ?? Number.NaN);
}
