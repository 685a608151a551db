/** The table of the history as a benchmark sees it: emptied before a round, counted after it, beside the store that is measured. */
import { Client } from "cassandra-driver";
import type { FreshKeyspace } from "../../test/harness/cassandra.ts";

const pageRows = 5_000;
/** Emptying a table waits for the disk. */
const readTimeoutMs = 60_000;
const restMs = 500;
const looksMax = 60;

export class HistoryTable {
  readonly #client: Client;

  /** @param keyspace must be there when the first method is called */
  constructor({ contactPoints, localDataCenter, keyspace }: FreshKeyspace) {
    this.#client = new Client({
      contactPoints,
      localDataCenter,
      keyspace,
      socketOptions: { readTimeout: readTimeoutMs },
      monitorReporting: { enabled: false },
    });
  }

  async empty(): Promise<void> {
    await this.#client.execute("TRUNCATE history");
    await this.#client.execute("TRUNCATE history_buckets");
  }

  /** Rows of all rooms. */
  async rows(): Promise<number> {
    const found = await this.#client.execute("SELECT seq FROM history", [], { prepare: true, fetchSize: pageRows });
    let rows = 0;
    for await (const _ of found) {
      rows += 1;
    }
    return rows;
  }

  /** The same, once it does not change any more: a request that failed may take place a moment later. */
  async rowsAtRest(): Promise<number> {
    let before = await this.rows();
    for (let looks = 0; looks < looksMax; looks += 1) {
      await Bun.sleep(restMs);
      const now = await this.rows();
      if (now === before) {
        return now;
      }
      before = now;
    }
    throw new Error(`the table still changes after ${looksMax * restMs} ms`);
  }

  close(): Promise<void> {
    return this.#client.shutdown();
  }
}
