/**
 * `bun run stack`: a whole distributed chat on this machine, without Docker: Redis, Cassandra, two gateways, two workers.
 *
 *     bun run stack                             gateways on 8080 and 8081
 *     bun run stack --gateway-ports 9000,9001   there; 0: on a free port
 *
 * Every part is a real one and a process of its own, on loopback and in a temporary directory; Ctrl-C ends them all and
 * their data. What is missing on the machine is said, with how to install it.
 */

import path from "node:path";
import { parseArgs } from "node:util";
import { type Subprocess, spawn } from "bun";
import { startCassandra } from "../test/harness/cassandra.ts";
import { startRedis } from "../test/harness/redis.ts";
import { provideCassandra } from "../test/setup/cassandra.ts";

const root = path.resolve(import.meta.dir, "..");
const workers = 2;

const { values: flags } = parseArgs({ options: { "gateway-ports": { type: "string", default: "8080,8081" } } });
const gatewayPorts = flags["gateway-ports"].split(",");

/** How long a gateway may take from its start to its greeting. */
const startTimeoutMs = 60_000;

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** Starts a program of ours, kept until the end. @param greeting says that it is there @returns what of it is in brackets */
async function start(name: string, program: string, args: readonly string[], greeting: RegExp): Promise<string> {
  const child = spawn([process.execPath, path.join(root, program), ...args], {
    cwd: root,
    stdin: "ignore",
    stdout: "pipe",
    stderr: "inherit",
    // A Ctrl-C in the terminal is for the stack, which stops its parts in order.
    detached: true,
  });
  keep(name, child);
  const timer = setTimeout(() => child.kill("SIGKILL"), startTimeoutMs);
  let said = "";
  const decoder = new TextDecoder();
  const reader = child.stdout.getReader();
  while (!greeting.test(said)) {
    const { value, done } = await reader.read();
    if (done) {
      throw new Error(`${name} did not start: ${said}`);
    }
    said += decoder.decode(value, { stream: true });
  }
  clearTimeout(timer);
  // It may go on printing: read, so that it never waits for us.
  void (async () => {
    while (!(await reader.read()).done);
  })();
  return greeting.exec(said)?.[1] ?? "";
}

const running: { name: string; stop(): Promise<unknown> }[] = [];
let stopping: Promise<void> | undefined;

function stopAll(): Promise<void> {
  stopping ??= (async () => {
    for (const { name, stop } of running.toReversed()) {
      say(`stopping ${name}`);
      await stop();
    }
  })();
  return stopping;
}

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.on(signal, () => void stopAll().then(() => process.exit(0)));
}

function keep(name: string, child: Subprocess): void {
  running.push({
    name,
    stop: () => {
      child.kill("SIGTERM");
      return child.exited;
    },
  });
  void child.exited.then((code) => {
    if (!stopping) {
      say(`${name} has ended with ${code}: stopping everything`);
      void stopAll().then(() => process.exit(1));
    }
  });
}

try {
  say("Redis …");
  const redis = await startRedis({ settings: { appendonly: "yes" }, isDetached: true });
  running.push({ name: "Redis", stop: () => redis.stop() });
  say("Cassandra … (the first time its jars are fetched; that takes a minute)");
  await provideCassandra();
  const cassandra = await startCassandra();
  running.push({ name: "Cassandra", stop: () => cassandra.remove() });
  const storage = [
    "--redis-url",
    redis.url,
    "--cassandra-contact-points",
    cassandra.contactPoint,
    "--cassandra-replication",
    "datacenter1:1",
  ];
  for (let worker = 1; worker <= workers; worker++) {
    const args = [...storage, "--worker-name", `worker-${worker}`, "--log-level", "warn"];
    await start(`worker ${worker}`, "worker/main.ts", args, /is at work\n/);
  }
  const urls: string[] = [];
  for (const port of gatewayPorts) {
    const args = [...storage, "--port", port, "--log-level", "warn"];
    urls.push(await start(`gateway ${urls.length + 1}`, "server/main.ts", args, /listens on (.*)\n/));
  }
  say(`
  gateways   ${urls.join("   ")}
  redis      ${redis.url}
  cassandra  ${cassandra.contactPoint}

Ctrl-C stops everything.`);
} catch (error) {
  if (!stopping) {
    say(error instanceof Error ? error.message : String(error));
    await stopAll();
    process.exit(1);
  }
}
