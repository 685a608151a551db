/**
 * A way to Redis that knows when it is open and never repeats a command by itself.
 *
 * `RedisConnection` is one connection to one server. The client underneath may not reconnect: a command belongs to one
 * connection, and each new one begins by reading whose life of which server this is, so what is sent always goes with the
 * incarnation of the server that gets it (the fence in append.lua rests on that). Whoever needs Pub/Sub, blocking reads or scripts takes a
 * connection for each. `RedisClusterLink` is the same to a Redis Cluster, where the client finds the node of a key.
 *
 * It owns its socket, the timer that finds a server that does not answer, and the loop that connects again.
 */
import { createClient, createCluster, ErrorReply, RESP_TYPES } from "redis";
import { type Backoff, backoffDelayMs, pause } from "../../../lib/backoff.ts";
import { RoomLogFullError, RoomLogUnavailableError } from "../errors.ts";

/** Where Redis is: one server by URL (redis:// or rediss://, with user and password), or some nodes of a cluster. */
export type RedisEndpoint = { url: string } | { cluster: readonly string[] };

export interface RedisLinkOptions {
  /** For messages. */
  name: string;
  /** After this a server that does not answer counts as away, and what waits for it is refused. */
  answerTimeoutMs: number;
  /** Commands that may wait for their answers; beyond it they are refused. */
  commandsMax: number;
  /** What errors tell callers to wait. */
  retryAfterMs: number;
  /** It is open, for the first time or again; whatever the connection before had subscribed to is gone. */
  up?: (() => void) | undefined;
  /** It is not open any more, or could not be opened. */
  down?: ((error: unknown) => void) | undefined;
}

export type RedisArgument = string | Buffer;
export type ReplyOf = "text" | "bytes";
export type ChannelListener = (payload: Buffer, channel: Buffer) => void;

export interface RedisLink {
  readonly isCluster: boolean;
  /**
   * The life of the server at the other end: "<run_id>:<master_replid>". The first changes with a restart, the second when
   * the server is made a master, so also when it was a replica in between and lost what it alone had. "": a cluster, each
   * node has its own. Undefined: not open.
   */
  readonly incarnation: string | undefined;
  /** Counts openings. */
  readonly generation: number;
  /**
   * Sends a command, or rejects at once if the link is not open. It is never sent twice.
   * @param key decides the node on a cluster
   * @param reply whether strings in the answer come as text or as bytes
   * @throws {RedisReplyError} Redis refuses it: nothing was done
   * @throws {RoomLogUnavailableError} no answer; it may or may not have been done
   * @throws {RoomLogFullError} too many commands wait
   */
  send(key: string, args: readonly RedisArgument[], reply?: ReplyOf): Promise<unknown>;
  /** Subscribes to sharded channels. */
  subscribe(channels: readonly string[], listener: ChannelListener): Promise<void>;
  unsubscribe(channels: readonly string[], listener: ChannelListener): Promise<void>;
  /** The other end seems not to be what it should: begins anew. */
  renew(reason: Error): void;
  /** Resolves when it is open for the first time. @throws {RoomLogUnavailableError} after `timeoutMs` */
  opened(timeoutMs: number): Promise<void>;
  close(): Promise<void>;
}

/** An error that Redis answered. */
export class RedisReplyError extends Error {
  override readonly name = "RedisReplyError";
  /** The first word: WRONGTYPE, OOM, NOSCRIPT … */
  readonly code: string;
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = /^\S+/.exec(message)?.[0] ?? "";
  }
}

export function openRedisLink(endpoint: RedisEndpoint, options: RedisLinkOptions): RedisLink {
  return "url" in endpoint
    ? new RedisConnection(endpoint.url, options)
    : new RedisClusterLink(endpoint.cluster, options);
}

/** Quick at first: most often it was one connection that broke. */
const reconnectBackoff: Backoff = { baseMs: 50, maxMs: 2_000 };

const replyMappings = {
  text: {},
  bytes: { [RESP_TYPES.BLOB_STRING]: Buffer },
} as const;

/** A node:redis channel subscription costs one line of the command; this many make a packet of a few tens of kB. */
const channelsPerCommandMax = 500;

/**
 * Places in a client's queue that are never given away: the client's PING and the look at the incarnation stand in it too, and
 * where one finds no place the connection counts as broken, with all that waits for an answer on it.
 */
const commandsOfItsOwn = 100;

