/**
 * Brings a keyspace to the tables of this release, whichever of several starting processes does it.
 *
 *     keyspace there? ─no─► create it
 *     every migration in schema_versions? ─yes─► done: a usual start reads one table and changes nothing
 *            │ no
 *     take the lock (a row with a time to live, by a conditional write) ─► apply what is missing ─► give it back
 *
 * Statements that change the schema go to one node, the same for all processes, because two nodes that create one table at
 * once give it two identities. All of them may be made twice, so a process that dies half-way leaves work, not damage.
 *
 * A migration that was released never changes: a later one follows it. It must leave the release before running: during an
 * update old processes start on new tables. So a version that this release does not know is no error.
 */
import { randomUUID } from "node:crypto";
import type { Client, Host } from "cassandra-driver";
import { backoffDelayMs, pause } from "../../lib/backoff.ts";
import { CassandraSchemaError, CassandraUnavailableError, namesWhatIsMissing } from "./errors.ts";
import rooms from "./schema/001-rooms.cql" with { type: "text" };
import history from "./schema/002-history.cql" with { type: "text" };

/** Version n is the n-th, from 1. */
export const migrations: readonly { name: string; text: string }[] = [
  { name: "001-rooms", text: rooms },
  { name: "002-history", text: history },
];

export interface PrepareKeyspaceOptions {
  keyspace: string;
  /** Replicas in each data center, if it has to be created. Undefined: it must be there. */
  replication: Readonly<Record<string, number>> | undefined;
  /** Makes a client for a keyspace, or for none; not connected yet. */
  open: (keyspace: string | undefined) => Client;
  /** Aborts the wait for another process's migrations. */
  signal: AbortSignal;
}

/** A dead process's lock ends after this. Renewed before every statement. */
const lockTtlSeconds = 60;
/** Longer than a dead process's lock. */
const lockWaitMaxMs = 2 * lockTtlSeconds * 1_000;
const lockPollMs = { baseMs: 250, maxMs: 1_000 };
/** Changing tables takes longer than reading them. */
const changeTimeoutMs = 30_000;

/**
 * @throws {CassandraSchemaError} a migration is not the one that was applied, or the keyspace is missing and may not be created
 * @throws {CassandraUnavailableError} another process holds the lock too long, or `signal` aborted; the driver's errors
 */
export async function prepareKeyspace({ keyspace, replication, open, signal }: PrepareKeyspaceOptions): Promise<void> {
  await withClient(open(undefined), (client) => ensureKeyspace(client, keyspace, replication));
  await withClient(open(keyspace), (client) => migrate(client, signal));
}

async function withClient(client: Client, work: (client: Client) => Promise<void>): Promise<void> {
  try {
    await client.connect();
    await work(client);
  } finally {
    await client.shutdown();
  }
}

async function ensureKeyspace(
  client: Client,
  keyspace: string,
  replication: Readonly<Record<string, number>> | undefined,
): Promise<void> {
  const query = "SELECT keyspace_name FROM system_schema.keyspaces WHERE keyspace_name = ?";
  const { rowLength } = await client.execute(query, [keyspace], { prepare: true });
  if (rowLength > 0) {
    return;
  }
  if (!replication) {
    throw new CassandraSchemaError(`there is no keyspace ${keyspace}, and no replication is set to create it with`);
  }
  const replicas = Object.entries(replication).map(([name, count]) => `'${name.replaceAll("'", "''")}': ${count}`);
  const map = ["'class': 'NetworkTopologyStrategy'", ...replicas].join(", ");
  await change(client, `CREATE KEYSPACE IF NOT EXISTS ${keyspace} WITH replication = {${map}}`);
}

