/** The process of a bench's readers, from the side of the one who commands them. */
import { join } from "node:path";
import { waitFor } from "../../test/harness/wait-for.ts";
import { AskedProcess } from "../measuring/asked-process.ts";
import type { Counts, ReadersAnswer, ReadersCommand } from "./readers-child.ts";

/** For the last deliveries of a round to arrive. */
const arrivalTimeoutMs = 60_000;

export class ReadersProcess extends AskedProcess<ReadersCommand, ReadersAnswer> {
  constructor() {
    super(join(import.meta.dir, "readers-child.ts"));
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

  async #counts(): Promise<Counts> {
    const answer = await this.ask({ do: "count" });
    if (answer.done !== "count") {
      throw new Error(`the readers answered ${JSON.stringify(answer)}`);
    }
    return answer.counts;
  }
}