function newClient(url: string, { answerTimeoutMs, commandsMax }: RedisLinkOptions) {
  return createClient({
    url,
    disableOfflineQueue: true,
    commandsQueueMaxLength: commandsMax + commandsOfItsOwn,
    // Shorter than socketTimeout, or an idle connection would be ended.
    pingInterval: Math.ceil(answerTimeoutMs / 2),
    maintNotifications: "disabled",
    socket: { connectTimeout: answerTimeoutMs, socketTimeout: answerTimeoutMs, reconnectStrategy: false },
  });
}

type Client = ReturnType<typeof newClient>;

/** What both links do alike: open, notice the end, open again after a pause; be open or refuse. */
abstract class ReopeningLink<C> {
  protected readonly options: RedisLinkOptions;
  /** Undefined: not open. */
  protected client: C | undefined;
  protected lastError: unknown;
  readonly #what: string;
  readonly #closing = new AbortController();
  readonly #firstOpened = Promise.withResolvers<void>();
  #incarnation: string | undefined;
  #generation = 0;
  #end: ((error: unknown) => void) | undefined;
  #watch: ReturnType<typeof setInterval> | undefined;
  #running: Promise<void> | undefined;

  constructor(what: string, options: RedisLinkOptions) {
    this.#what = what;
    this.options = options;
  }

  get incarnation(): string | undefined {
    return this.#incarnation;
  }

  get generation(): number {
    return this.#generation;
  }

  renew(reason: unknown): void {
    this.#end?.(reason);
  }

