/** A worker process of a deployment under test: keeps its name and its settings from one start to the next. */
import { resolve } from "node:path";
import type { Member } from "./deployment.ts";

const program = resolve(import.meta.dir, "../../../worker/main.ts");

const startTimeoutMs = 60_000;
const stopTimeoutMs = 30_000;
/** At most this much of its log is kept. */
const logCharsMax = 100_000;

export class WorkerMember implements Member {
  readonly kind = "worker";
  readonly #settings: Readonly<Record<string, string>>;
  #child: Bun.Subprocess<"ignore", "pipe", "pipe"> | undefined;
  #log = "";

  private constructor(
    readonly name: string,
    settings: Readonly<Record<string, string>>,
  ) {
    this.#settings = settings;
  }

  /** @param settings of the worker as environment variables; its name there is `name` unless they say otherwise */
  static async start(name: string, settings: Readonly<Record<string, string>>): Promise<WorkerMember> {
    const worker = new WorkerMember(name, { WORKER_NAME: name, ...settings });
    await worker.start();
    return worker;
  }

  get isRunning(): boolean {
    return this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  get log(): string {
    return this.#log;
  }

  async start(): Promise<void> {
    const child = Bun.spawn([process.execPath, program], {
      env: { ...process.env, LOG_LEVEL: "info", ...this.#settings },
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
    });
    this.#child = child;
    void this.#keepLog(child.stderr);
    const timer = setTimeout(() => child.kill("SIGKILL"), startTimeoutMs);
    try {
      await greeting(child.stdout);
    } catch (error) {
      throw new Error(`${this.name} did not start\n${this.#log}`, { cause: error });
    } finally {
      clearTimeout(timer);
    }
  }

  async end(signal: "SIGKILL" | "SIGTERM"): Promise<number> {
    const child = this.#child;
    if (!child) {
      return -1;
    }
    child.kill(signal);
    const timer = setTimeout(() => child.kill("SIGKILL"), stopTimeoutMs);
    await child.exited;
    clearTimeout(timer);
    return child.signalCode === null ? (child.exitCode ?? -1) : -1;
  }

  freeze(): void {
    this.#child?.kill("SIGSTOP");
  }

  thaw(): void {
    this.#child?.kill("SIGCONT");
  }

  async #keepLog(stderr: ReadableStream<Uint8Array>): Promise<void> {
    const decoder = new TextDecoder();
    for await (const chunk of stderr) {
      this.#log = (this.#log + decoder.decode(chunk, { stream: true })).slice(-logCharsMax);
    }
  }
}

/** Resolves once the worker says that it is at work; goes on reading, so that it never waits for us. */
function greeting(stdout: ReadableStream<Uint8Array>): Promise<void> {
  const { promise, resolve: greeted, reject } = Promise.withResolvers<void>();
  const read = async () => {
    const decoder = new TextDecoder();
    let said = "";
    for await (const chunk of stdout) {
      if (said.length < 10_000) {
        said += decoder.decode(chunk, { stream: true });
      }
      if (said.includes("is at work")) {
        greeted();
      }
    }
    reject(new Error(`it ended; it said ${JSON.stringify(said)}`));
  };
  void read();
  return promise;
}
