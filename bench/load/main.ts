/** `bun run load`: puts a gateway under load and checks what arrives; `--help` says how. */
import { writeFileSync } from "node:fs";
import { ConnectError } from "@connectrpc/connect";
import { refusalOf, systemClock } from "../../client/index.ts";
import { UsageError } from "../option-values.ts";
import { ProgressLine } from "../progress-line.ts";
import { type LoadOptions, parseLoadOptions, usage } from "./load-options.ts";
import { summaryText } from "./load-result.ts";
import { LoadRun } from "./load-run.ts";
import { reportPage } from "./report-page.ts";

process.exit(await main(process.argv.slice(2)));

/** @returns the exit code */
async function main(args: readonly string[]): Promise<number> {
  try {
    const options = parseLoadOptions(args);
    if (options === "help") {
      console.log(usage);
      return 0;
    }
    return await load(options);
  } catch (error) {
    if (error instanceof UsageError) {
      console.error(`${error.message}\n\n${usage}`);
      return 2;
    }
    console.error(error instanceof ConnectError ? refusalOf(error).message : (error as Error).message);
    return 3;
  }
}

async function load(options: LoadOptions): Promise<number> {
  const { protocol, url, subscribers, senders, rate, loop } = options;
  const speed = rate === undefined ? "as fast as answers come" : `${rate} messages a second`;
  console.log(
    `${url} over ${protocol}: ${subscribers} readers, ${senders} senders, ${speed}, ${loop} loop. Ctrl-C ends it.`,
  );
  const run = new LoadRun(options);
  let interrupts = 0;
  const interrupt = () => {
    interrupts += 1;
    if (interrupts > 1) {
      process.exit(130);
    }
    run.interrupt();
  };
  process.on("SIGINT", interrupt).on("SIGTERM", interrupt);
  const progress = new ProgressLine(process.stdout, systemClock, () => run.progressLine());
  progress.start();
  const result = await run.run().finally(() => progress.end());
  console.log(summaryText(result));
  if (options.json !== undefined) {
    writeFileSync(options.json, `${JSON.stringify(result, null, 2)}\n`);
  }
  if (options.report !== undefined) {
    writeFileSync(options.report, reportPage(result));
  }
  return result.broken.length === 0 ? 0 : 1;
}