  async opened(timeoutMs: number): Promise<void> {
    const timeout = Promise.withResolvers<void>();
    const timer = setTimeout(() => timeout.reject(this.unavailable()), timeoutMs);
    await Promise.race([this.#firstOpened.promise, timeout.promise]).finally(() => clearTimeout(timer));
  }

  async close(): Promise<void> {
    this.#closing.abort();
    clearInterval(this.#watch);
    this.#end?.(new Error("closed"));
    await this.#running;
  }

  /** A client that is not connected yet and tells `end` when it is no use any more. */
  protected abstract make(end: (error: unknown) => void): C;
  /** Connects it. @returns the server's incarnation */
  protected abstract connect(client: C): Promise<string>;
  /** Closes it at once; what waits for an answer of it is rejected. Must be harmless at any time. */
  protected abstract drop(client: C): void;
  /** Called a few times within the answer timeout. */
  protected abstract checkAnswers(): void;

  /** Not in the constructor: the class below has its fields only after that. */
  protected begin(): void {
    this.#watch = setInterval(() => this.checkAnswers(), Math.ceil(this.options.answerTimeoutMs / 4));
    this.#running = this.#run();
  }

  /** The client, where the link is open. @throws {RoomLogUnavailableError} */
  protected openClient(): C {
    if (!this.client) {
      throw this.unavailable();
    }
    return this.client;
  }

  protected unavailable(): RoomLogUnavailableError {
    const { name, retryAfterMs } = this.options;
    const why = this.#closing.signal.aborted ? "the room log is closed" : `${this.#what} (${name}) is out of reach`;
    return new RoomLogUnavailableError(why, retryAfterMs, { cause: this.lastError });
  }

  async #run(): Promise<void> {
    const { signal } = this.#closing;
    let failures = 0;
    while (!signal.aborted) {
      const ended = Promise.withResolvers<void>();
      let isEnded = false;
      // Ending is synchronous: from the moment that it is known nothing is sent here any more.
      const end = (error: unknown) => {
        if (isEnded) {
          return;
        }
        isEnded = true;
        this.lastError = error;
        this.client = undefined;
        this.#incarnation = undefined;
        this.drop(client);
        ended.resolve();
      };
      const client = this.make(end);
      this.#end = end;
      try {
        const incarnation = await this.connect(client);
        if (signal.aborted) {
          end(new Error("closed"));
        } else if (!isEnded) {
          failures = 0;
          this.client = client;
          this.#incarnation = incarnation;
          this.#generation += 1;
          this.#firstOpened.resolve();
          this.options.up?.();
        }
      } catch (error) {
        end(error);
      }
      await ended.promise;
      if (signal.aborted) {
        return;
      }
      this.options.down?.(this.lastError);
      failures += 1;
      await pause(backoffDelayMs(failures, reconnectBackoff), signal);
    }
  }
}

class RedisConnection extends ReopeningLink<Client> implements RedisLink {
  readonly isCluster = false;
  readonly #url: string;
  #checkingIncarnation = false;
  /** Commands without an answer, and since when nothing was answered. */
  #waiting = 0;
  #quietSinceMs = 0;

  constructor(url: string, options: RedisLinkOptions) {
    super("Redis", options);
    this.#url = url;
    this.begin();
  }

  async send(_key: string, args: readonly RedisArgument[], reply: ReplyOf = "text"): Promise<unknown> {
    const client = this.openClient();
    const { commandsMax, retryAfterMs } = this.options;
    if (this.#waiting >= commandsMax) {
      throw new RoomLogFullError(this.#waiting, commandsMax, retryAfterMs);
    }
    return this.#answered(client.sendCommand([...args], { typeMapping: replyMappings[reply] }));
  }

  async subscribe(channels: readonly string[], listener: ChannelListener): Promise<void> {
    await this.#inParts(channels, (client, part) => client.sSubscribe(part, listener, true));
  }

  async unsubscribe(channels: readonly string[], listener: ChannelListener): Promise<void> {
    await this.#inParts(channels, (client, part) => client.sUnsubscribe(part, listener, true));
  }

  protected override make(end: (error: unknown) => void): Client {
    const client = newClient(this.#url, this.options);
    client.on("error", end);
    return client;
  }

  protected override async connect(client: Client): Promise<string> {
    await client.connect();
    return readIncarnation(client);
  }

  protected override drop(client: Client): void {
    client.destroy();
  }

  /** The client's own socketTimeout starts anew with each write, so a busy connection to a frozen server would never reach it. */
  protected override checkAnswers(): void {
    const { answerTimeoutMs } = this.options;
    if (this.client && this.#waiting > 0 && performance.now() - this.#quietSinceMs > answerTimeoutMs) {
      this.renew(new Error(`no answer within ${answerTimeoutMs} ms`));
    }
    void this.#checkIncarnation();
  }

  /** A master that is made a replica and a master again keeps its connections. */
  async #checkIncarnation(): Promise<void> {
    const { client } = this;
    if (!client || this.#checkingIncarnation) {
      return;
    }
    this.#checkingIncarnation = true;
    try {
      const incarnation = await this.#answered(readIncarnation(client));
      if (client === this.client && incarnation !== this.incarnation) {
        this.renew(new Error("the server was made a replica or a master"));
      }
    } catch (error) {
      if (client === this.client) {
        this.renew(error);
      }
    } finally {
      this.#checkingIncarnation = false;
    }
  }

  async #inParts(channels: readonly string[], send: (client: Client, part: string[]) => Promise<void>): Promise<void> {
    for (let at = 0; at < channels.length; at += channelsPerCommandMax) {
      await this.#answered(send(this.openClient(), channels.slice(at, at + channelsPerCommandMax)));
    }
  }

  async #answered<T>(command: Promise<T>): Promise<T> {
    if (this.#waiting === 0) {
      this.#quietSinceMs = performance.now();
    }
    this.#waiting += 1;
    try {
      return await command;
    } catch (error) {
      throw translate(error, this.options);
    } finally {
      this.#waiting -= 1;
      this.#quietSinceMs = performance.now();
    }
  }
}

/** The oldest server that has all commands and script flags used here. */
const versionMin = 7;

/** @throws {Error} the server is too old, or a replica: it would refuse what is written */
async function readIncarnation(client: Client): Promise<string> {
  const info = String(await client.sendCommand(["INFO", "server", "replication"]));
  const value = (name: string) => new RegExp(`^${name}:(\\w+)`, "m").exec(info)?.[1];
  if (Number(value("redis_version")) < versionMin) {
    throw new Error(`Redis ${versionMin} or later is needed, this one says it is ${value("redis_version")}`);
  }
  if (value("role") !== "master") {
    throw new Error("this Redis is a replica");
  }
  return `${value("run_id")}:${value("master_replid")}`;
}

type Cluster = ReturnType<typeof newCluster>;

/** Commands to a cluster go by their key; a node that does not answer must not hold up those to others. */
class RedisClusterLink extends ReopeningLink<Cluster> implements RedisLink {
  readonly isCluster = true;
  readonly #urls: readonly string[];
  /** Commands without an answer, the oldest first. */
  readonly #waiting = new Set<{ sinceMs: number; refuse: (error: Error) => void }>();

  constructor(urls: readonly string[], options: RedisLinkOptions) {
    super("the Redis Cluster", options);
    this.#urls = urls;
    this.begin();
  }

