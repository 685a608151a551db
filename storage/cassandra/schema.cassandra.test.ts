/** How a keyspace gets its tables: by many at once, after one that died, and not when they are somebody else's. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { Client } from "cassandra-driver";
import {
  type CassandraNode,
  cassandraStartTimeoutMs,
  type FreshKeyspace,
  sharedCassandra,
} from "../../test/harness/cassandra.ts";
import { mustRunCommand } from "../../test/harness/command.ts";
import { CassandraSchemaError } from "./errors.ts";
import { openCassandra } from "./open-cassandra.ts";
import { migrations, statementsOf } from "./schema.ts";

let node: CassandraNode;
/** In no keyspace: for what tests do behind the storage's back. */
let admin: Client;

beforeAll(async () => {
  node = await sharedCassandra();
  admin = new Client({ contactPoints: [node.contactPoint], localDataCenter: "datacenter1" });
  await admin.connect();
}, cassandraStartTimeoutMs);

afterAll(() => admin?.shutdown());

/** Changing tables takes a while on a busy machine. */
const timeoutMs = 60_000;

async function openAndClose(options: FreshKeyspace): Promise<void> {
  const storage = openCassandra(options);
  try {
    await storage.ready();
  } finally {
    await storage.close();
  }
}

const run = (query: string, params: unknown[] = []) => admin.execute(query, params, { prepare: params.length > 0 });

async function appliedVersions(keyspace: string): Promise<number[]> {
  const { rows } = await run(`SELECT version FROM ${keyspace}.schema_versions WHERE scope = 'schema'`);
  return rows.map((row) => row.version);
}

const createKeyspace = (keyspace: string) =>
  run(`CREATE KEYSPACE ${keyspace} WITH replication = {'class': 'NetworkTopologyStrategy', 'datacenter1': 1}`);

describe("the tables of a keyspace", () => {
  test(
    "are made once by four processes that start at the same time, and all of them can use them",
    async () => {
      const options = node.freshKeyspace();
      const child = join(import.meta.dir, "open-cassandra-child.ts");
      await Promise.all(
        [0, 1, 2, 3].map((number) =>
          mustRunCommand([process.execPath, child, JSON.stringify(options), String(number)], { timeoutMs }),
        ),
      );
      expect(await appliedVersions(options.keyspace)).toEqual(migrations.map((_, index) => index + 1));
      const storage = openCassandra(options);
      await storage.ready();
      expect(await storage.history.page("a", { entriesMax: 10, from: "oldest" })).toHaveLength(4);
      expect((await storage.rooms.list({ roomsMax: 10 })).rooms).toHaveLength(4);
      await storage.close();
      const { rows } = await run(`SELECT name FROM ${options.keyspace}.schema_lock`);
      expect(rows).toEqual([]);
    },
    timeoutMs,
  );

  test(
    "are finished after a process that died over them, once its lock has ended",
    async () => {
      const options = node.freshKeyspace();
      const { keyspace } = options;
      await createKeyspace(keyspace);
      await run(`CREATE TABLE ${keyspace}.schema_lock (name text PRIMARY KEY, holder uuid)`);
      await run(
        `INSERT INTO ${keyspace}.schema_lock (name, holder) VALUES ('schema', uuid()) IF NOT EXISTS USING TTL 3`,
      );
      const [first = ""] = statementsOf(migrations[0]?.text ?? "");
      await run(first.replace("EXISTS rooms", `EXISTS ${keyspace}.rooms`));
      await openAndClose(options);
      expect(await appliedVersions(keyspace)).toEqual(migrations.map((_, index) => index + 1));
    },
    timeoutMs,
  );

  test(
    "may be newer than this release, but not made by another form of its migrations",
    async () => {
      const options = node.freshKeyspace();
      await openAndClose(options);
      const versions = `${options.keyspace}.schema_versions`;
      await run(`INSERT INTO ${versions} (scope, version, name, digest) VALUES ('schema', 99, '099-later', 'x')`);
      await openAndClose(options);
      await run(`UPDATE ${versions} SET digest = 'x' WHERE scope = 'schema' AND version = 2`);
      const refused = await openAndClose(options).catch((error) => error);
      expect(refused).toBeInstanceOf(CassandraSchemaError);
      expect(refused.message).toContain("002-history");
    },
    timeoutMs,
  );

  test("need a keyspace: one that is missing, with no replication to create it with, is an error that says so", async () => {
    const { replication: _, ...options } = node.freshKeyspace();
    const failures: unknown[] = [];
    const storage = openCassandra({ ...options, observer: { connectFailed: (error) => failures.push(error) } });
    const refused = await storage.ready().catch((error) => error);
    expect(refused).toBeInstanceOf(CassandraSchemaError);
    expect(refused.message).toContain(options.keyspace);
    expect(failures).toEqual([refused]);
    // The stores tell it as something that may pass, so that no entry is given up for it.
    const write = await storage.history
      .write([{ roomId: "a", position: { epoch: 1, seq: 0 }, acceptedMs: 1, event: new Uint8Array() }])
      .catch((error) => error);
    expect(write).toMatchObject({ name: "HistoryUnavailableError", retryable: true });
    expect(write.message).toContain(options.keyspace);
    await storage.close();
  });

  test("need a keyspace with a proper name", () => {
    for (const keyspace of ["", "1st", "Chat", "chat-1", "x".repeat(49), 'chat" WITH']) {
      expect(() => openCassandra({ ...node.freshKeyspace(), keyspace })).toThrow(RangeError);
    }
  });
});
