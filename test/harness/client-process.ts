/**
 * A client that we did not write, running as a process of its own for as long as its stream is open: what it prints is
 * collected, what it reads from standard input can be written piece by piece. Killed by its own process id.
 */

/** At most this much of what a client prints to standard error is kept, for the error of a failing test. */
const stderrCharsMax = 20_000;

export class ClientProcess {
  readonly #child: Bun.Subprocess<"pipe", "pipe", "pipe">;
  #stderr = "";
  readonly #ended: Promise<void>;

  /** @param onOutput is handed what the client prints to standard output, as it comes */
  constructor(argv: readonly string[], onOutput: (chunk: Uint8Array) => void, env: Record<string, string> = {}) {
    this.#child = Bun.spawn([...argv], {
      env: { ...process.env, ...env },
      stdin: "pipe",
      stdout: "pipe",
      stderr: "pipe",
    });
    const decoder = new TextDecoder();
    this.#ended = Promise.all([
      forEachChunk(this.#child.stdout, onOutput),
      forEachChunk(this.#child.stderr, (chunk) => {
        this.#stderr = (this.#stderr + decoder.decode(chunk, { stream: true })).slice(-stderrCharsMax);
      }),
    ]).then(() => {});
  }

  /** What it printed to standard error, the end of it. */
  get stderr(): string {
    return this.#stderr;
  }

  /** Undefined: it runs. */
  get exitCode(): number | undefined {
    return this.#child.exitCode ?? undefined;
  }

  write(text: string): void {
    this.#child.stdin.write(text);
    this.#child.stdin.flush();
  }

  endInput(): void {
    this.#child.stdin.end();
  }

  /** Waits until it ends by itself. @returns its exit code */
  async exited(): Promise<number> {
    await this.#ended;
    return this.#child.exited;
  }

  /** Ends it, if it still runs. */
  async stop(): Promise<void> {
    this.#child.kill();
    await this.#child.exited;
  }
}

async function forEachChunk(stream: ReadableStream<Uint8Array>, take: (chunk: Uint8Array) => void): Promise<void> {
  for await (const chunk of stream) {
    take(chunk);
  }
}
