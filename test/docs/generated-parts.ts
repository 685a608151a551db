/**
 * The parts of the pages that the code knows better than a writer: docs/settings.md from the tables of settings, the
 * figures in the READMEs from the last run of the benchmark, and the fault table in docs/guarantees.md from the last run of
 * each of its rows. `bun run generate` writes them; a test fails where they are stale.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { SettingsTable } from "../../lib/settings.ts";
import { gatewaySettings } from "../../server/settings.ts";
import { storageSettings } from "../../storage/settings.ts";
import { deadLettersSettings } from "../../worker/dead-letters.ts";
import { workerSettings } from "../../worker/settings.ts";
import { tablePagePath, withFaultTable } from "../faults/table/table-page.ts";
import { root } from "./markdown.ts";

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
  const madeUpName = `${hostname()}-${process.pid}`;
  return usual === "none" ? "" : `\`${usual === madeUpName ? "<host name>-<process id>" : usual}\``;
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

/** What a README says around the figures, in its language. */
interface FiguresTexts {
  /** Head of the table: the way, µs of a delivery, as a multiple of the floor. */
  columns: readonly [string, string, string];
  /** Each way of bench/fan-out in words. */
  ways: Readonly<Record<string, string>>;
  under(report: FanOutReport): string;
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
};

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
};

/** The pages that show figures, from the root of the repository. */
export const pagesWithFigures: Readonly<Record<string, FiguresTexts>> = {
  "README.md": english,
  "README.ko.md": korean,
};

const reportPath = join(root, "bench/results/fan-out.json");
const figuresForm = /<!-- figures -->\n[\s\S]*?<!-- \/figures -->/;

/** The page with the figures of the last run of the benchmark; as it is, where that left out a way. */
export function withFigures(page: string, { columns, ways, under }: FiguresTexts): string {
  if (!existsSync(reportPath)) {
    return page;
  }
  const report = JSON.parse(readFileSync(reportPath, "utf8")) as FanOutReport;
  const measured = report.results.map(({ way }) => way);
  if (Object.keys(ways).some((way) => !measured.includes(way))) {
    return page;
  }
  const rows = report.results.map(({ way, deliveryUs, timesFloor }) =>
    row([ways[way] ?? way, deliveryUs.toFixed(1), way === "floor" ? "1" : timesFloor.toFixed(2)]),
  );
  const table = [row(columns), row(["---", "---:", "---:"]), ...rows].join("\n");
  return page.replace(figuresForm, () => `<!-- figures -->\n${table}\n\n${under(report)}\n<!-- /figures -->`);
}

function row(cells: readonly string[]): string {
  return `| ${cells.join(" | ")} |`;
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
