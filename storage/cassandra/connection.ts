/**
 * The connection to Cassandra that the stores of one process share: how it is made, kept and bounded, and how every
 * request is made: prepared, at a consistency that the settings name, with a bound in time.
 *
 * It stands under the Cassandra history and room directory. It owns the driver's client, with its pools, and the loop that
 * makes the first connection; nothing here knows what a row means.
 *
 *     connecting ──► ready ──► closed        a lost connection stays "ready": the driver brings it back by itself, every
 *        │  ▲          │                     500 ms, and meanwhile requests fail at once
 *        └──┘          └─ a schema that is not ours: failed, for good
 */
import type { ConnectionOptions } from "node:tls";
import { type ArrayOrObject, Client, type types as driver, type Host, policies, types } from "cassandra-driver";
import { type Backoff, backoffDelayMs, pause } from "../../lib/backoff.ts";
import {
  CassandraSchemaError,
  CassandraUnavailableError,
  isOutOfReach,
  isPassing,
  namesWhatIsMissing,
} from "./errors.ts";
import { prepareKeyspace } from "./schema.ts";

/** Replicas that must have answered. LOCAL_…: of the local data center. */
export type CassandraConsistency = "ONE" | "LOCAL_ONE" | "QUORUM" | "LOCAL_QUORUM" | "EACH_QUORUM" | "ALL";

/** Told what happens to the connection. Synchronous; must not throw. */
export interface CassandraObserver {
  /** The first connection, or the schema, failed; the next try is in `pauseMs`. Undefined: there is none. */
  connectFailed?(error: unknown, pauseMs: number | undefined): void;
  /** A node, as "address:port", is out of reach or no longer part of the cluster; told at least once. */
  hostDown?(address: string): void;
  /** A node is in reach again, or new; told at least once. */
  hostUp?(address: string): void;
}

export interface CassandraOptions {
  /** "host" or "host:port", at least one; the driver finds the other nodes. */
  contactPoints: readonly string[];
  /** The data center of this process, as Cassandra calls it: requests stay in it. */
  localDataCenter: string;
  /** Lower-case letters, digits, _; begins with a letter; at most 48 characters. */
  keyspace: string;
  /**
   * Replicas in each data center, for a keyspace that is not there yet: it is created. One that is there stays as it is.
   * Undefined: the keyspace must be there.
   */
  replication?: Readonly<Record<string, number>> | undefined;
  /** Default LOCAL_QUORUM, for reads and writes: what was written is read, with one replica of three away. */
  consistency?: CassandraConsistency | undefined;
  credentials?: { username: string; password: string } | undefined;
  /** TLS: PEM texts, as node:tls takes them. {} trusts the system's authorities. Undefined: cleartext. */
  tls?: Pick<ConnectionOptions, "ca" | "cert" | "key" | "passphrase" | "servername" | "rejectUnauthorized"> | undefined;
  /** How long one request may go unanswered. Default 3,000. */
  requestTimeoutMs?: number | undefined;
  /** How long opening a connection may take. Default 5,000. */
  connectTimeoutMs?: number | undefined;
  observer?: CassandraObserver | undefined;
}

export interface CassandraStatement {
  query: string;
  params: unknown[];
}

/** Between two tries to bring back a node. The driver's own policy grows to ten minutes, and was seen to stay away for 22 s after a node was back. */
const reconnectionDelayMs = 500;
/** A connection that answers nothing is noticed after this and the request timeout. */
const heartbeatIntervalMs = 5_000;
/** Of one connection to one node; one more is refused. */
const requestsInFlightMax = 2_048;
/** When a caller who was refused for want of a node may come again: the driver has looked for one twice by then. */
const retryAfterMs = 2 * reconnectionDelayMs;
/** Between two tries to make the first connection. */
const connectBackoff: Backoff = { baseMs: 200, maxMs: 5_000 };

/** How often a request is made that fails in passing, such as a write that timed out among the replicas. */
const triesMax = 3;
const passingBackoff: Backoff = { baseMs: 50, maxMs: 500 };

export class CassandraConnection {
  readonly #options: CassandraOptions;
  readonly #closing = new AbortController();
  readonly #ready = Promise.withResolvers<void>();
  readonly #connecting: Promise<void>;
  #client: Client | undefined;
  /** Why there is no client. */
  #failure: unknown;

  /** Begins to connect. @throws {RangeError} if the keyspace has no proper name */
  constructor(options: CassandraOptions) {
    if (!/^[a-z][a-z0-9_]{0,47}$/.test(options.keyspace)) {
      throw new RangeError(
        `not a name of a keyspace: ${JSON.stringify(options.keyspace)}; expected [a-z][a-z0-9_]{0,47}`,
      );
    }
    this.#options = options;
    // Those who do not ask learn of a failure by their requests.
    this.#ready.promise.catch(() => {});
    this.#connecting = this.#connect();
  }

  /**
   * Resolves once there is a connection and the tables are there; waits for a Cassandra that is away.
   * @throws {CassandraSchemaError} the keyspace has other tables
   * @throws {CassandraUnavailableError} it was closed before
   */
  ready(): Promise<void> {
    return this.#ready.promise;
  }

  /**
   * Makes one request, again where it fails in passing; so it must be one that can be made twice.
   * @param rowsMax the most rows of the answer: what is beyond them is not fetched
   * @throws {CassandraUnavailableError} others are the statement's own fault
   */
  execute({ query, params }: CassandraStatement, rowsMax?: number): Promise<driver.ResultSet> {
    const options = { prepare: true, isIdempotent: true, ...(rowsMax !== undefined && { fetchSize: rowsMax }) };
    return this.#request((client) => client.execute(query, params as ArrayOrObject, options));
  }

