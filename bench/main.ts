/**
 * `bun run bench`: runs the fan-out bench and the comparison with peers, and says what got worse by over 10 % since the
 * results that are committed. Takes the better part of an hour on a quiet machine. Words behind it go to the peers' bench.
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { runCommand } from "../test/harness/command.ts";
import { type Results, regressions } from "./regressions.ts";

const root = join(import.meta.dir, "..");
const fanOutPath = "bench/results/fan-out.json";
const peersPath = "bench/results/peers.json";

/** What the last commit says; undefined where it says nothing. */
async function committed(path: string) {
  const { code, stdout } = await runCommand(["git", "show", `HEAD:${path}`], { cwd: root });
  return code === 0 ? JSON.parse(stdout) : undefined;
}

function measured(path: string) {
  const file = join(root, path);
  return existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : undefined;
}

async function run(program: string, words: readonly string[] = []): Promise<void> {
  const child = Bun.spawn([process.execPath, join(import.meta.dir, program), ...words], {
    stdio: ["ignore", "inherit", "inherit"],
  });
  if ((await child.exited) !== 0) {
    process.exit(1);
  }
}

const before: Results = { fanOut: await committed(fanOutPath), peers: await committed(peersPath) };
await run("fan-out/run.ts");
await run("peers/run.ts", process.argv.slice(2));
const worse = regressions(before, { fanOut: measured(fanOutPath), peers: measured(peersPath) });
console.log(worse.length === 0 ? "\nNothing got worse by over 10 %." : `\nWorse by over 10 %:\n${worse.join("\n")}`);
