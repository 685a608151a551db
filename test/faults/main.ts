/**
 * `bun run test:faults`: runs a deployment under faults and prints what its clients felt, or, with `--table`, the rows of
 * the fault table in docs/guarantees.md; `--help` says how. The exit code is 0 if every invariant held, 1 if not, 2 for a
 * wrong command line.
 */
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { Deployment } from "./driver/deployment.ts";
import { startClusterDeployment, startDistributedDeployment } from "./driver/distributed-deployment.ts";
import { startEmbeddedDeployment } from "./driver/embedded-deployment.ts";
import { runFaults } from "./driver/fault-run.ts";
import { faults } from "./driver/faults.ts";
import { report } from "./driver/report.ts";
import { faultRows } from "./table/rows.ts";
import { runFaultTable } from "./table/table-run.ts";

const deployments: Readonly<Record<string, () => Promise<Deployment>>> = {
  embedded: startEmbeddedDeployment,
  distributed: () => startDistributedDeployment(),
  cluster: startClusterDeployment,
};

const usage = `Runs a deployment under faults, and checks that nothing is lost, doubled, reordered or made up.

  bun run test:faults [-- options]

  --deployment NAME  ${Object.keys(deployments).join(", ")}         default embedded
  --seed N           the same number, the same schedule       default a random one, printed
  --runs N           runs, with seeds N, N+1, …               default 1
  --minutes N        how long things break, for each run      default 1
  --faults A,B       only these                               default all that fit
  --rooms N          default 4
  --readers N        in each room                             default 6
  --people N         who talk                                 default 8
  --rate N           messages a second                        default 40
  --keep             keep the history of a good run, too
  --help

  bun run test:faults -- --table [--rows A,B] [--seed N]
                     runs the fault table, or these rows of it, and writes their figures into docs/guarantees.md

Faults:
${faults.map(({ name, about }) => `  ${name.padEnd(23)} ${about}`).join("\n")}

Rows of the table:
${faultRows.map(({ name, fault }) => `  ${name.padEnd(28)} ${fault}`).join("\n")}
`;

process.exit(await main(process.argv.slice(2)));

async function main(args: readonly string[]): Promise<number> {
  let values: ReturnType<typeof parse>;
  try {
    values = parse(args);
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : error}\n\n${usage}`);
    return 2;
  }
  if (values.help) {
    console.log(usage);
    return 0;
  }
  if (values.table) {
    const rows = values.rows?.split(",");
    const unknownRow = rows?.find((name) => !faultRows.some((row) => row.name === name));
    if (unknownRow !== undefined) {
      console.error(`there is no row ${unknownRow}\n\n${usage}`);
      return 2;
    }
    return (await runFaultTable(rows, values.seed, (line) => console.log(line))) ? 0 : 1;
  }
  const start = deployments[values.deployment];
  const names = values.faults?.split(",");
  const unknown = names?.find((name) => !faults.some((fault) => fault.name === name));
  if (!start || unknown !== undefined) {
    console.error(`there is no ${start ? `fault ${unknown}` : `deployment ${values.deployment}`}\n\n${usage}`);
    return 2;
  }
  let isGood = true;
  for (let run = 0; run < values.runs; run++) {
    const seed = values.seed + run;
    console.log(`seed ${seed}`);
    const result = await runFaults({
      start,
      seed,
      durationMs: values.minutes * 60_000,
      ...(names && { faults: names }),
      load: {
        rooms: values.rooms,
        readersPerRoom: values.readers,
        people: values.people,
        messagesPerSecond: values.rate,
      },
      historyPath: join(tmpdir(), `streaming-chat-history-${seed}-${process.pid}.jsonl`),
      keepHistory: values.keep,
      say: (line) => console.log(line),
    });
    console.log(`\n${report(result)}\n`);
    isGood &&= result.unexpected.length === 0;
  }
  return isGood ? 0 : 1;
}

/** @throws {Error} what is wrong with the command line */
function parse(args: readonly string[]) {
  const { values } = parseArgs({
    args: args.filter((word) => word !== "--"),
    strict: true,
    options: {
      deployment: { type: "string", default: "embedded" },
      seed: { type: "string", default: String(Math.floor(Math.random() * 1e9)) },
      runs: { type: "string", default: "1" },
      minutes: { type: "string", default: "1" },
      faults: { type: "string" },
      rooms: { type: "string", default: "4" },
      readers: { type: "string", default: "6" },
      people: { type: "string", default: "8" },
      rate: { type: "string", default: "40" },
      keep: { type: "boolean", default: false },
      table: { type: "boolean", default: false },
      rows: { type: "string" },
      help: { type: "boolean", default: false },
    },
  });
  const number = (name: "seed" | "runs" | "minutes" | "rooms" | "readers" | "people" | "rate", least: number) => {
    const value = Number(values[name]);
    if (!Number.isFinite(value) || value < least) {
      throw new Error(`--${name} is ${values[name]}, it must be a number, at least ${least}`);
    }
    return value;
  };
  return {
    deployment: values.deployment,
    faults: values.faults,
    keep: values.keep,
    table: values.table,
    rows: values.rows,
    help: values.help,
    seed: Math.floor(number("seed", 0)),
    runs: number("runs", 1),
    minutes: number("minutes", 0.05),
    rooms: Math.floor(number("rooms", 1)),
    readers: Math.floor(number("readers", 1)),
    people: Math.floor(number("people", 1)),
    rate: number("rate", 0.1),
  };
}
