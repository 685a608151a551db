/**
 * A real Redis for tests: on a free port of the loopback, with a directory of its own, stopped by its process id. Several
 * of them as a cluster: redis-cluster.ts.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createClient } from "redis";
import { waitFor } from "./wait-for.ts";

/** Longer than loading any data of a test on a busy machine. */
const startTimeoutMs = 20_000;
const stopTimeoutMs = 10_000;

export interface RedisOptions {
  /** Settings of redis-server, as on its command line: { appendonly: "yes" }. Unless told otherwise nothing is kept on disk. */
  settings?: Readonly<Record<string, string>>;
  /** Goes before redis-server at its first start, and must become it (exec): strace -D, faketime. Later starts are plain. */
  launcher?: readonly string[];
  /** In a process group of its own, so that a Ctrl-C in the terminal does not reach it. Default false. */
  isDetached?: boolean;
}

export class RedisServer {
  readonly port: number;
  readonly directory: string;
  readonly #settings: Readonly<Record<string, string>>;
  #launcher: readonly string[];
  readonly #isDetached: boolean;
  #child: Bun.Subprocess | undefined;
  #admin: ReturnType<typeof createClient> | undefined;

  constructor(port: number, directory: string, { settings = {}, launcher = [], isDetached = false }: RedisOptions) {
    this.port = port;
    this.directory = directory;
    this.#settings = settings;
    this.#launcher = launcher;
    this.#isDetached = isDetached;
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  get pid(): number {
    if (!this.#child) {
      throw new Error("this Redis does not run");
    }
    return this.#child.pid;
  }

  /** Starts it, on the port and the data that it had before. */
  async start(): Promise<void> {
    const settings = {
      port: String(this.port),
      bind: "127.0.0.1",
      dir: this.directory,
      save: "",
      appendonly: "no",
      ...this.#settings,
    };
    const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value]);
    this.#child = Bun.spawn([...this.#launcher, redisServerPath(), ...args], {
      stdin: "ignore",
      stdout: Bun.file(join(this.directory, "redis.log")),
      stderr: "ignore",
      detached: this.#isDetached,
    });
    this.#launcher = [];
    const child = this.#child;
    const answers = async () => {
      if (child.exitCode !== null) {
        throw new Error(`redis-server ended with ${child.exitCode}: ${await this.log()}`);
      }
      return (await this.command("PING").catch(() => undefined)) === "PONG";
    };
    await waitFor(`Redis on port ${this.port} answers`, answers, startTimeoutMs);
  }

  /** Sends one command over a connection of its own. */
  async command(...args: (string | Buffer)[]): Promise<unknown> {
    if (!this.#admin?.isReady) {
      this.#admin?.destroy();
      this.#admin = createClient({ url: this.url, socket: { reconnectStrategy: false }, disableOfflineQueue: true });
      // The call that met it says so.
      this.#admin.on("error", () => {});
      await this.#admin.connect();
    }
    return this.#admin.sendCommand(args);
  }

  /** Holds the process still: its port accepts connections, nothing is answered. */
  freeze(): void {
    process.kill(this.pid, "SIGSTOP");
  }

  thaw(): void {
    process.kill(this.pid, "SIGCONT");
  }

  /** Ends the process; what it has on disk stays. */
  async kill(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    this.#admin?.destroy();
    this.#admin = undefined;
    if (child) {
      child.kill(signal);
      const timer = setTimeout(() => child.kill("SIGKILL"), stopTimeoutMs);
      await child.exited;
      clearTimeout(timer);
    }
  }

  /** Ends it and removes its directory. */
  async stop(): Promise<void> {
    await this.kill();
    rmSync(this.directory, { recursive: true, force: true });
  }

  /** What it wrote to its log since it started last. */
  log(): Promise<string> {
    return Bun.file(join(this.directory, "redis.log")).text();
  }
}

/** Starts a Redis. @throws {Error} that says how to install it, where it is missing */
export async function startRedis(options: RedisOptions = {}): Promise<RedisServer> {
  const server = new RedisServer(await freePort(), mkdtempSync(join(tmpdir(), "streaming-chat-redis-")), options);
  try {
    await server.start();
  } catch (error) {
    await server.stop();
    throw error;
  }
  return server;
}

function redisServerPath(): string {
  const path = Bun.which("redis-server");
  if (!path) {
    throw new Error(
      "redis-server is not on the PATH; these tests need Redis 7: on Debian as root, apt-get install redis-server",
    );
  }
  return path;
}

/** A port of the loopback that nobody listens on. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (!address || typeof address === "string") {
    throw new Error("no free port");
  }
  return address.port;
}
