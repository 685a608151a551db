/** A Redis Cluster under a whole deployment: its masters are replaced, its slots move. */
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Deployment } from "../../driver/deployment.ts";
import { startClusterDeployment } from "../../driver/distributed-deployment.ts";
import { runFaults } from "../../driver/fault-run.ts";
import { report } from "../../driver/report.ts";
import type { RowSource, StoredRow } from "../../recorder/stored-rows.ts";
import type { FaultRow, FaultRowContext } from "../fault-row.ts";

const load = { rooms: 6, readersPerRoom: 4, people: 8, messagesPerSecond: 40 };
const durationMs = 30_000;

export const clusterRows: readonly FaultRow[] = [
  {
    name: "cluster-failover",
    fault: "Redis Cluster: a replica takes its master's place as planned (CLUSTER FAILOVER), again and again",
    holds: "nothing is lost, doubled, reordered or missed, and nobody is told of a loss",
    run: (context) => clusterRun(context, "cluster-failover"),
  },
  {
    name: "cluster-slots-move",
    fault: "Redis Cluster: the slots of rooms that talk move to other masters, key by key",
    holds: "nothing is lost, doubled, reordered or missed, and nobody is told of a loss",
    run: (context) => clusterRun(context, "cluster-slots-move"),
  },
  {
    name: "cluster-master-kill",
    fault:
      "Redis Cluster: a master is killed, its replica takes over (cluster-node-timeout 2 s), and it comes back as the replica",
    holds: "no position is given twice; readers are told of what is lost, which is what the replica did not have yet",
    run: (context) => clusterRun(context, "cluster-master-kill"),
  },
];

/** @throws {Error} with the report of the run: something broke that the fault does not allow */
async function clusterRun({ seed, say }: FaultRowContext, fault: string) {
  let deployment: Deployment | undefined;
  const epochs = new Set<string>();
  const result = await runFaults({
    start: async () => {
      const started = await startClusterDeployment();
      deployment = { ...started, stored: noting(started.stored, epochs) };
      return deployment;
    },
    seed,
    durationMs,
    faults: [fault],
    load,
    historyPath: join(tmpdir(), `streaming-chat-row-${fault}-${seed}-${process.pid}.jsonl`),
    say,
  });
  if (result.unexpected.length > 0) {
    throw new Error(`what must hold did not\n${report(result)}`);
  }
  const { figures, measures } = result;
  const felt = figures.faults[fault];
  const ms = (value: number) => `${Math.round(value).toLocaleString("en-US")} ms`;
  return [
    ["load", `${figures.readers} readers in ${figures.rooms} rooms, ${figures.acked} sends acknowledged`],
    ["times", String(felt?.times ?? 0)],
    ["acknowledged and lost", String(figures.lost)],
    ["doubled, out of order, missed unsaid", [figures.doubled, figures.outOfOrder, figures.silentlyMissed].join(", ")],
    ["readers told of a loss", String(figures.gaps.lost)],
    ...[...measures].map(([name, values]) => {
      const sorted = values.toSorted((a, b) => a - b);
      const [median, longest] = [sorted[Math.floor((sorted.length - 1) / 2)], sorted.at(-1)];
      return [name, `median ${ms(median ?? 0)}, longest ${ms(longest ?? 0)}`] as const;
    }),
    [
      "send to answer, with the client's tries",
      felt ? `p50 ${ms(felt.ackMs.p50)}, p99 ${ms(felt.ackMs.p99)}, longest ${ms(felt.ackMs.max)}` : "none",
    ],
    ["entries that gateways read because no channel brought them", String(deployment ? repaired(deployment) : 0)],
    ["epochs begun", String(epochs.size - figures.rooms)],
  ] as const;
}

/** Notes every room's epochs in passing. */
function noting(source: RowSource, epochs: Set<string>): RowSource {
  return {
    name: source.name,
    async *rows(roomId): AsyncIterable<StoredRow> {
      for await (const row of source.rows(roomId)) {
        epochs.add(`${roomId} ${row.position.split("-")[0]}`);
        yield row;
      }
    },
  };
}

/** As the gateways logged it. */
function repaired({ members }: Deployment): number {
  const gateways = members.filter(({ kind }) => kind === "gateway");
  const lines = gateways
    .flatMap(({ log }) => log.split("\n"))
    .filter((line) => line.includes("did not come by the channel"));
  return lines.reduce((sum, line) => sum + Number(/"entries":(\d+)/.exec(line)?.[1] ?? 0), 0);
}
