/**
 * `bun run test`: sets up everything that the tests need, runs every check, and closes with the line
 * `N passed, N failed`: the sum over all runners, where a check without test cases of its own counts as one.
 *
 *     bun run test                      everything, as CI does
 *     bun run test -- unit e2e          only these parts; what they need is still set up
 *     bun run test -- setup             only the set-up
 *
 * Needs Bun and nothing else, not even this repository's dependencies: they are installed first. Nothing is skipped in
 * silence: a step whose set-up failed counts as failed.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { provideCassandra } from "./setup/cassandra.ts";
import { provideSystemPackages } from "./setup/debian-packages.ts";
import { provideConformanceDescriptors, provideGoTool } from "./setup/go-tools.ts";
import { providePythonEnvironment } from "./setup/python-environment.ts";
import { connectconformance, goToolPath, grpcurl, h2spec } from "./setup/tools.ts";

const root = resolve(import.meta.dir, "..");

/** This very Bun runs everything, whatever the PATH says; `--bun` lets it stand in for Node in the tools' scripts. */
const bun = process.execPath;
const bin = (name: string, ...args: string[]) => [bun, "run", "--bun", "--silent", name, ...args];

/** What a step adds to the closing line. */
interface Tally {
  passed: number;
  failed: number;
  skipped: number;
}

/** What a step of the set-up makes; others name it as their need. */
type Provision = "dependencies" | "system" | "grpcurl" | "python" | "conformance" | "h2spec" | "cassandra";

interface SetupStep {
  readonly makes: Provision;
  readonly after: readonly Provision[];
  /** @returns what was done, for people */
  readonly run: () => Promise<string>;
}

type Part = "static" | "unit" | "e2e" | "browser" | "conformance";
const parts: readonly Part[] = ["static", "unit", "e2e", "browser", "conformance"];

interface Check {
  readonly part: Part;
  readonly name: string;
  readonly needs: readonly Provision[];
  readonly run: () => Promise<Tally>;
}

/** Far above what a step takes on a small machine; a step that hangs must not hang the run. */
const stepTimeoutMs = 15 * 60_000;

/** Bun's own five seconds are for machines that do nothing else. A test that hangs still fails. */
const testTimeoutMs = 60_000;

const setupSteps: readonly SetupStep[] = [
  { makes: "dependencies", after: [], run: installDependencies },
  { makes: "system", after: [], run: provideSystemPackages },
  { makes: "python", after: ["system"], run: providePythonEnvironment },
  { makes: "cassandra", after: ["system"], run: provideCassandra },
  { makes: "grpcurl", after: [], run: () => provideGoTool(grpcurl) },
  // After grpcurl: a Go build takes all the cores there are.
  { makes: "conformance", after: ["dependencies", "grpcurl"], run: provideConformance },
  { makes: "h2spec", after: ["conformance"], run: () => provideGoTool(h2spec) },
];

const checks: readonly Check[] = [
  command("static", "buf lint", bin("buf", "lint")),
  command("static", "buf format", bin("buf", "format", "proto", "--diff", "--exit-code")),
  { part: "static", name: "buf breaking", needs: ["dependencies"], run: bufBreaking },
  { part: "static", name: "generated code is fresh", needs: ["dependencies"], run: generatedIsFresh },
  command("static", "types", bin("tsc", "-p", ".")),
  command("static", "biome", bin("biome", "ci", "--colors=off", ".")),
  command("static", "knip", bin("knip", "--no-progress")),
  bunTest("unit", "unit and integration tests", ["system", "cassandra"]),
  { part: "conformance", name: "Connect conformance suite", needs: ["dependencies", "conformance"], run: conformance },
  { part: "conformance", name: "h2spec", needs: ["dependencies", "system", "h2spec"], run: http2Conformance },
  bunTest("e2e", "end-to-end tests", ["system", "cassandra", "grpcurl", "python"]),
  bunTest("browser", "browser tests", ["system"]),
];

