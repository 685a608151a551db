/**
 * What docs/experiments shows of the results in bench/results: tables, figures in sentences, the chart. `bun run generate`
 * writes them; a test fails where they are stale.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { BufferReport, Step } from "../../bench/buffer/report.ts";
import { type Chart, chartSvg } from "../../bench/measuring/line-chart.ts";
import type { Machine } from "../../bench/measuring/result-file.ts";
import { root, row } from "./markdown.ts";

/** A file of docs/experiments with the parts that are made, from its present text. */
export interface MadePage {
  path: string;
  make(present: string): string;
}

export const madePages: readonly MadePage[] = [
  { path: "docs/experiments/buffered-or-direct.md", make: bufferPage },
  { path: "docs/experiments/buffered-or-direct.svg", make: () => bufferChart() },
  { path: "docs/experiments/send-and-store.md", make: sendAndStorePage },
];

function result<Report>(name: string): Report {
  return JSON.parse(readFileSync(join(root, `bench/results/${name}.json`), "utf8"));
}

/** The page with what stands between `<!-- name -->` and `<!-- /name -->` replaced. */
function withPart(page: string, name: string, text: string): string {
  const form = new RegExp(`<!-- ${name} -->\n[\\s\\S]*?<!-- /${name} -->`);
  if (!form.test(page)) {
    throw new Error(`the page has no place for ${name}`);
  }
  return page.replace(form, () => `<!-- ${name} -->\n${text}\n<!-- /${name} -->`);
}

function tableOf(columns: readonly string[], rows: readonly string[][]): string {
  const rule = columns.map((_, at) => (at === 0 ? "---" : "---:"));
  return [columns, rule, ...rows].map(row).join("\n");
}

function machineLine({ measuredAt, cores, cpu, bun, loadBefore }: Machine): string {
  return `${cores} cores (${cpu ?? "unknown"}), Bun ${bun}, ${measuredAt.slice(0, 10)}; load in the minute before: ${loadBefore}.`;
}

const whole = (value: number) => Math.round(value).toLocaleString("en");
const percent = (part: number, of: number) => ((part * 100) / of).toFixed(1);

// Buffered or direct

const ways = ["direct", "buffered"] as const;

function bufferPage(present: string): string {
  const report = result<BufferReport>("buffer");
  const { steps, heapMegabytes, inFlightMax, cassandraCores, rooms } = report;
  const settings = [
    `Machine: ${machineLine(report)}`,
    `One Cassandra node with ${heapMegabytes} MB of heap, on core ${cassandraCores} alone; Redis with \`appendonly yes\`, \`appendfsync everysec\`;`,
    `${rooms} rooms; at most ${whole(inFlightMax)} messages without an answer, the next is refused.`,
    ...disturbed(steps),
  ].join("\n");
  const parts = {
    settings,
    figures: figures(steps, english),
    수치: figures(steps, korean),
    rates: ratesTable(steps.filter(({ commitlogSync, stallSeconds }) => commitlogSync === "periodic" && !stallSeconds)),
    fsync: ratesTable(steps.filter(({ commitlogSync }) => commitlogSync === "batch")),
    stalls: stallsTable(steps.filter(({ stallSeconds }) => stallSeconds > 0)),
  };
  return Object.entries(parts).reduce((page, [name, text]) => withPart(page, name, text), present);
}

/** Cores that other work may use before a step is no measure of rates. */
const othersCoresMax = 0.2;

/** What to say where the machine was not quiet. */
function disturbed(steps: readonly Step[]): string[] {
  const count = steps.filter(({ busy }) => busy.others > othersCoresMax).length;
  return count === 0
    ? []
    : [
        "",
        `**In ${count} of ${steps.length} steps other work on the machine used more than ${othersCoresMax} cores (the last column).** At which rate a way ends says little
there; which of the two does better at the same rate, and what happens while Cassandra stands still, says more.`,
      ];
}

const stepColumns = [
  "way",
  "accepted, %",
  "stored, %",
  "answer p50, ms",
  "answer p99, ms",
  "stored p99, ms",
  "most in the log",
  "catch-up, s",
];