async function migrate(client: Client, signal: AbortSignal): Promise<void> {
  if ((await missingVersions(client)).length === 0) {
    return;
  }
  await change(client, "CREATE TABLE IF NOT EXISTS schema_lock (name text PRIMARY KEY, holder uuid)");
  await change(
    client,
    // digest: SHA-256 of the migration's statements, hexadecimal.
    `CREATE TABLE IF NOT EXISTS schema_versions (
       scope text, version int, name text, digest text, applied_at timestamp, PRIMARY KEY (scope, version)
     )`,
  );
  const holder = randomUUID();
  const endMs = performance.now() + lockWaitMaxMs;
  for (let tries = 1; !(await takeLock(client, holder)); tries += 1) {
    await pause(backoffDelayMs(tries, lockPollMs), signal);
    if (signal.aborted || performance.now() > endMs) {
      throw new CassandraUnavailableError("another process is changing the tables", lockPollMs.maxMs);
    }
    // The other one may have done it all.
    if ((await missingVersions(client)).length === 0) {
      return;
    }
  }
  try {
    for (const version of await missingVersions(client)) {
      await apply(client, version, holder);
    }
  } finally {
    // If this fails, the lock's time to live does it.
    await client.execute("DELETE FROM schema_lock WHERE name = 'schema' IF holder = ?", [holder], { prepare: true });
  }
}

/** The versions of this release that are not applied yet, ascending. @throws {CassandraSchemaError} if an applied one is another */
async function missingVersions(client: Client): Promise<number[]> {
  const applied = new Map<number, string>();
  try {
    const query = "SELECT version, digest FROM schema_versions WHERE scope = 'schema'";
    const { rows } = await client.execute(query, [], { prepare: true });
    for (const row of rows) {
      applied.set(row.version, row.digest);
    }
  } catch (error) {
    // A fresh keyspace has no such table.
    if (!namesWhatIsMissing(error)) {
      throw error;
    }
  }
  return migrations.flatMap((migration, index) => {
    const digest = applied.get(index + 1);
    if (digest !== undefined && digest !== digestOf(migration.text)) {
      throw new CassandraSchemaError(
        `the tables were made by another version of migration ${migration.name}: a released migration must not change`,
      );
    }
    return digest === undefined ? [index + 1] : [];
  });
}

async function apply(client: Client, version: number, holder: string): Promise<void> {
  const { name, text } = migrations[version - 1] as (typeof migrations)[number];
  for (const statement of statementsOf(text)) {
    if (!(await takeLock(client, holder))) {
      throw new CassandraUnavailableError("the lock on the tables ended meanwhile", lockPollMs.maxMs);
    }
    await change(client, statement);
  }
  await client.execute(
    `INSERT INTO schema_versions (scope, version, name, digest, applied_at)
     VALUES ('schema', ?, ?, ?, toTimestamp(now()))`,
    [version, name, digestOf(text)],
    { prepare: true },
  );
}

/** Takes the lock or, where it is ours, holds it for another `lockTtlSeconds`. @returns whether it is ours */
async function takeLock(client: Client, holder: string): Promise<boolean> {
  const taken = await client.execute(
    `INSERT INTO schema_lock (name, holder) VALUES ('schema', ?) IF NOT EXISTS USING TTL ${lockTtlSeconds}`,
    [holder],
    { prepare: true },
  );
  if (taken.wasApplied()) {
    return true;
  }
  const renewed = await client.execute(
    `UPDATE schema_lock USING TTL ${lockTtlSeconds} SET holder = ? WHERE name = 'schema' IF holder = ?`,
    [holder, holder],
    { prepare: true },
  );
  return renewed.wasApplied();
}

/** Changes the schema, and waits until all nodes have the change. */
async function change(client: Client, statement: string): Promise<void> {
  const host = nodeForChanges(client);
  const options = { readTimeout: changeTimeoutMs, ...(host && { host }) };
  const { info } = await client.execute(statement, [], options);
  // The driver's types leave it out.
  if (!(info as { isSchemaInAgreement?: boolean }).isSchemaInAgreement) {
    throw new CassandraUnavailableError("the nodes do not agree on the tables yet", lockPollMs.maxMs);
  }
}

/** The node that all processes choose: of those in reach the one with the least id. */
function nodeForChanges(client: Client): Host | undefined {
  const up = client.hosts.values().filter((host) => host.isUp());
  return up.toSorted((a, b) => String(a.hostId).localeCompare(String(b.hostId)))[0];
}

/** A file's statements: comments begin with --, statements end with ; and neither is inside a text. */
export function statementsOf(text: string): string[] {
  const bare = text.replaceAll(/--.*$/gm, "");
  return bare.split(";").flatMap((statement) => statement.trim() || []);
}

/** Of the statements alone: comments may get better. */
function digestOf(text: string): string {
  return new Bun.CryptoHasher("sha256").update(statementsOf(text).join(";")).digest("hex");
}
