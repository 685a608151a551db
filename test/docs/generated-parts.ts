/**
 * The parts of the pages that the code knows better than a writer: docs/settings.md from the tables of settings, the
 * figures in the READMEs from the last run of the benchmarks, and the fault table in docs/guarantees.md from the last run of
 * each of its rows. `bun run generate` writes them; a test fails where they are stale.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { cheaperThanOurs, type PeersReport, type PeersTexts, peersTable } from "../../bench/peers/peers-report.ts";
import { SettingsTable } from "../../lib/settings.ts";
import { gatewaySettings } from "../../server/settings.ts";
import { storageSettings } from "../../storage/settings.ts";
import { deadLettersSettings } from "../../worker/dead-letters.ts";
import { madeUpWorkerName, workerSettings } from "../../worker/settings.ts";
import { tablePagePath, withFaultTable } from "../faults/table/table-page.ts";
import { root, row } from "./markdown.ts";

export const settingsPagePath = join(root, "docs/settings.md");

interface Setting {
  flag: string;
  variable: string;
  values: string;
  usual: string;
  about: string;
}

/** The settings of a program as `--help` prints them. */
export function settings(help = gatewaySettings.help()): Setting[] {
  const form = /^ {2}--(\S+) <([^>]+)> {2}\((\S+), default (.*)\)\n {6}(.+)$/gm;
  return [...help.matchAll(form)].map(([, flag, values, variable, usual, about]) => ({
    flag: flag ?? "",
    variable: variable ?? "",
    values: values ?? "",
    usual: usual ?? "",
    about: about ?? "",
  }));
}

export function settingsPage(): string {
  const shared = settings(new SettingsTable("", storageSettings, () => []).help());
  const own = (help: string) => settings(help).filter(({ flag }) => !shared.some((each) => each.flag === flag));
  return `<!-- Written by \`bun run generate\` from the programs' own tables. Do not edit. -->
# Settings

Each is a flag or a variable of the environment; the flag wins. What is wrong is refused at start, all of it at once. \`--help\` of
each program prints its own. Times are in milliseconds.

## The gateway

Of \`bun start\` and \`bun server/main.ts\`, beside those of the storage.

${tableOf(own(gatewaySettings.help()))}

## The worker

Of \`bun run worker\`, beside those of the storage. With embedded storage there is none: the gateway does its work.

${tableOf(own(workerSettings.help()))}

## The dead letters

Of \`bun run dead-letters list\` and \`redrive\`, beside those of the storage.

${tableOf(own(deadLettersSettings.help()))}

## The storage

Of all three alike: what works together must have the same.

${tableOf(shared)}
`;
}

function tableOf(rows: readonly Setting[]): string {
  return [
    row(["Flag", "Variable", "Values", "Default", "What it does"]),
    row(["---", "---", "---", "---", "---"]),
    ...rows.map(({ flag, variable, values, usual, about }) =>
      row([`\`--${flag}\``, `\`${variable}\``, values.replaceAll("|", "\\|"), shownDefault(usual), about]),
    ),
  ].join("\n");
}

function shownDefault(usual: string): string {
  // This differs in each process, and the page must not.
  return usual === "none" ? "" : `\`${usual === madeUpWorkerName ? "<host name>-<process id>" : usual}\``;
}

/** The part of bench/results/fan-out.json that is shown. */
interface FanOutReport {
  measuredAt: string;
  bun: string;
  cores: number;
  readers: number;
  ratePerSecond: number;
  messageBytes: number;
  rounds: number;
  sendUs: number;
  results: { way: string; deliveryUs: number; timesFloor: number }[];
}

/** The part of bench/results/processes.json that is shown. */
interface ProcessesReport {
  measuredAt: string;
  bun: string;
  cores: number;
  readers: number;
  ratePerSecond: number;
  floodMessages: number;
  rounds: number;
  results: { processes: number; deliveryUs: number; busiestShare: number; deliveriesPerSecond: number }[];
}

/** What a README says around the figures, in its language. */
interface FiguresTexts {
  /** Head of the table: the way, µs of a delivery, as a multiple of the floor. */
  columns: readonly [string, string, string];
  /** Each way of bench/fan-out in words. */
  ways: Readonly<Record<string, string>>;
  under(report: FanOutReport): string;
  /** The table of the comparison with other servers. */
  peers: PeersTexts & { under(conditions: PeersConditions): string };
  /** The table of several processes on one port. */
  processes: { columns: readonly [string, string, string, string]; under(report: ProcessesReport): string };
}

