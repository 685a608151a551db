/** What bench/results/peers.json holds, and the table that is made of it. */

/** The loads; a rate of 0: idle. */
export const scenarios = [
  { name: "500x100", readers: 500, rate: 100 },
  { name: "200x1000", readers: 200, rate: 1_000 },
  { name: "5000x10", readers: 5_000, rate: 10 },
  { name: "idle", readers: 10_000, rate: 0 },
] as const;

interface Circumstances {
  measuredAt: string;
  bun: string;
  cores: number;
  cpu: string | undefined;
  messageBytes: number;
}

export type LoadRow =
  | { peer: string; cpuUs: number; p50Ms: number; p99Ms: number; p999Ms: number; roundsUs: number[] }
  | { peer: string; failed: string };

export type IdleRow = { peer: string; kB: number } | { peer: string; failed: string };

export interface LoadScenario extends Circumstances {
  readers: number;
  rate: number;
  rounds: number;
  seconds: number;
  rows: LoadRow[];
}

export interface PeersReport {
  scenarios: Record<string, LoadScenario>;
  idle: (Circumstances & { readers: number; rows: IdleRow[] }) | undefined;
}

/** What the table says, in a language. */
export interface PeersTexts {
  /** Each peer in words. */
  peers: Readonly<Record<string, string>>;
  peer: string;
  /** Head of the column of a load. */
  load(readers: number, rate: number): string;
  idle(readers: number): string;
}

const plain: PeersTexts = {
  peers: {},
  peer: "server",
  load: (readers, rate) => `${readers} × ${rate}/s: µs, p50/p99/p99.9 ms`,
  idle: (readers) => `${readers} idle: kB`,
};

/** A table in Markdown: a line for each server, a column for each load. */
export function peersTable({ scenarios: measured, idle }: PeersReport, texts: PeersTexts = plain): string {
  const loads = scenarios.flatMap(({ name }) => measured[name] ?? []);
  const names = [...new Set([...loads, ...(idle ? [idle] : [])].flatMap(({ rows }) => rows.map(({ peer }) => peer)))];
  const heads = [texts.peer, ...loads.map(({ readers, rate }) => texts.load(readers, rate))];
  if (idle) {
    heads.push(texts.idle(idle.readers));
  }
  const lines = names.map((name) => {
    const cells = loads.map(({ rows }) => loadCell(rows.find(({ peer }) => peer === name)));
    if (idle) {
      cells.push(idleCell(idle.rows.find(({ peer }) => peer === name)));
    }
    return row([texts.peers[name] ?? name, ...cells]);
  });
  return [row(heads), row(heads.map((_, index) => (index === 0 ? "---" : "---:"))), ...lines].join("\n");
}

function loadCell(found: LoadRow | undefined): string {
  if (!found) {
    return "";
  }
  if ("failed" in found) {
    return found.failed;
  }
  const { cpuUs, p50Ms, p99Ms, p999Ms } = found;
  return `${cpuUs.toFixed(2)} · ${[p50Ms, p99Ms, p999Ms].map(milliseconds).join(" / ")}`;
}

function idleCell(found: IdleRow | undefined): string {
  return !found ? "" : "failed" in found ? found.failed : found.kB.toFixed(1);
}

function milliseconds(ms: number): string {
  return ms >= 10 ? ms.toFixed(0) : ms.toFixed(1);
}

function row(cells: readonly string[]): string {
  return `| ${cells.join(" | ")} |`;
}

/**
 * Who is cheaper for each load than the gateway with one reader a connection, whichever protocol is the cheaper one. The
 * floor is no server, and many readers on one connection are compared with nobody.
 */
export function cheaperThanOurs({
  scenarios: measured,
}: PeersReport): { readers: number; rate: number; peers: string[] }[] {
  return scenarios.flatMap(({ name }) => {
    const scenario = measured[name];
    if (!scenario) {
      return [];
    }
    const measuredRows = scenario.rows.flatMap((each) => ("cpuUs" in each ? [each] : []));
    const comparable = measuredRows.filter(({ peer }) => peer !== "floor" && !peer.endsWith("-50"));
    const ours = Math.min(...comparable.filter(({ peer }) => peer.startsWith("gateway")).map(({ cpuUs }) => cpuUs));
    const cheaper = comparable.filter(({ peer, cpuUs }) => !peer.startsWith("gateway") && cpuUs < ours);
    return [{ readers: scenario.readers, rate: scenario.rate, peers: cheaper.map(({ peer }) => peer) }];
  });
}