async function main(words: readonly string[]): Promise<number> {
  const known: readonly string[] = [...parts, "setup"];
  const unknown = words.filter((word) => !known.includes(word));
  if (unknown.length > 0) {
    console.error(`no such part: ${unknown.join(", ")}; there are ${known.join(", ")}`);
    return 2;
  }
  const wanted = Bun.JSON5.parse(readFileSync(join(root, "package.json"), "utf8")) as { packageManager: string };
  if (`bun@${Bun.version}` !== wanted.packageManager) {
    console.log(`note: this is bun@${Bun.version}; the tests are meant for ${wanted.packageManager}`);
  }
  const selected = words.length === 0 ? checks : checks.filter((check) => words.includes(check.part));
  const needed = new Set(words.length === 0 || words.includes("setup") ? setupSteps.map((step) => step.makes) : []);
  for (const check of selected) {
    for (const need of check.needs) {
      addWithPrerequisites(needed, need);
    }
  }

  const startedMs = performance.now();
  const total: Tally = { passed: 0, failed: 0, skipped: 0 };
  const failures: string[] = [];
  const missing = await setUp(needed);
  for (const [makes, error] of missing) {
    total.failed += 1;
    failures.push(`set-up of ${makes}: ${firstLine(error.message)}`);
  }
  for (const check of selected) {
    const lacks = check.needs.filter((need) => missing.has(need));
    const tally = lacks.length > 0 ? notRun(check, lacks) : await runCheck(check);
    total.passed += tally.passed;
    total.failed += tally.failed;
    total.skipped += tally.skipped;
    if (tally.failed > 0) {
      failures.push(`${check.name}: ${tally.failed} failed`);
    }
  }

  console.log(`\n━━ ${seconds(startedMs)} in all`);
  for (const failure of failures) {
    console.log(`   ✗ ${failure}`);
  }
  const skipped = total.skipped > 0 ? `, ${total.skipped} skipped` : "";
  console.log(`${total.passed} passed, ${total.failed} failed${skipped}`);
  return total.failed === 0 ? 0 : 1;
}

function addWithPrerequisites(needed: Set<Provision>, need: Provision): void {
  needed.add(need);
  for (const before of setupSteps.find((step) => step.makes === need)?.after ?? []) {
    addWithPrerequisites(needed, before);
  }
}

/** Runs the needed steps, at once where none waits for another. @returns what could not be made, and why */
async function setUp(needed: ReadonlySet<Provision>): Promise<Map<Provision, Error>> {
  const missing = new Map<Provision, Error>();
  const steps = new Map<Provision, Promise<void>>();
  for (const step of setupSteps.filter((each) => needed.has(each.makes))) {
    const makeIt = async () => {
      await Promise.all(step.after.map((before) => steps.get(before)));
      const startedMs = performance.now();
      try {
        console.log(`━━ set-up: ${await step.run()} (${seconds(startedMs)})`);
      } catch (error) {
        missing.set(step.makes, error as Error);
        console.log(`━━ set-up of ${step.makes} FAILED after ${seconds(startedMs)}\n${(error as Error).message}`);
      }
    };
    steps.set(step.makes, makeIt());
  }
  await Promise.all(steps.values());
  return missing;
}

function notRun(check: Check, lacks: readonly Provision[]): Tally {
  console.log(`\n━━ ${check.name}: NOT RUN, the set-up of ${lacks.join(", ")} failed`);
  return { passed: 0, failed: 1, skipped: 0 };
}

async function runCheck(check: Check): Promise<Tally> {
  console.log(`\n━━ ${check.name}`);
  const startedMs = performance.now();
  let tally: Tally;
  try {
    tally = await check.run();
  } catch (error) {
    console.log((error as Error).stack ?? String(error));
    tally = { passed: 0, failed: 1, skipped: 0 };
  }
  const skipped = tally.skipped > 0 ? `, ${tally.skipped} skipped` : "";
  const verdict = tally.failed > 0 ? "FAILED" : "ok";
  console.log(
    `━━ ${check.name}: ${verdict}, ${tally.passed} passed, ${tally.failed} failed${skipped} (${seconds(startedMs)})`,
  );
  return tally;
}

function seconds(sinceMs: number): string {
  return `${((performance.now() - sinceMs) / 1000).toFixed(1)} s`;
}