/** What is said under the comparison's table. */
interface PeersConditions {
  rounds: number;
  messageBytes: number;
  cores: number;
  bun: string;
  /** Days of the first and the last scenario, or the one. */
  days: string;
  /** Who is cheaper than the gateway, by load, as the table calls them. */
  cheaper: readonly { readers: number; rate: number; peers: readonly string[] }[];
}

const english: FiguresTexts = {
  columns: ["How the reader is connected", "µs of CPU per delivery", "times the floor"],
  ways: {
    floor: "the floor: a bare TCP socket, one shared buffer",
    "http1-connect": "Connect over HTTP/1.1",
    "http1-grpc-web": "gRPC-Web over HTTP/1.1",
    "http2-1": "gRPC, one stream a connection",
    "http2-50": "gRPC, 50 streams a connection",
  },
  under: ({ readers, ratePerSecond, messageBytes, rounds, cores, bun, measuredAt, sendUs }) =>
    `${readers} readers, ${ratePerSecond} messages a second of ${messageBytes} bytes, each written by itself; medians of ${rounds} rounds on ${cores} cores with
Bun ${bun}, ${measuredAt.slice(0, 10)}. From the room's log to the sockets; what a message costs on its way in, from SendMessage over gRPC until
it is stored and its words are counted, is apart: ${Math.round(sendUs)} µs at this rate.`,
  peers: {
    peer: "Server",
    load: (readers, rate) => `${thousands(readers)} readers, ${thousands(rate)}/s`,
    idle: (readers) => `kB a reader, ${thousands(readers)} idle`,
    peers: {
      floor: "the floor: a bare TCP socket, one shared buffer",
      "gateway-connect": "**this gateway**, Connect over HTTP/1.1",
      "gateway-grpc": "**this gateway**, gRPC",
      "gateway-grpc-50": "**this gateway**, gRPC, 50 streams a connection",
      "bun-websocket": "Bun's WebSocket, `publish`",
      "grpc-go": "grpc-go",
      "grpc-go-50": "grpc-go, 50 streams a connection",
      "connect-go": "connect-go, HTTP/1.1",
      centrifugo: "Centrifugo, WebSocket, JSON",
      ws: "`ws` on Node",
      "socket-io": "Socket.IO on Node, WebSocket",
    },
    under: ({ rounds, messageBytes, cores, bun, days, cheaper }) =>
      `Each cell: µs of the server's CPU per delivery · p50 / p99 / p99.9 of the latency in ms, from when a message was due. Messages of ${messageBytes} bytes, one
room, every delivery checked; medians of ${rounds} rounds, server, readers and publisher on the same ${cores} cores, Bun ${bun}, ${days}. Latencies in seconds mean that the
server could not keep the rate here. None of them has a log or a database: the gateway is measured from the room's log on,
and gathers for up to 20 ms where a room is hot, which its latency shows. Cheaper per delivery than the gateway with one reader a connection: ${list(
        cheaper.map(
          ({ readers, rate, peers }) => `${peers.join(", ") || "none"} (${thousands(readers)}, ${thousands(rate)}/s)`,
        ),
      )}.`,
  },
  processes: {
    columns: [
      "Gateway processes",
      "µs of CPU per delivery, all together",
      "of it the busiest process",
      "deliveries a second, at most",
    ],
    under: ({ readers, ratePerSecond, floodMessages, rounds, cores, bun, measuredAt }) =>
      `${readers} readers over HTTP/1.1, through Redis: ${ratePerSecond} messages a second for the first two figures, then ${thousands(floodMessages)} as fast as they go for the last. Medians of
${rounds} rounds, Bun ${bun}, ${measuredAt.slice(0, 10)}. Readers, Redis and the one who sends were on the same ${cores} cores, so the last figure is of the machine, not of the gateways.`,
  },
};

function thousands(value: number): string {
  return value.toLocaleString("en-US");
}

function list(parts: readonly string[]): string {
  return parts.join("; ");
}