function stepCells(step: Step): string[] {
  const { arrived, accepted, stored } = step;
  const ms = (value: number | null) => (value === null ? "–" : whole(value));
  return [
    step.way,
    percent(accepted, arrived),
    percent(stored, arrived),
    ms(step.p50Ms),
    ms(step.p99Ms),
    ms(step.storedP99Ms),
    step.way === "direct" ? "–" : whole(step.backlogMost),
    step.way === "direct" ? "–" : step.catchUpSeconds.toFixed(1),
  ];
}

function ratesTable(steps: readonly Step[]): string {
  const cores = ({ busy }: Step) =>
    [busy.cassandra, busy.arrivals, busy.redis + busy.worker, busy.others].map((each) => each.toFixed(2)).join(" + ");
  return tableOf(
    [
      "messages/s",
      ...stepColumns,
      "CPU a row, µs",
      "late p99, ms",
      "cores: Cassandra + arrivals + Redis and worker + other work on the machine",
    ],
    steps.map((step) => [
      whole(step.ratePerSecond),
      ...stepCells(step),
      step.cpuUs === null ? "–" : whole(step.cpuUs),
      whole(step.lateP99Ms),
      cores(step),
    ]),
  );
}

function stallsTable(steps: readonly Step[]): string {
  const failures = ({ failed }: Step) =>
    Object.entries(failed)
      .sort(([, a], [, b]) => b - a)
      .map(([what, count]) => `${whole(count)} ${what}`)
      .join(", ");
  return tableOf(
    ["stands still, s", ...stepColumns, "errors"],
    steps.map((step) => [String(step.stallSeconds), ...stepCells(step), failures(step) || "none"]),
  );
}

/** What sentences of an answer need. */
interface Facts {
  /** The greatest rate at which all was accepted and was stored within this time, p99. */
  keepsUp(way: Step["way"], commitlogSync: Step["commitlogSync"]): number | undefined;
  ratesMost: number;
  timeouts: number;
  stalls: { seconds: number; ratePerSecond: number; direct: Step; buffered: Step }[];
}

/** Who was told that their message is taken may wait so long until it is stored; what takes longer is not keeping up. */
const keepsUpStoredMs = 2_000;
const acceptedShareMin = 0.999;

function figures(steps: readonly Step[], say: (facts: Facts) => string[]): string {
  const keepsUp: Facts["keepsUp"] = (way, commitlogSync) => {
    const all = steps.filter((step) => step.way === way && step.commitlogSync === commitlogSync && !step.stallSeconds);
    const firstBad = all.findIndex(
      ({ accepted, arrived, storedP99Ms }) =>
        accepted < arrived * acceptedShareMin || (storedP99Ms ?? Number.POSITIVE_INFINITY) > keepsUpStoredMs,
    );
    return all.at(firstBad < 0 ? all.length - 1 : firstBad - 1 < 0 ? all.length : firstBad - 1)?.ratePerSecond;
  };
  const seconds = [...new Set(steps.map(({ stallSeconds }) => stallSeconds))].filter((each) => each > 0);
  const stalls = seconds.flatMap((each) => {
    const [direct, buffered] = ways.map((way) => steps.find((step) => step.way === way && step.stallSeconds === each));
    return direct && buffered ? [{ seconds: each, ratePerSecond: direct.ratePerSecond, direct, buffered }] : [];
  });
  const facts = {
    keepsUp,
    ratesMost: Math.max(...steps.map(({ ratePerSecond }) => ratePerSecond)),
    timeouts: steps.reduce((sum, { failed }) => sum + (failed["Cassandra: write timeout"] ?? 0), 0),
    stalls,
  };
  return say(facts)
    .map((line) => `- ${line}`)
    .join("\n");
}

