/**
 * A gateway as a process of its own, as people start it: on a free port of the loopback, with a data directory of its
 * own, stopped by its process id.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import type { Address } from "./curls.ts";

const program = resolve(import.meta.dir, "../../server/main.ts");

/** Longer than a cold start on a busy machine, demo bundling included. */
const startTimeoutMs = 30_000;
/** Longer than the gateway's own drain. */
const stopTimeoutMs = 20_000;
/** At most this much of its log is kept. */
const logCharsMax = 200_000;

/** What a gateway of the tests has set unless a test says otherwise. No demo: bundling it takes most of a start. */
const testSettings = { HOST: "127.0.0.1", PORT: "0", INITIAL_ROOMS: "", DEMO: "false", LOG_LEVEL: "info" };

export interface Gateway extends Address {
  /** http://host:port */
  readonly url: string;
  readonly pid: number;
  /** Undefined: it runs. */
  readonly exitCode: number | undefined;
  /** What it logged so far, the end of it. */
  readonly log: string;
  /** Sends SIGTERM, or another signal, and waits until it has ended. Its data stays if a test gave the directory. @returns its exit code */
  stop(signal?: NodeJS.Signals): Promise<number>;
}

/**
 * Starts a gateway and resolves once its port answers.
 * @param settings as environment variables; DATA_DIRECTORY for data that shall outlive it
 * @throws {Error} with its log, if it does not start
 */
export async function startGateway(settings: Readonly<Record<string, string>> = {}): Promise<Gateway> {
  const ownDirectory = settings.DATA_DIRECTORY === undefined;
  const dataDirectory = settings.DATA_DIRECTORY ?? mkdtempSync(join(tmpdir(), "streaming-chat-data-"));
  const child = Bun.spawn([process.execPath, program], {
    env: { ...process.env, ...testSettings, DATA_DIRECTORY: dataDirectory, ...settings },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  let log = "";
  const keepLog = async () => {
    const decoder = new TextDecoder();
    for await (const chunk of child.stderr) {
      log = (log + decoder.decode(chunk, { stream: true })).slice(-logCharsMax);
    }
  };
  void keepLog();
  const removeData = () => {
    if (ownDirectory) {
      rmSync(dataDirectory, { recursive: true, force: true });
    }
  };
  const url = await urlInGreeting(child.stdout).catch((error) => error as Error);
  if (url instanceof Error) {
    child.kill("SIGKILL");
    await child.exited;
    removeData();
    throw new Error(`the gateway did not start: ${url.message}\n${log}`);
  }
  const { hostname, port } = new URL(url);
  return {
    url,
    host: hostname,
    port: Number(port),
    pid: child.pid,
    get exitCode() {
      return child.exitCode ?? undefined;
    },
    get log() {
      return log;
    },
    async stop(signal = "SIGTERM") {
      child.kill(signal);
      const timer = setTimeout(() => child.kill("SIGKILL"), stopTimeoutMs);
      const code = await child.exited;
      clearTimeout(timer);
      removeData();
      return code;
    },
  };
}

/** Waits for the line that says where it listens; goes on reading, so that the gateway never waits for us. */
async function urlInGreeting(stdout: ReadableStream<Uint8Array>): Promise<string> {
  let greeting = "";
  const { promise, resolve: found, reject } = Promise.withResolvers<string>();
  const timer = setTimeout(() => reject(new Error(`no greeting within ${startTimeoutMs} ms`)), startTimeoutMs);
  const read = async () => {
    const decoder = new TextDecoder();
    for await (const chunk of stdout) {
      if (greeting.length < 10_000) {
        greeting += decoder.decode(chunk, { stream: true });
      }
      const url = /^streaming-chat listens on (\S+)$/m.exec(greeting)?.[1];
      if (url) {
        found(url);
      }
    }
    reject(new Error(`it ended; it said ${JSON.stringify(greeting)}`));
  };
  void read();
  return promise.finally(() => clearTimeout(timer));
}