  /** Makes several writes to one partition as one; otherwise as `execute`. */
  async writePartition(statements: readonly CassandraStatement[]): Promise<void> {
    const [only] = statements;
    if (only && statements.length === 1) {
      await this.execute(only);
      return;
    }
    // Unlogged: a batch of one partition is one mutation, all of it or nothing, without the log of batches.
    const options = { prepare: true, isIdempotent: true, logged: false };
    await this.#request((client) => client.batch(statements as { query: string; params: ArrayOrObject }[], options));
  }

  /**
   * Makes a conditional write (a lightweight transaction). Without an answer in time it is made again, so the statement
   * must let its caller recognise its own earlier success.
   */
  executeConditional({ query, params }: CassandraStatement): Promise<driver.ResultSet> {
    return this.#request((client) => client.execute(query, params as ArrayOrObject, { prepare: true }));
  }

  /** Lets go of everything. Requests under way may fail. Closing twice is harmless. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#connecting;
    const client = this.#client;
    this.#client = undefined;
    this.#failure ??= new Error("the connection is closed");
    await client?.shutdown();
  }

  async #request<T>(make: (client: Client) => Promise<T>): Promise<T> {
    for (let tries = 1; ; tries += 1) {
      if (!this.#client) {
        throw unavailable("there is no connection to Cassandra", this.#failure);
      }
      try {
        return await make(this.#client);
      } catch (error) {
        if (!isOutOfReach(error)) {
          throw error;
        }
        if (!isPassing(error) || tries >= triesMax || this.#closing.signal.aborted) {
          throw unavailable("Cassandra did not do it", error);
        }
        await pause(backoffDelayMs(tries, passingBackoff), this.#closing.signal);
      }
    }
  }

  async #connect(): Promise<void> {
    const { observer } = this.#options;
    const { signal } = this.#closing;
    for (let tries = 1; !signal.aborted; tries += 1) {
      try {
        this.#client = await this.#connectOnce();
        this.#failure = undefined;
        this.#ready.resolve();
        return;
      } catch (error) {
        this.#failure = error;
        if (!mayPass(error)) {
          observer?.connectFailed?.(error, undefined);
          const message = `the keyspace ${this.#options.keyspace} cannot be used: ${(error as Error).message}`;
          this.#ready.reject(
            error instanceof CassandraSchemaError ? error : new CassandraSchemaError(message, { cause: error }),
          );
          return;
        }
        const pauseMs = backoffDelayMs(tries, connectBackoff);
        observer?.connectFailed?.(error, pauseMs);
        await pause(pauseMs, signal);
      }
    }
    this.#ready.reject(unavailable("the connection to Cassandra was closed", this.#failure));
  }

  async #connectOnce(): Promise<Client> {
    const { keyspace, observer } = this.#options;
    await prepareKeyspace({
      keyspace,
      replication: this.#options.replication,
      open: (name) => new Client(clientOptions(this.#options, name)),
      signal: this.#closing.signal,
    });
    const client = new Client(clientOptions(this.#options, keyspace));
    await client.connect();
    // Where all nodes were away, the driver may begin a new list of them: then none comes "up", but the same is "added".
    for (const event of ["hostDown", "hostRemove"]) {
      client.on(event, ({ address }: Host) => observer?.hostDown?.(address));
    }
    for (const event of ["hostUp", "hostAdd"]) {
      client.on(event, ({ address }: Host) => observer?.hostUp?.(address));
    }
    return client;
  }
}

/** Whether a failure to connect may end by itself, also because another process is making the keyspace. */
function mayPass(error: unknown): boolean {
  return isOutOfReach(error) || error instanceof CassandraUnavailableError || namesWhatIsMissing(error);
}

function clientOptions(options: CassandraOptions, keyspace: string | undefined) {
  const { consistency = "LOCAL_QUORUM", credentials, tls } = options;
  const { consistencies } = types;
  return {
    contactPoints: [...options.contactPoints],
    localDataCenter: options.localDataCenter,
    ...(keyspace !== undefined && { keyspace }),
    ...(credentials && { credentials }),
    ...(tls && { sslOptions: { rejectUnauthorized: true, ...tls } }),
    policies: {
      reconnection: new policies.reconnection.ConstantReconnectionPolicy(reconnectionDelayMs),
      // On another node at once; after that the rules of `#request` hold, and the callers' own.
      retry: new policies.retry.IdempotenceAwareRetryPolicy(new policies.retry.RetryPolicy()),
    },
    pooling: { heartBeatInterval: heartbeatIntervalMs, maxRequestsPerConnection: requestsInFlightMax },
    socketOptions: {
      readTimeout: options.requestTimeoutMs ?? 3_000,
      connectTimeout: options.connectTimeoutMs ?? 5_000,
    },
    queryOptions: {
      consistency: consistencies[consistencyKeys[consistency]],
      // Conditional writes agree within the data center where the others do.
      serialConsistency: consistency.startsWith("LOCAL_") ? consistencies.localSerial : consistencies.serial,
    },
    encoding: { useBigIntAsLong: true },
    monitorReporting: { enabled: false },
  };
}

const consistencyKeys = {
  ONE: "one",
  LOCAL_ONE: "localOne",
  QUORUM: "quorum",
  LOCAL_QUORUM: "localQuorum",
  EACH_QUORUM: "eachQuorum",
  ALL: "all",
} as const satisfies Record<CassandraConsistency, keyof typeof types.consistencies>;

function unavailable(what: string, cause: unknown): CassandraUnavailableError {
  const why = cause instanceof Error ? `: ${cause.message}` : "";
  return new CassandraUnavailableError(`${what}${why}`, retryAfterMs, { cause });
}