  async send(key: string, args: readonly RedisArgument[], reply: ReplyOf = "text"): Promise<unknown> {
    const cluster = this.openClient();
    const { commandsMax, retryAfterMs } = this.options;
    if (this.#waiting.size >= commandsMax) {
      throw new RoomLogFullError(this.#waiting.size, commandsMax, retryAfterMs);
    }
    return new Promise((resolve, reject) => {
      const waiting = { sinceMs: performance.now(), refuse: reject };
      this.#waiting.add(waiting);
      cluster
        .sendCommand(key, false, [...args], { typeMapping: replyMappings[reply] })
        .then(resolve, (error) => reject(translate(error, this.options)))
        .finally(() => this.#waiting.delete(waiting));
    });
  }

  /** One by one: channels of different slots may not stand in one command. */
  async subscribe(channels: readonly string[], listener: ChannelListener): Promise<void> {
    await this.#eachChannel(channels, (cluster, channel) => cluster.sSubscribe(channel, listener, true));
  }

  async unsubscribe(channels: readonly string[], listener: ChannelListener): Promise<void> {
    await this.#eachChannel(channels, async (cluster, channel) => cluster.sUnsubscribe(channel, listener, true));
  }

  protected override make(): Cluster {
    const cluster = newCluster(this.#urls, this.options);
    for (const event of ["error", "node-error"]) {
      cluster.on(event, (error) => {
        this.lastError = error;
      });
    }
    // The client mends single nodes by itself; what a node's Pub/Sub connection missed must be read again.
    cluster.on("node-ready", () => {
      if (this.client === cluster) {
        this.options.up?.();
      }
    });
    return cluster;
  }

  /** @returns "": each node has its own */
  protected override async connect(cluster: Cluster): Promise<string> {
    await cluster.connect();
    return "";
  }

  protected override drop(cluster: Cluster): void {
    for (const waiting of this.#waiting) {
      waiting.refuse(this.unavailable());
    }
    this.#waiting.clear();
    if (cluster.isOpen) {
      cluster.destroy();
    }
  }

  protected override checkAnswers(): void {
    const { answerTimeoutMs, retryAfterMs } = this.options;
    const before = performance.now() - answerTimeoutMs;
    for (const waiting of this.#waiting) {
      if (waiting.sinceMs > before) {
        return;
      }
      this.#waiting.delete(waiting);
      waiting.refuse(new RoomLogUnavailableError(`no answer within ${answerTimeoutMs} ms`, retryAfterMs));
    }
  }

  async #eachChannel(
    channels: readonly string[],
    send: (cluster: Cluster, channel: string) => Promise<unknown>,
  ): Promise<void> {
    for (const channel of channels) {
      try {
        await send(this.openClient(), channel);
      } catch (error) {
        throw error instanceof RoomLogUnavailableError ? error : translate(error, this.options);
      }
    }
  }
}

function newCluster(urls: readonly string[], { answerTimeoutMs, commandsMax }: RedisLinkOptions) {
  const [first] = urls;
  if (first === undefined) {
    throw new RangeError("a Redis Cluster needs the URL of a node");
  }
  const { username, password, protocol } = new URL(first);
  return createCluster({
    rootNodes: urls.map((url) => ({ url })),
    // A master that is gone is replaced by a replica: look for it soon.
    topologyRefreshOnReconnectionAttemptStrategy: 500,
    defaults: {
      disableOfflineQueue: true,
      commandsQueueMaxLength: commandsMax + commandsOfItsOwn,
      pingInterval: Math.ceil(answerTimeoutMs / 2),
      maintNotifications: "disabled",
      ...(username !== "" && { username: decodeURIComponent(username) }),
      ...(password !== "" && { password: decodeURIComponent(password) }),
      socket: {
        connectTimeout: answerTimeoutMs,
        socketTimeout: answerTimeoutMs,
        reconnectStrategy: (retries: number) => backoffDelayMs(retries + 1, reconnectBackoff),
        ...(protocol === "rediss:" && { tls: true }),
      },
    },
  });
}

/** Answers that say nothing of the command, but that this server cannot take any now. */
const passingCodes = new Set([
  "ASK",
  "BUSY",
  "CLUSTERDOWN",
  "LOADING",
  "MASTERDOWN",
  "MISCONF",
  "MOVED",
  "NOREPLICAS",
  "READONLY",
  "TRYAGAIN",
]);

function translate(error: unknown, { name, retryAfterMs }: RedisLinkOptions): Error {
  if (error instanceof ErrorReply) {
    const reply = new RedisReplyError(error.message, { cause: error });
    return passingCodes.has(reply.code)
      ? new RoomLogUnavailableError(`Redis (${name}) answers ${error.message}`, retryAfterMs, { cause: reply })
      : reply;
  }
  const message = error instanceof Error ? error.message : String(error);
  return new RoomLogUnavailableError(`Redis (${name}): ${message || "the connection broke"}`, retryAfterMs, {
    cause: error,
  });
}
