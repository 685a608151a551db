/** The process of a bench's readers, from the side of the one who commands them. */
import { join } from "node:path";
import { waitFor } from "../../test/harness/wait-for.ts";
import type { Counts, ReadersAnswer, ReadersCommand } from "./readers-child.ts";

/** For the last deliveries of a round to arrive. */
const arrivalTimeoutMs = 60_000;

export class ReadersProcess {
  readonly #process: Bun.Subprocess<"ignore", "inherit", "inherit">;
  #answer: (answer: ReadersAnswer) => void = () => {};

  constructor() {
    this.#process = Bun.spawn([process.execPath, join(import.meta.dir, "readers-child.ts")], {
      stdio: ["ignore", "inherit", "inherit"],
      ipc: (answer: ReadersAnswer) => this.#answer(answer),
    });
  }

  get pid(): number {
    return this.#process.pid;
  }

  /** Sends one command and waits for its answer. @throws {Error} what the readers say has failed */
  async ask(command: ReadersCommand): Promise<Exclude<ReadersAnswer, { failed: string }>> {
    const answer = await new Promise<ReadersAnswer>((resolve) => {
      this.#answer = resolve;
      this.#process.send(command);
    });
    if ("failed" in answer) {
      throw new Error(answer.failed);
    }
    return answer;
  }

  /** Waits until each reader has so many messages. @throws {Error} where one has more, or one in another order */
  async arrived(readers: number, messages: number): Promise<void> {
    await waitFor(
      `${readers} readers have ${messages} messages each`,
      async () => (await this.#counts()).fewest >= messages,
      arrivalTimeoutMs,
    );
    const { fewest, most, total, flaws } = await this.#counts();
    if (most !== messages || total !== messages * readers || flaws.doubled + flaws.reordered + flaws.lost > 0) {
      const found = `${fewest} to ${most}, ${JSON.stringify(flaws)}`;
      throw new Error(`expected ${messages} messages at each reader, found ${found}`);
    }
  }

  stop(): void {
    this.#process.kill();
  }

  async #counts(): Promise<Counts> {
    const answer = await this.ask({ do: "count" });
    if (answer.done !== "count") {
      throw new Error(`the readers answered ${JSON.stringify(answer)}`);
    }
    return answer.counts;
  }
}
