/**
 * Several gateway processes on one port: starts them, starts one again that has ended, and stops them all.
 *
 * The kernel deals connections out among the processes that listen on the port (SO_REUSEPORT); they share nothing but
 * Redis and Cassandra. This is their parent, which serves nobody itself.
 *
 *     starting ──says that it serves──► serving ──ends──► pause ──► starting
 *        └──ends──► pause, or where that happened again and again: all are stopped
 *
 * State: one process for each place, and how often the place has failed in a row.
 */
import net, { type AddressInfo } from "node:net";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import type { Logger } from "pino";
import { type Backoff, backoffDelayMs, pause } from "../lib/backoff.ts";

/** How a process has ended. */
export interface ProcessEnd {
  code: number | null;
  signal: NodeJS.Signals | number | null;
}

/** A gateway process, as its parent sees it. */
export interface GatewayProcess {
  readonly pid: number;
  /** Resolves with its URL once it serves; does not settle where it ends before. */
  readonly serves: Promise<string>;
  readonly ended: Promise<ProcessEnd>;
  kill(signal: "SIGTERM" | "SIGKILL"): void;
}

/** Before a process is started again. */
const restartBackoff: Backoff = { baseMs: 500, maxMs: 10_000 };

/** Ends in a row, each without having served for `steadyMs`, after which a place is given up: about half a minute of trying. */
const failuresMax = 8;
const steadyMs = 10_000;

/** How long a process may take beyond its drain: last answers, closing the storage. */
const stopGraceMs = 15_000;

interface Running {
  readonly process: GatewayProcess;
  /** Undefined: it is still starting. */
  servesSince: number | undefined;
}

interface ProcessesOptions {
  count: number;
  /** How long readers have to go elsewhere. */
  drainTimeoutMs: number;
  logger: Logger;
  start(): GatewayProcess;
  /** Tests have times of their own. */
  now?: () => number;
  wait?: (ms: number, signal: AbortSignal) => Promise<void>;
}

export class Processes {
  /** Settles when one place could not be kept up: the others have been stopped. Never rejects. */
  readonly gaveUp: Promise<void>;
  readonly #options: ProcessesOptions;
  readonly #now: () => number;
  readonly #wait: (ms: number, signal: AbortSignal) => Promise<void>;
  readonly #running = new Set<Running>();
  readonly #stopping = new AbortController();
  #giveUp!: () => void;

  constructor(options: ProcessesOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
    this.#wait = options.wait ?? pause;
    this.gaveUp = new Promise((resolve) => {
      this.#giveUp = resolve;
    });
  }

  /**
   * Starts all and resolves when every one serves.
   * @returns their URL
   * @throws {Error} where one ends before it serves; the others have been ended then
   */
  async start(): Promise<string> {
    const started = Array.from({ length: this.#options.count }, () => this.#startOne());
    const endedEarly = started.map(async ({ process: { pid, ended } }) => {
      throw new Error(`process ${pid} ended before it served, ${describeEnd(await ended)}`);
    });
    try {
      const [url] = await Promise.race([Promise.all(started.map(({ process: { serves } }) => serves)), ...endedEarly]);
      for (const each of started) {
        void this.#keepUp(each);
      }
      return url as string;
    } catch (error) {
      this.kill();
      await Promise.all(started.map(({ process: { ended } }) => ended));
      throw error;
    }
  }

  /** Sends the readers of all away and resolves when all have ended. @throws {Error} if one did not stop in order */
  async stop(): Promise<void> {
    this.#stopping.abort();
    const timer = setTimeout(() => this.kill(), this.#options.drainTimeoutMs + stopGraceMs);
    const ends = [...this.#running].map(async ({ process, servesSince }) => {
      process.kill("SIGTERM");
      const end = await process.ended;
      // One that was still starting had no readers, and no ear for signals.
      return { pid: process.pid, end, isBad: servesSince !== undefined && end.code !== 0 };
    });
    const bad = (await Promise.all(ends)).filter(({ isBad }) => isBad);
    clearTimeout(timer);
    if (bad.length > 0) {
      throw new Error(
        bad.map(({ pid, end }) => `process ${pid} did not stop in order, ${describeEnd(end)}`).join("; "),
      );
    }
  }

  /** Ends all at once. */
  kill(): void {
    this.#stopping.abort();
    for (const { process } of this.#running) {
      process.kill("SIGKILL");
    }
  }

  #startOne(): Running {
    const started: Running = { process: this.#options.start(), servesSince: undefined };
    this.#running.add(started);
    void started.process.serves.then(() => {
      started.servesSince = this.#now();
      this.#options.logger.info({ gatewayPid: started.process.pid }, "a process serves");
    });
    void started.process.ended.then(() => this.#running.delete(started));
    return started;
  }

  /** Keeps one place filled until all are stopped. */
  async #keepUp(first: Running): Promise<void> {
    const { logger } = this.#options;
    const { signal } = this.#stopping;
    let running = first;
    let failures = 0;
    for (;;) {
      const { pid, ended } = running.process;
      const end = await ended;
      if (signal.aborted) {
        return;
      }
      const { servesSince } = running;
      const wasSteady = servesSince !== undefined && this.#now() - servesSince >= steadyMs;
      failures = wasSteady ? 1 : failures + 1;
      if (failures > failuresMax) {
        logger.error({ gatewayPid: pid, ...end, failures }, "a process ends again and again: stopping all");
        await this.stop().catch((error) => logger.error({ err: error }, "stopping failed"));
        this.#giveUp();
        return;
      }
      const delayMs = Math.round(backoffDelayMs(failures, restartBackoff));
      logger.warn({ gatewayPid: pid, ...end, delayMs }, "a process has ended; another takes its place");
      await this.#wait(delayMs, signal);
      if (signal.aborted) {
        return;
      }
      running = this.#startOne();
    }
  }
}

/** Starts a gateway (`gateway-child.ts`) with the flags of this process. @param port not 0 */
export function startGatewayProcess(flags: readonly string[], port: number): GatewayProcess {
  const serves = Promise.withResolvers<string>();
  const program = join(import.meta.dir, "gateway-child.ts");
  const child = Bun.spawn([process.execPath, program, ...flags, "--port", String(port)], {
    stdio: ["ignore", "inherit", "inherit"],
    ipc: (url: string) => serves.resolve(url),
    // A Ctrl-C in the terminal is for the parent, which stops the others in order.
    detached: true,
  });
  return {
    pid: child.pid,
    serves: serves.promise,
    ended: child.exited.then(() => ({ code: child.exitCode, signal: child.signalCode })),
    kill: (signal) => child.kill(signal),
  };
}

/** @param processes 0: as many as there are cores */
export function processCount(processes: number): number {
  return processes === 0 ? availableParallelism() : processes;
}

/**
 * The port that all shall share, free as of now. Sharing is by consent of the processes, so without a look before two
 * chats on one port would not be noticed: each would get some of the other's readers.
 * @param port 0: any free one
 * @throws {Error} EADDRINUSE
 */
export async function freePort(host: string, port: number): Promise<number> {
  const server = net.createServer();
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen({ host, port }, resolve);
  });
  const address = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return address.port;
}

function describeEnd({ code, signal }: ProcessEnd): string {
  return signal ? `by ${signal}` : `with ${code}`;
}