function english({ keepsUp, ratesMost, timeouts, stalls }: Facts): string[] {
  const rate = (value: number | undefined) => (value === undefined ? "none of the rates" : `${whole(value)}/s`);
  return [
    `Cassandra's default settings: directly it keeps up to ${rate(keepsUp("direct", "periodic"))}, through the buffer to ${rate(keepsUp("buffered", "periodic"))}.`,
    `A write is answered when it is on disk: directly to ${rate(keepsUp("direct", "batch"))}, through the buffer to ${rate(keepsUp("buffered", "batch"))}.`,
    `Cassandra's own write timeout (2 s) was met ${whole(timeouts)} times, at up to ${whole(ratesMost)}/s.`,
    ...stalls.map(
      ({ seconds, ratePerSecond, direct, buffered }) =>
        `Cassandra stands still for ${seconds} s at ${whole(ratePerSecond)}/s: directly ${percent(direct.accepted, direct.arrived)} % are accepted (p99 until an answer or an error: ${whole(direct.p99Ms ?? 0)} ms) and ${percent(direct.stored - direct.accepted, direct.arrived)} % are stored although their sender was told of an error; through the buffer ${percent(buffered.accepted, buffered.arrived)} %, p99 ${whole(buffered.p99Ms ?? 0)} ms, all stored ${buffered.catchUpSeconds.toFixed(1)} s after the last.`,
    ),
  ];
}

function korean({ keepsUp, ratesMost, timeouts, stalls }: Facts): string[] {
  const rate = (value: number | undefined) =>
    value === undefined ? "시험한 속도 모두 감당하지 못했고" : `초당 ${whole(value)}건까지 감당했고`;
  const lastRate = (value: number | undefined) =>
    value === undefined ? "시험한 속도 모두 감당하지 못했습니다" : `초당 ${whole(value)}건까지 감당했습니다`;
  return [
    `Cassandra 기본 설정: 바로 쓰면 ${rate(keepsUp("direct", "periodic"))}, 버퍼를 거치면 ${lastRate(keepsUp("buffered", "periodic"))}.`,
    `디스크에 쓴 뒤에 답하는 설정: 바로 쓰면 ${rate(keepsUp("direct", "batch"))}, 버퍼를 거치면 ${lastRate(keepsUp("buffered", "batch"))}.`,
    `Cassandra 자체의 쓰기 타임아웃(2초)은 초당 ${whole(ratesMost)}건까지 ${whole(timeouts)}번 나왔습니다.`,
    ...stalls.map(
      ({ seconds, ratePerSecond, direct, buffered }) =>
        `초당 ${whole(ratePerSecond)}건에서 Cassandra가 ${seconds}초 멈추면: 바로 쓸 때는 ${percent(direct.accepted, direct.arrived)} %가 접수되고(응답이나 오류를 받기까지 p99 ${whole(direct.p99Ms ?? 0)} ms), ${percent(direct.stored - direct.accepted, direct.arrived)} %는 보낸 사람에게 오류로 답했는데도 저장됩니다. 버퍼를 거치면 ${percent(buffered.accepted, buffered.arrived)} %가 접수되고 p99는 ${whole(buffered.p99Ms ?? 0)} ms이며, 마지막 메시지로부터 ${buffered.catchUpSeconds.toFixed(1)}초 뒤에 모두 저장됩니다.`,
    ),
  ];
}

function bufferChart(): string {
  const { steps } = result<BufferReport>("buffer");
  const columns = [
    {
      title: "Rising rates, Cassandra's defaults",
      xTitle: "messages a second",
      steps: steps.filter(({ commitlogSync, stallSeconds }) => commitlogSync === "periodic" && !stallSeconds),
      labelOf: ({ ratePerSecond }: Step) => `${ratePerSecond / 1_000}k`,
    },
    {
      title: "Rising rates, answered from disk",
      xTitle: "messages a second",
      steps: steps.filter(({ commitlogSync }) => commitlogSync === "batch"),
      labelOf: ({ ratePerSecond }: Step) => `${ratePerSecond / 1_000}k`,
    },
    {
      title: `Cassandra stands still, ${whole(steps.find(({ stallSeconds }) => stallSeconds)?.ratePerSecond ?? 0)}/s`,
      xTitle: "for so many seconds",
      steps: steps.filter(({ stallSeconds }) => stallSeconds > 0),
      labelOf: ({ stallSeconds }: Step) => String(stallSeconds),
    },
  ];
  const valueIn = (step: Step, rowIndex: number, untilStored: boolean) => {
    if (rowIndex === 0) {
      return untilStored ? null : (step.accepted * 100) / step.arrived;
    }
    return untilStored ? step.storedP99Ms : step.p99Ms;
  };
  const chart: Chart = {
    title: "Messages into Cassandra: directly, or through the log in Redis",
    description: "The tables of the page have the same figures.",
    series: [
      { name: "direct: until the sender's answer", colour: 1 },
      { name: "buffered: the same", colour: 2 },
      { name: "buffered: until stored", colour: 2, dashed: true },
    ],
    columns: columns.map(({ title, xTitle, steps: of, labelOf }) => ({
      title,
      xTitle,
      xLabels: of.filter(({ way }) => way === "direct").map(labelOf),
    })),
    rows: [
      { yTitle: "accepted, % of the messages", scale: "linear", yTicks: [0, 25, 50, 75, 100] },
      { yTitle: "p99, ms", scale: "log", yTicks: [1, 10, 100, 1_000, 10_000, 100_000] },
    ],
    values: (rowIndex, column, series) =>
      (columns[column]?.steps ?? [])
        .filter(({ way }) => way === (series === 0 ? "direct" : "buffered"))
        .map((step) => valueIn(step, rowIndex, series === 2)),
  };
  return chartSvg(chart);
}