function firstLine(text: string): string {
  return text.split("\n", 1)[0] ?? "";
}

async function installDependencies(): Promise<string> {
  const { code, output } = await runQuietly([bun, "install", "--frozen-lockfile"]);
  if (code !== 0) {
    throw new Error(`bun install --frozen-lockfile ended with ${code}\n${output}`);
  }
  return "locked dependencies are installed";
}

async function provideConformance(): Promise<string> {
  return `${await provideGoTool(connectconformance)}; ${await provideConformanceDescriptors(bin("buf"))}`;
}

/** A check that is one program: it passes where the program exits 0. */
function command(part: Part, name: string, argv: readonly string[]): Check {
  return { part, name, needs: ["dependencies"], run: async () => verdict((await runLoudly(argv)).code === 0) };
}

function verdict(passed: boolean): Tally {
  return passed ? { passed: 1, failed: 0, skipped: 0 } : { passed: 0, failed: 1, skipped: 0 };
}

/**
 * Nothing that clients of the last release rely on may change. `proto/released-<version>.binpb` is the API as that
 * release had it: a file of the repository and not a commit, so that a shallow clone and the first commit can be checked.
 */
async function bufBreaking(): Promise<Tally> {
  const released = readdirSync(join(root, "proto")).filter((name) => /^released-.+\.binpb$/.test(name));
  const only = released[0];
  if (only === undefined || released.length > 1) {
    console.log(
      `expected one proto/released-<version>.binpb, found ${released.length}; \`bun run release-api\` makes it`,
    );
    return verdict(false);
  }
  const { code } = await runLoudly(bin("buf", "breaking", "proto", "--against", join("proto", only)));
  return verdict(code === 0);
}

