/**
 * A way to Redis that knows when it is open and never repeats a command by itself.
 *
 * `RedisConnection` is one connection to one server. The client underneath may not reconnect: a command belongs to one
 * connection, and each new one begins by reading whose life of which server this is, so what is sent always goes with the
 * incarnation of the server that gets it (the fence in append.lua rests on that). Whoever needs Pub/Sub, blocking reads or scripts takes a
 * connection for each. To a Redis Cluster the same is made of one connection to each master (redis-cluster-link.ts).
 *
 * It owns its socket, the timer that finds a server that does not answer, and the loop that connects again.
 */
import { createClient, ErrorReply, RESP_TYPES } from "redis";
import { type Backoff, backoffDelayMs, pause } from "../../../lib/backoff.ts";
import { RoomLogFullError, RoomLogUnavailableError } from "../errors.ts";

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
  /** One server: it has ended the subscription to these channels, as when their slot moved to another. */
  dropped?: ((channels: readonly string[]) => void) | undefined;
  /** A cluster: these channels are subscribed to again; what was published on them meanwhile did not come. */
  missed?: ((channels: readonly string[]) => void) | undefined;
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
  /**
   * Which opening of which connection the commands of a key go through: another number, and what was known of the other end
   * may be wrong.
   */
  generationOf(key: string): number;
  /**
   * Sends a command, or rejects at once if the link is not open. It is never sent twice.
   * @param key decides the node on a cluster
   * @param reply whether strings in the answer come as text or as bytes
   * @throws {RedisReplyError} Redis refuses it: nothing was done
   * @throws {RoomLogUnavailableError} no answer; it may or may not have been done
   * @throws {RoomLogFullError} too many commands wait
   */
  send(key: string, args: readonly RedisArgument[], reply?: ReplyOf): Promise<unknown>;
  /** Subscribes to sharded channels. On a cluster that holds until `unsubscribe`, wherever their slots go. */
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

/** Quick at first: most often it was one connection that broke. */
const reconnectBackoff: Backoff = { baseMs: 50, maxMs: 2_000 };

const replyMappings = {
  text: {},
  bytes: { [RESP_TYPES.BLOB_STRING]: Buffer },
} as const;

/** Not even in a hurry does it try again sooner. */
const reconnectPauseMinMs = 50;

/** A node:redis channel subscription costs one line of the command; this many make a packet of a few tens of kB. */
const channelsPerCommandMax = 500;