const korean: FiguresTexts = {
  columns: ["접속 방식", "전달 1건당 CPU (µs)", "기준선 대비 (배)"],
  ways: {
    floor: "기준선: TCP 소켓에 같은 버퍼를 그대로 쓰기",
    "http1-connect": "Connect, HTTP/1.1",
    "http1-grpc-web": "gRPC-Web, HTTP/1.1",
    "http2-1": "gRPC, 연결마다 스트림 1개",
    "http2-50": "gRPC, 연결마다 스트림 50개",
  },
  under: ({ readers, ratePerSecond, messageBytes, rounds, cores, bun, measuredAt, sendUs }) =>
    `구독자 ${readers}명, 초당 ${ratePerSecond}건, 메시지 ${messageBytes}바이트를 한 건씩 따로 썼을 때의 값입니다. ${cores}코어, Bun ${bun}에서 ${rounds}번 잰 중앙값(${measuredAt.slice(0, 10)})입니다.
채팅방 로그에서 소켓까지의 비용입니다. 메시지가 들어올 때의 비용(gRPC SendMessage부터 저장과 단어 집계까지)은 별도이며, 이 속도에서 건당 ${Math.round(sendUs)} µs입니다.`,
  peers: {
    peer: "서버",
    load: (readers, rate) => `구독자 ${thousands(readers)}명, 초당 ${thousands(rate)}건`,
    idle: (readers) => `쉬는 구독자 ${thousands(readers)}명일 때 1명당 kB`,
    peers: {
      floor: "기준선: TCP 소켓에 같은 버퍼를 그대로 쓰기",
      "gateway-connect": "**이 게이트웨이**, Connect, HTTP/1.1",
      "gateway-grpc": "**이 게이트웨이**, gRPC",
      "gateway-grpc-50": "**이 게이트웨이**, gRPC, 연결마다 스트림 50개",
      "bun-websocket": "Bun WebSocket, `publish`",
      "grpc-go": "grpc-go",
      "grpc-go-50": "grpc-go, 연결마다 스트림 50개",
      "connect-go": "connect-go, HTTP/1.1",
      centrifugo: "Centrifugo, WebSocket, JSON",
      ws: "Node의 `ws`",
      "socket-io": "Node의 Socket.IO, WebSocket",
    },
    under: ({ rounds, messageBytes, cores, bun, days, cheaper }) =>
      `각 칸은 전달 1건당 서버 CPU(µs) · 지연 시간의 p50 / p99 / p99.9(ms)입니다. 지연 시간은 보내기로 한 시각부터 잽니다. 메시지는 ${messageBytes}바이트, 방은 하나이고 모든 전달을
확인했습니다. ${rounds}번 잰 중앙값이며 서버, 구독자, 발행자가 같은 ${cores}코어를 나눠 썼습니다(Bun ${bun}, ${days}). 지연 시간이 초 단위라면 그 서버가 이 속도를 따라가지 못했다는
뜻입니다. 어느 쪽에도 로그나 데이터베이스가 없으며, 게이트웨이는 채팅방 로그 다음부터 쟀습니다. 게이트웨이는 붐비는 방에서
최대 20 ms까지 메시지를 모아 보내며, 그만큼이 지연 시간에 들어 있습니다. 연결마다 구독자가 한 명일 때 게이트웨이보다
적게 든 서버: ${list(
        cheaper.map(
          ({ readers, rate, peers }) =>
            `${peers.join(", ") || "없음"} (${thousands(readers)}명, 초당 ${thousands(rate)}건)`,
        ),
      )}.`,
  },
  processes: {
    columns: [
      "게이트웨이 프로세스 수",
      "전달 1건당 CPU (µs), 전체 합",
      "그중 가장 바쁜 프로세스의 몫",
      "초당 최대 전달 수",
    ],
    under: ({ readers, ratePerSecond, floodMessages, rounds, cores, bun, measuredAt }) =>
      `HTTP/1.1 구독자 ${readers}명, Redis를 거친 값입니다. 앞의 두 값은 초당 ${ratePerSecond}건일 때, 마지막 값은 ${thousands(floodMessages)}건을 낼 수 있는 가장 빠른 속도로 보냈을 때입니다.
${rounds}번 잰 중앙값입니다(Bun ${bun}, ${measuredAt.slice(0, 10)}). 구독자, Redis, 보내는 쪽이 같은 ${cores}코어를 나눠 썼으므로, 마지막 값은 게이트웨이가 아니라 그 기계의 한도입니다.`,
  },
};