// What a send and a row cost

interface SendReport extends Machine {
  rounds: number;
  seconds: number;
  results: {
    way: string;
    inFlight: number;
    sendsPerSecond: number;
    serverUs: number;
    redisUs: number;
    timesFloor: number;
    p50Ms: number;
    p99Ms: number;
    serverBusy: number;
    sendersBusy: number;
  }[];
}

interface StoreReport extends Machine {
  rows: number;
  rooms: number;
  rounds: number;
  heapMegabytes: number;
  results: {
    way: string;
    rowsPerSecond: number;
    writersUs: number;
    cassandraUs: number;
    redisUs: number;
    timesFloor: number;
  }[];
}

const sendWays: Readonly<Record<string, string>> = {
  script: "the floor: the bare script, sent by the `redis` package",
  "redis-log": "the room log on Redis",
  "embedded-log": "the embedded room log",
  grpc: "a gateway on Redis, gRPC",
  connect: "a gateway on Redis, Connect over HTTP/1.1",
  "grpc-embedded": "a gateway with embedded storage, gRPC",
};

const storeWays: Readonly<Record<string, string>> = {
  batches: "the floor: cassandra-driver alone, batches of 50 rows",
  singles: "cassandra-driver alone, row by row",
  persist: "a worker that only stores",
  "workers-1": "one worker",
  "workers-2": "two workers",
};

function sendAndStorePage(present: string): string {
  const send = result<SendReport>("send");
  const store = result<StoreReport>("store");
  const sendTable = tableOf(
    [
      "way",
      "in flight",
      "sends/s",
      "µs of the process",
      "µs of Redis",
      "times the floor",
      "p50, ms",
      "p99, ms",
      "busy",
      "senders busy",
    ],
    send.results.map((each) => [
      sendWays[each.way] ?? each.way,
      String(each.inFlight),
      whole(each.sendsPerSecond),
      whole(each.serverUs),
      whole(each.redisUs),
      each.timesFloor.toFixed(1),
      each.p50Ms.toFixed(1),
      each.p99Ms.toFixed(1),
      each.serverBusy.toFixed(2),
      each.sendersBusy.toFixed(2),
    ]),
  );
  const storeTable = tableOf(
    ["way", "rows/s", "µs of the worker or driver", "µs of Cassandra", "µs of Redis", "times the floor"],
    store.results.map((each) => [
      storeWays[each.way] ?? each.way,
      whole(each.rowsPerSecond),
      each.writersUs.toFixed(0),
      each.cassandraUs.toFixed(0),
      each.redisUs.toFixed(0),
      each.timesFloor.toFixed(1),
    ]),
  );
  const sendText = `Medians of ${send.rounds} rounds of ${send.seconds} s. ${machineLine(send)}`;
  const storeText = `${whole(store.rows)} rows of ${store.rooms} rooms, medians of ${store.rounds} rounds; Cassandra with ${store.heapMegabytes} MB of heap and its default settings. ${machineLine(store)}`;
  return withPart(withPart(present, "send", `${sendTable}\n\n${sendText}`), "store", `${storeTable}\n\n${storeText}`);
}

if (import.meta.main) {
  for (const { path, make } of madePages) {
    const full = join(root, path);
    writeFileSync(full, make(readFileSync(full, "utf8")));
  }
}
