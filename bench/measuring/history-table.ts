/** The table of the history as a benchmark sees it: emptied before a round, counted after it, beside the store that is measured. */
import { Client } from "cassandra-driver";
import type { FreshKeyspace } from "../../test/harness/cassandra.ts";

const pageRows = 5_000;
/** Emptying a table waits for the disk. */
const readTimeoutMs = 60_000;

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

  close(): Promise<void> {
    return this.#client.shutdown();
  }
}