/** Generates the code again, elsewhere, and compares it with gen/. */
async function generatedIsFresh(): Promise<Tally> {
  const dir = mkdtempSync(join(tmpdir(), "streaming-chat-gen-"));
  try {
    const { code } = await runLoudly(bin("buf", "generate", "-o", dir));
    const fresh = code === 0 && sameTree(join(dir, "gen"), join(root, "gen"));
    if (!fresh) {
      console.log("gen/ is not what proto/ generates: run `bun run generate` and commit the result");
    }
    return verdict(fresh);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

function sameTree(one: string, other: string): boolean {
  const files = (dir: string) => [...new Bun.Glob("**/*").scanSync({ cwd: dir, dot: true })].sort();
  const names = files(one);
  return Bun.deepEquals(names, files(other)) && names.every((name) => sameFile(join(one, name), join(other, name)));
}

function sameFile(one: string, other: string): boolean {
  return readFileSync(one).equals(readFileSync(other));
}

/** The test files of a part: every `*.test.ts` of the repository belongs to exactly one. */
function testFiles(part: Part): string[] {
  const folders: Partial<Record<Part, string>> = { e2e: "test/end-to-end/", browser: "test/browser/" };
  const mine = folders[part];
  const others = Object.values(folders);
  return [...new Bun.Glob("**/*.test.{ts,tsx}").scanSync({ cwd: root })]
    .filter((name) => !name.startsWith("node_modules/"))
    .filter((name) => (mine ? name.startsWith(mine) : !others.some((folder) => name.startsWith(folder))))
    .sort();
}

/** The tests of a part, run by Bun. */
function bunTest(part: Part, name: string, needs: readonly Provision[]): Check {
  return {
    part,
    name,
    needs: ["dependencies", ...needs],
    run: async () => {
      const files = testFiles(part);
      if (files.length === 0) {
        console.log("there are no test files");
        return verdict(false);
      }
      return readBunTestSummary(
        await runLoudly([bun, "test", `--timeout=${testTimeoutMs}`, ...files.map((file) => `./${file}`)]),
      );
    },
  };
}

/** At most six short lines stand before the one that begins with "Ran". */
const summaryCharsMax = 200;

/** Reads the lines with which `bun test` closes (" 12 pass", " 1 fail", …). A run that has none died on the way. */
function readBunTestSummary({ code, output }: Ended): Tally {
  const end = output.lastIndexOf("\nRan ");
  const summary = end === -1 ? "" : output.slice(Math.max(0, end - summaryCharsMax), end);
  const count = (word: string) =>
    Number([...summary.matchAll(new RegExp(`^ *(\\d+) ${word}$`, "gm"))].at(-1)?.[1] ?? 0);
  const tally = { passed: count("pass"), failed: count("fail"), skipped: count("skip") + count("todo") };
  const ranNothing = tally.passed + tally.failed === 0;
  if ((code !== 0 || ranNothing) && tally.failed === 0) {
    console.log(`bun test ended with ${code}, ${ranNothing ? "and ran no test" : "though no test failed"}`);
    tally.failed = 1;
  }
  return tally;
}

/**
 * Cases of the conformance suite (this version of it, the features in conformance.yaml). Fixed, so that a case that is
 * no longer run is noticed.
 */
const conformanceCases = 5256;

/** Calls the gateway's listener with the reference client of the Connect conformance suite. No case may fail. */
async function conformance(): Promise<Tally> {
  const config = join("test", "conformance", "conformance.yaml");
  const server = [bun, join("test", "conformance", "conformance-server.ts")];
  // Fewer at once than the runner's own choice: the suite compares timeouts by the clock, and this may be a small machine.
  const pace = ["--max-servers", "2", "--parallel", "4"];
  const { output } = await runLoudly([
    goToolPath(connectconformance),
    "--mode",
    "server",
    "--conf",
    config,
    ...pace,
    "--",
    ...server,
  ]);
  const [, passed, failed] = /^(\d+) passed, (\d+) failed$/m.exec(output) ?? [];
  return allCases({ passed: Number(passed ?? 0), failed: Number(failed ?? 0), skipped: 0 }, conformanceCases);
}

/** Cases of h2spec (this version of it), fixed likewise. */
const h2specCases = 145;

/** Calls the gateway's listener with h2spec. No case may fail, and none be skipped. */
async function http2Conformance(): Promise<Tally> {
  const { output } = await runLoudly([bun, join("test", "conformance", "h2spec.ts")]);
  const [, passed, failed] = /^\d+ tests, (\d+) passed, \d+ skipped, (\d+) failed$/m.exec(output) ?? [];
  return allCases({ passed: Number(passed ?? 0), failed: Number(failed ?? 0), skipped: 0 }, h2specCases);
}

/** A case that was not run has failed. */
function allCases(tally: Tally, expected: number): Tally {
  const missing = expected - tally.passed - tally.failed;
  if (missing === 0) {
    return tally;
  }
  console.log(`expected ${expected} cases, ${Math.abs(missing)} ${missing > 0 ? "are missing" : "are new"}`);
  return { ...tally, failed: tally.failed + Math.abs(missing) };
}

/** How a program ended, and what it printed, both streams together. */
interface Ended {
  code: number;
  output: string;
}

/** Runs a program of the repository; what it prints is shown as it comes. */
function runLoudly(argv: readonly string[]): Promise<Ended> {
  return run(argv, (text) => process.stdout.write(text));
}

function runQuietly(argv: readonly string[]): Promise<Ended> {
  return run(argv, () => {});
}

async function run(argv: readonly string[], show: (text: string) => void): Promise<Ended> {
  const child = Bun.spawn([...argv], {
    cwd: root,
    // One answer everywhere: the summary is read by machines, and a developer's settings must not decide a test.
    env: { ...process.env, NO_COLOR: "1", FORCE_COLOR: undefined },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    timeout: stepTimeoutMs,
    killSignal: "SIGKILL",
  });
  let output = "";
  const read = async (stream: ReadableStream<Uint8Array>) => {
    const decoder = new TextDecoder();
    for await (const chunk of stream) {
      const text = decoder.decode(chunk, { stream: true });
      output += text;
      show(text);
    }
  };
  await Promise.all([read(child.stdout), read(child.stderr)]);
  await child.exited;
  if (child.signalCode !== null) {
    show(`\nended by ${child.signalCode}: ${argv.join(" ")}\n`);
  }
  return { code: child.signalCode === null ? (child.exitCode ?? 1) : 1, output };
}

process.exitCode = await main(process.argv.slice(2).filter((word) => word !== "--"));