/**
 * Places in a client's queue that are never given away: the client's PING and the look at the server stand in it too, and where
 * one finds no place the connection counts as broken, with all that waits for an answer on it.
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

export class RedisConnection implements RedisLink {
  readonly isCluster = false;
  readonly #url: string;
  readonly #options: RedisLinkOptions;
  readonly #closing = new AbortController();
  readonly #firstOpened = Promise.withResolvers<void>();
  readonly #watch: ReturnType<typeof setInterval>;
  readonly #running: Promise<void>;
  /** Undefined: not open. */
  #client: Client | undefined;
  #incarnation: string | undefined;
  #generation = 0;
  #lastError: unknown;
  #end: ((error: unknown) => void) | undefined;
  /** Of the attempt to open it that runs or comes next. */
  #attempt = Promise.withResolvers<void>();
  #hurry = new AbortController();
  /** Commands without an answer, and since when nothing was answered. */
  #waiting = 0;
  #quietSinceMs = 0;
  #isChecking = false;
  /** Channels that the server has said it subscribed to. */
  readonly #channels = new Set<string>();
  /** Changes with every subscribing and unsubscribing that begins or ends. */
  #channelChanges = 0;

  constructor(url: string, options: RedisLinkOptions) {
    this.#url = url;
    this.#options = options;
    this.#watch = setInterval(() => this.#checkAnswers(), Math.ceil(options.answerTimeoutMs / 4));
    this.#running = this.#run();
  }

  get incarnation(): string | undefined {
    return this.#incarnation;
  }

  generationOf(_key: string): number {
    return this.#generation;
  }

  async send(_key: string, args: readonly RedisArgument[], reply: ReplyOf = "text"): Promise<unknown> {
    const client = this.#openClient();
    this.#expectRoom();
    return this.#answered(client.sendCommand([...args], { typeMapping: replyMappings[reply] }));
  }

  /** Sends a command to a node of a cluster that is about to get the slot (ASK redirection). */
  async sendAsking(args: readonly RedisArgument[], reply: ReplyOf): Promise<unknown> {
    const client = this.#openClient();
    this.#expectRoom();
    // Both in one turn, so that nothing comes between. Where the first is refused, the second is too.
    const [, answer] = await this.#answered(
      Promise.all([
        client.sendCommand(["ASKING"]),
        client.sendCommand([...args], { typeMapping: replyMappings[reply] }),
      ]),
    );
    return answer;
  }

  async subscribe(channels: readonly string[], listener: ChannelListener): Promise<void> {
    await this.#inParts(
      channels,
      (client, part) => client.sSubscribe(part, listener, true),
      (channel) => this.#channels.add(channel),
    );
  }

  async unsubscribe(channels: readonly string[], listener: ChannelListener): Promise<void> {
    await this.#inParts(
      channels,
      (client, part) => client.sUnsubscribe(part, listener, true),
      (channel) => this.#channels.delete(channel),
    );
  }

  renew(reason: unknown): void {
    this.#end?.(reason);
  }

  async opened(timeoutMs: number): Promise<void> {
    await openedWithin(this.#firstOpened.promise, timeoutMs, () => this.#unavailable());
  }

  /**
   * Where it waits before it tries to open again, it tries now.
   * @returns whether it is open after that, or after `patienceMs`
   */
  async reopened(patienceMs: number): Promise<boolean> {
    if (!this.#client) {
      this.#hurry.abort();
      const patience = new AbortController();
      await Promise.race([this.#attempt.promise, pause(patienceMs, patience.signal)]);
      patience.abort();
    }
    return this.#client !== undefined;
  }

  async close(): Promise<void> {
    this.#closing.abort();
    this.#attempt.resolve();
    clearInterval(this.#watch);
    this.#end?.(new Error("closed"));
    await this.#running;
  }

  /** The client, where the link is open. @throws {RoomLogUnavailableError} */
  #openClient(): Client {
    if (!this.#client) {
      throw this.#unavailable();
    }
    return this.#client;
  }

  /** @throws {RoomLogFullError} as many commands wait as may */
  #expectRoom(): void {
    const { commandsMax, retryAfterMs } = this.#options;
    if (this.#waiting >= commandsMax) {
      throw new RoomLogFullError(this.#waiting, commandsMax, retryAfterMs);
    }
  }

  #unavailable(): RoomLogUnavailableError {
    const { name, retryAfterMs } = this.#options;
    const why = this.#closing.signal.aborted ? "the room log is closed" : `Redis (${name}) is out of reach`;
    return new RoomLogUnavailableError(why, retryAfterMs, { cause: this.#lastError });
  }

  async #run(): Promise<void> {
    const { signal } = this.#closing;
    let failures = 0;
    while (!signal.aborted) {
      const ended = Promise.withResolvers<void>();
      const client = newClient(this.#url, this.#options);
      let isEnded = false;
      // Ending is synchronous: from the moment that it is known nothing is sent here any more.
      const end = (error: unknown) => {
        if (isEnded) {
          return;
        }
        isEnded = true;
        this.#lastError = error;
        this.#client = undefined;
        this.#incarnation = undefined;
        this.#channels.clear();
        client.destroy();
        ended.resolve();
      };
      client.on("error", end);
      client.on("sharded-channel-moved", (channel: string) => this.#dropped(channel));
      this.#end = end;
      try {
        await client.connect();
        const incarnation = await readIncarnation(client);
        if (signal.aborted) {
          end(new Error("closed"));
        } else if (!isEnded) {
          failures = 0;
          this.#client = client;
          this.#incarnation = incarnation;
          this.#generation += 1;
          this.#firstOpened.resolve();
          this.#options.up?.();
        }
      } catch (error) {
        end(error);
      }
      this.#attempt.resolve();
      await ended.promise;
      if (signal.aborted) {
        return;
      }
      this.#attempt = Promise.withResolvers();
      this.#hurry = new AbortController();
      this.#options.down?.(this.#lastError);
      failures += 1;
      const delayMs = backoffDelayMs(failures, reconnectBackoff);
      await pause(Math.min(delayMs, reconnectPauseMinMs), signal);
      await pause(Math.max(0, delayMs - reconnectPauseMinMs), AbortSignal.any([signal, this.#hurry.signal]));
    }
  }

  /** The client's own socketTimeout starts anew with each write, so a busy connection to a frozen server would never reach it. */
  #checkAnswers(): void {
    const { answerTimeoutMs } = this.#options;
    if (this.#client && this.#waiting > 0 && performance.now() - this.#quietSinceMs > answerTimeoutMs) {
      this.renew(new Error(`no answer within ${answerTimeoutMs} ms`));
    }
    void this.#checkServer();
  }

  /** What a connection does not show by itself: the server's other life, and subscriptions that it does not have any more. */
  async #checkServer(): Promise<void> {
    const client = this.#client;
    if (!client || this.#isChecking) {
      return;
    }
    this.#isChecking = true;
    try {
      // A master that is made a replica and a master again keeps its connections.
      const incarnation = await this.#answered(readIncarnation(client));
      if (client === this.#client && incarnation !== this.#incarnation) {
        this.renew(new Error("the server was made a replica or a master"));
      }
      await this.#checkChannels(client);
    } catch (error) {
      if (client === this.#client) {
        this.renew(error);
      }
    } finally {
      this.#isChecking = false;
    }
  }

  /**
   * Whether the server knows of as many channels as this side. The client takes the word that a channel has moved for the
   * answer of a command that it waits for, if there is one: then nobody is told.
   */
  async #checkChannels(client: Client): Promise<void> {
    const changes = this.#channelChanges;
    const expected = this.#channels.size;
    if (expected === 0) {
      return;
    }
    const info = await this.#answered(client.sendCommand(["CLIENT", "INFO"])).catch((error) => {
      // A user who may not ask goes without.
      if (error instanceof RedisReplyError) {
        return "";
      }
      throw error;
    });
    const [, known] = /\bssub=(\d+)/.exec(String(info)) ?? [];
    if (client === this.#client && changes === this.#channelChanges && known && Number(known) !== expected) {
      this.renew(new Error(`the server knows of ${known} of ${expected} channels`));
    }
  }

  #dropped(channel: string): void {
    this.#channelChanges += 1;
    if (this.#channels.delete(channel)) {
      this.#options.dropped?.([channel]);
    }
  }

  async #inParts(
    channels: readonly string[],
    send: (client: Client, part: string[]) => Promise<void>,
    done: (channel: string) => void,
  ): Promise<void> {
    for (let at = 0; at < channels.length; at += channelsPerCommandMax) {
      const client = this.#openClient();
      const part = channels.slice(at, at + channelsPerCommandMax);
      this.#channelChanges += 1;
      await this.#answered(send(client, part));
      this.#channelChanges += 1;
      if (client === this.#client) {
        part.forEach(done);
      }
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
      throw translate(error, this.#options);
    } finally {
      this.#waiting -= 1;
      this.#quietSinceMs = performance.now();
    }
  }
}

/** @throws what `unavailable` makes, after `timeoutMs` */
export async function openedWithin(opening: Promise<void>, timeoutMs: number, unavailable: () => Error): Promise<void> {
  const timeout = Promise.withResolvers<void>();
  const timer = setTimeout(() => timeout.reject(unavailable()), timeoutMs);
  await Promise.race([opening, timeout.promise]).finally(() => clearTimeout(timer));
}

/** One command over a connection of its own. @throws as RedisLink.send */
export async function sendOnce(url: string, args: readonly string[], options: RedisLinkOptions): Promise<unknown> {
  const client = newClient(url, options);
  // The call that met it says so.
  client.on("error", () => {});
  try {
    await client.connect();
    return await client.sendCommand(args);
  } catch (error) {
    throw translate(error, options);
  } finally {
    client.destroy();
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