/** The pages that show figures, from the root of the repository. */
export const pagesWithFigures: Readonly<Record<string, FiguresTexts>> = {
  "README.md": english,
  "README.ko.md": korean,
};

const resultsDir = join(root, "bench/results");
const figuresForm = /<!-- figures -->\n[\s\S]*?<!-- \/figures -->/;
const processesForm = /<!-- processes -->\n[\s\S]*?<!-- \/processes -->/;
const peersForm = /<!-- peers -->\n[\s\S]*?<!-- \/peers -->/;

/** The page with the figures of the last runs of the benchmarks; as it is, where one left out a way or was never run. */
export function withFigures(page: string, texts: FiguresTexts): string {
  const parts: [RegExp, string, string | undefined][] = [
    [figuresForm, "figures", fanOutPart(texts)],
    [peersForm, "peers", peersPart(texts.peers)],
    [processesForm, "processes", processesPart(texts.processes)],
  ];
  return parts.reduce(
    (filled, [form, name, part]) =>
      part ? filled.replace(form, () => `<!-- ${name} -->\n${part}\n<!-- /${name} -->`) : filled,
    page,
  );
}

function fanOutPart({ columns, ways, under }: FiguresTexts): string | undefined {
  const report = resultOf<FanOutReport>("fan-out.json");
  const measured = report?.results.map(({ way }) => way) ?? [];
  if (!report || Object.keys(ways).some((way) => !measured.includes(way))) {
    return undefined;
  }
  const rows = report.results.map(({ way, deliveryUs, timesFloor }) =>
    row([ways[way] ?? way, deliveryUs.toFixed(1), way === "floor" ? "1" : timesFloor.toFixed(2)]),
  );
  return `${[row(columns), row(["---", "---:", "---:"]), ...rows].join("\n")}\n\n${under(report)}`;
}

function processesPart({ columns, under }: FiguresTexts["processes"]): string | undefined {
  const report = resultOf<ProcessesReport>("processes.json");
  if (!report) {
    return undefined;
  }
  const rows = report.results.map(({ processes, deliveryUs, busiestShare, deliveriesPerSecond }) =>
    row([
      String(processes),
      deliveryUs.toFixed(1),
      `${(100 * busiestShare).toFixed(0)} %`,
      // Two digits are as much as such a figure is worth.
      thousands(Number(deliveriesPerSecond.toPrecision(2))),
    ]),
  );
  return `${[row(columns), row(["---:", "---:", "---:", "---:"]), ...rows].join("\n")}\n\n${under(report)}`;
}

function peersPart(texts: FiguresTexts["peers"]): string | undefined {
  const report = resultOf<PeersReport>("peers.json");
  const measured = Object.values(report?.scenarios ?? {});
  const [first] = measured;
  if (!report || !first) {
    return undefined;
  }
  const days = [...new Set(measured.map(({ measuredAt }) => measuredAt.slice(0, 10)))].sort();
  const conditions = {
    rounds: Math.min(...measured.map(({ rounds }) => rounds)),
    messageBytes: first.messageBytes,
    cores: first.cores,
    bun: first.bun,
    days: days.length > 1 ? `${days[0]} – ${days.at(-1)}` : (days[0] ?? ""),
    cheaper: cheaperThanOurs(report).map((each) => ({
      ...each,
      peers: each.peers.map((name) => texts.peers[name] ?? name),
    })),
  };
  return `${peersTable(report, texts)}\n\n${texts.under(conditions)}`;
}

function resultOf<T>(file: string): T | undefined {
  const path = join(resultsDir, file);
  return existsSync(path) ? (JSON.parse(readFileSync(path, "utf8")) as T) : undefined;
}

if (import.meta.main) {
  writeFileSync(settingsPagePath, settingsPage());
  for (const [path, texts] of Object.entries(pagesWithFigures)) {
    const page = readFileSync(join(root, path), "utf8");
    writeFileSync(join(root, path), withFigures(page, texts));
  }
  const page = readFileSync(join(root, tablePagePath), "utf8");
  writeFileSync(join(root, tablePagePath), withFaultTable(page));
}
