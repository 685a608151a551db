/**
 * A part of a benchmark in a process of its own, so that its CPU time is its own: it is told over IPC what to do, one
 * command at a time, and answers each.
 *
 * The child's program calls `obeyParent`; the parent holds an `AskedProcess`. The child ends with its parent.
 */

/** What comes back over IPC. */
type Reply<Answer> = { answer: Answer } | { failed: string };

export class AskedProcess<Command, Answer> {
  readonly #process: Bun.Subprocess<"ignore", "inherit", "inherit">;
  #reply: PromiseWithResolvers<Answer> | undefined;

  /**
   * @param program path of the child's program
   * @param before a command that starts it: ["taskset", "-c", "1"]
   */
  constructor(program: string, before: readonly string[] = []) {
    this.#process = Bun.spawn([...before, process.execPath, program], {
      stdio: ["ignore", "inherit", "inherit"],
      ipc: (reply: Reply<Answer>) => {
        if ("failed" in reply) {
          this.#reply?.reject(new Error(reply.failed));
        } else {
          this.#reply?.resolve(reply.answer);
        }
      },
      onExit: (_, code, signal) => this.#reply?.reject(new Error(`${program} ended with ${code ?? signal}`)),
    });
  }

  get pid(): number {
    return this.#process.pid;
  }

  /** Sends one command, after the one before was answered. @throws {Error} what the child says has failed, or that it ended */
  async ask(command: Command): Promise<Answer> {
    this.#reply = Promise.withResolvers();
    this.#process.send(command);
    return this.#reply.promise;
  }

  async stop(): Promise<void> {
    this.#process.kill();
    await this.#process.exited;
  }
}

/** The child's side: does what it is told until its parent is gone. */
export function obeyParent<Command, Answer>(obey: (command: Command) => Promise<Answer>): void {
  process.on("message", async (command: Command) => {
    const reply: Reply<Answer> = await obey(command).then(
      (answer) => ({ answer }),
      (error) => ({ failed: error instanceof Error ? (error.stack ?? error.message) : String(error) }),
    );
    process.send?.(reply);
  });
  process.on("disconnect", () => process.exit());
}
