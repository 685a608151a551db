/**
 * The way to a Redis Cluster: one connection to each master, and the knowledge of which master serves a slot.
 *
 *     key ─► slot ─► master's address ─► RedisConnection ─► answer
 *                        ▲                                 │ MOVED: the slot is elsewhere for good
 *                        │                                 │ ASK: this once, elsewhere
 *                        └── CLUSTER SLOTS, while ─────────┘
 *                            a master is missing
 *
 * A command that was redirected was not run, so it is sent again, as is one that cannot be run while a slot or its master
 * changes (TRYAGAIN, CLUSTERDOWN), for half the answer timeout; any other failure is the caller's, as with one server. A node that does not
 * answer holds up only what goes to it.
 *
 * Why not the client's own cluster: docs/adr/0010-masters-of-a-cluster-are-found-by-us.md.
 *
 * It owns the connections, the table of slots, the look for masters, and the subscriptions (redis-cluster-channels.ts).
 */
import { backoffDelayMs, pause } from "../../../lib/backoff.ts";
import { RoomLogFullError, RoomLogUnavailableError } from "../errors.ts";
import { clusterSlot, clusterSlots } from "./cluster-slot.ts";
import { RedisClusterChannels } from "./redis-cluster-channels.ts";
import {
  type ChannelListener,
  openedWithin,
  type RedisArgument,
  RedisConnection,
  type RedisLink,
  type RedisLinkOptions,
  RedisReplyError,
  type ReplyOf,
  sendOnce,
} from "./redis-link.ts";

/** A table of slots that is wrong twice in a row is out of date; more often, and the cluster is at odds with itself. */
const redirectionsMax = 5;
/** How often the masters are asked for while one is missing. */
const lookBackoff = { baseMs: 25, maxMs: 100 };
/** How long a command waits for a connection to open, and then for what a look brings. */
const openPatienceMs = 500;
const lookedTimeoutMs = 250;

/** Nothing was run, and soon will be: keys are in two places because their slot moves, or a master is just being replaced. */
const passingCodes: ReadonlySet<string> = new Set(["TRYAGAIN", "CLUSTERDOWN"]);
/** How soon such a command is sent again. */
const moveBackoff = { baseMs: 20, maxMs: 100 };

interface Node {
  readonly address: string;
  readonly connection: RedisConnection;
  /** Of all openings of all nodes, which one its last is. */
  opening: number;
  /** It serves no slot any more: what is under way is still answered. */
  retiring: ReturnType<typeof setTimeout> | undefined;
}

/** As CLUSTER SLOTS answers. */
type SlotRange = [from: number, through: number, master: [host: string, port: number], ...replicas: [string, number][]];

export class RedisClusterLink implements RedisLink {
  readonly isCluster = true;
  readonly #options: RedisLinkOptions;
  /** With user, password and protocol for all nodes. */
  readonly #pattern: URL;
  readonly #channels: RedisClusterChannels;
  readonly #closing = new AbortController();
  readonly #firstOpened = Promise.withResolvers<void>();
  /** Addresses that were told or heard of. */
  #known: ReadonlySet<string>;
  /** The master's address, by slot. */
  #masters: (string | undefined)[] = new Array(clusterSlots);
  readonly #nodes = new Map<string, Node>();
  #hasAllSlots = false;
  #isWell = false;
  #wasOpened = false;
  #openings = 0;
  #looks = 0;
  #waiting = 0;
  #looking: Promise<void> | undefined;
  /** Of a look that has not begun. */
  #nextLook = Promise.withResolvers<void>();
  #mustLook = false;
  #lastError: unknown;

  constructor(urls: readonly string[], options: RedisLinkOptions) {
    const [first] = urls;
    if (first === undefined) {
      throw new RangeError("a Redis Cluster needs the URL of a node");
    }
    this.#options = options;
    this.#pattern = new URL(first);
    this.#known = new Set(urls.map((url) => new URL(url).host));
    this.#channels = new RedisClusterChannels({
      subscribe: async (channels, listener) => {
        const slot = clusterSlot(channels[0] as string);
        return this.#atMaster(slot, (connection) => connection.subscribe(channels, listener).then(() => connection));
      },
      missed: (channels) => options.missed?.(channels),
      failed: () => this.#look(),
    });
    this.#look();
  }

  /** "": each node has its own. Open while any node is. */
  get incarnation(): string | undefined {
    const isOpen = this.#wasOpened && [...this.#nodes.values()].some(isUp);
    return isOpen ? "" : undefined;
  }

  generationOf(key: string): number {
    const address = this.#masters[clusterSlot(key)];
    return (address !== undefined && this.#nodes.get(address)?.opening) || 0;
  }

  async send(key: string, args: readonly RedisArgument[], reply: ReplyOf = "text"): Promise<unknown> {
    const { commandsMax, retryAfterMs } = this.#options;
    if (this.#waiting >= commandsMax) {
      throw new RoomLogFullError(this.#waiting, commandsMax, retryAfterMs);
    }
    this.#waiting += 1;
    try {
      return await this.#atMaster(clusterSlot(key), (connection, isAsking) =>
        isAsking ? connection.sendAsking(args, reply) : connection.send(key, args, reply),
      );
    } finally {
      this.#waiting -= 1;
    }
  }

  subscribe(channels: readonly string[], listener: ChannelListener): Promise<void> {
    return this.#channels.subscribe(channels, listener);
  }

  unsubscribe(channels: readonly string[], listener: ChannelListener): Promise<void> {
    return this.#channels.unsubscribe(channels, listener);
  }

  renew(reason: Error): void {
    for (const { connection } of this.#nodes.values()) {
      connection.renew(reason);
    }
  }

  async opened(timeoutMs: number): Promise<void> {
    await openedWithin(this.#firstOpened.promise, timeoutMs, () => this.#unavailable());
  }

  async close(): Promise<void> {
    this.#closing.abort();
    this.#channels.close();
    const nodes = [...this.#nodes.values()];
    this.#nodes.clear();
    await Promise.all(
      nodes.map(({ connection, retiring }) => {
        clearTimeout(retiring);
        return connection.close();
      }),
    );
    await this.#looking;
  }

  /** Does something at the master of a slot, and goes where that sends it. */
  async #atMaster<T>(slot: number, work: (connection: RedisConnection, isAsking: boolean) => Promise<T>): Promise<T> {
    const { answerTimeoutMs } = this.#options;
    const startedMs = performance.now();
    let address = this.#masters[slot];
    let isAsking = false;
    let hasLooked = false;
    for (let redirections = 0, moves = 0; ; ) {
      if (address === undefined || this.#closing.signal.aborted) {
        throw this.#unavailable();
      }
      const { connection } = this.#node(address);
      if (!(await connection.reopened(openPatienceMs)) && !hasLooked) {
        // It may have been replaced just now. Nothing was sent, so nothing is lost by asking.
        hasLooked = true;
        await this.#looked();
        address = this.#masters[slot];
        isAsking = false;
        continue;
      }
      try {
        return await work(connection, isAsking);
      } catch (error) {
        const passes = passingCodes.has(replyOf(error)?.code ?? "");
        if (passes && performance.now() - startedMs < answerTimeoutMs / 2) {
          moves += 1;
          await pause(backoffDelayMs(moves, moveBackoff), this.#closing.signal);
          address = this.#masters[slot];
          isAsking = false;
          continue;
        }
        const redirection = redirectionOf(error, address);
        if (!redirection || redirections === redirectionsMax) {
          throw error;
        }
        redirections += 1;
        address = redirection.address;
        isAsking = redirection.isAsking;
        if (!isAsking) {
          this.#masters[slot] = address;
          this.#look();
        }
      }
    }
  }

  #node(address: string): Node {
    const known = this.#nodes.get(address);
    if (known) {
      return known;
    }
    const { name } = this.#options;
    const node: Node = {
      address,
      opening: 0,
      retiring: undefined,
      connection: new RedisConnection(this.#url(address), {
        ...this.#options,
        name: `${name}, ${address}`,
        up: () => {
          this.#openings += 1;
          node.opening = this.#openings;
          this.#check();
          this.#channels.settle();
        },
        down: (error) => {
          this.#lastError = error;
          this.#look();
          this.#channels.settle();
        },
        dropped: (channels) => this.#channels.dropped(channels),
      }),
    };
    this.#nodes.set(address, node);
    return node;
  }

  #url(address: string): string {
    const url = new URL(this.#pattern);
    url.host = address;
    return url.href;
  }

  /** All slots have a master, and all masters answer: tells when that begins and ends. */
  #check(): void {
    const isWell = this.#hasAllSlots && [...this.#nodes.values()].every((node) => node.retiring || isUp(node));
    if (isWell === this.#isWell || this.#closing.signal.aborted) {
      return;
    }
    this.#isWell = isWell;
    if (isWell) {
      this.#wasOpened = true;
      this.#firstOpened.resolve();
      this.#options.up?.();
    } else {
      this.#options.down?.(this.#lastError);
    }
  }

  /** Asks for the masters, and goes on until none is missing. */
  #look(): void {
    this.#mustLook = true;
    this.#check();
    this.#looking ??= this.#lookUntilWell();
  }

  /** Resolves after a look that begins from here on, or when that takes too long. */
  async #looked(): Promise<void> {
    const { promise } = this.#nextLook;
    this.#look();
    const patience = new AbortController();
    await Promise.race([promise, pause(lookedTimeoutMs, AbortSignal.any([patience.signal, this.#closing.signal]))]);
    patience.abort();
  }

  async #lookUntilWell(): Promise<void> {
    const { signal } = this.#closing;
    for (let looks = 1; !signal.aborted && (this.#mustLook || !this.#isWell); looks += 1) {
      this.#mustLook = false;
      const look = this.#nextLook;
      this.#nextLook = Promise.withResolvers();
      try {
        this.#use(await this.#askForSlots());
      } catch (error) {
        this.#lastError = error;
      }
      look.resolve();
      await pause(backoffDelayMs(looks, lookBackoff), signal);
    }
    // No await since there was nothing to look for: what goes missing from here on begins anew.
    this.#looking = undefined;
  }

  /** @throws the last node's error, if none answers */
  async #askForSlots(): Promise<SlotRange[]> {
    const ask = ["CLUSTER", "SLOTS"];
    // One that is open answers at once; of several, each is asked in its turn.
    const open = [...this.#nodes.values()].filter((node) => !node.retiring && isUp(node));
    const asked = open[this.#looks++ % Math.max(1, open.length)];
    if (asked) {
      return (await asked.connection.send("", ask)) as SlotRange[];
    }
    let failure: unknown = this.#unavailable();
    for (const address of this.#known) {
      try {
        return (await sendOnce(this.#url(address), ask, this.#options)) as SlotRange[];
      } catch (error) {
        failure = error;
      }
      if (this.#closing.signal.aborted) {
        break;
      }
    }
    throw failure;
  }

  #use(ranges: readonly SlotRange[]): void {
    if (ranges.length === 0 || this.#closing.signal.aborted) {
      return;
    }
    const masters = new Array<string | undefined>(clusterSlots);
    const known = new Set<string>();
    let slots = 0;
    for (const [from, through, ...servers] of ranges) {
      const [master, ...replicas] = servers.map(([host, port]) => `${host}:${port}`);
      masters.fill(master, from, through + 1);
      slots += through + 1 - from;
      for (const address of [master as string, ...replicas]) {
        known.add(address);
      }
    }
    this.#masters = masters;
    this.#known = known;
    this.#hasAllSlots = slots === clusterSlots;
    const serving = new Set(ranges.map(([, , [host, port]]) => `${host}:${port}`));
    for (const address of serving) {
      const node = this.#node(address);
      clearTimeout(node.retiring);
      node.retiring = undefined;
    }
    for (const node of this.#nodes.values()) {
      if (!serving.has(node.address)) {
        node.retiring ??= setTimeout(() => {
          this.#nodes.delete(node.address);
          void node.connection.close();
        }, this.#options.answerTimeoutMs);
      }
    }
    this.#check();
    this.#channels.settle();
  }

  #unavailable(): RoomLogUnavailableError {
    const { name, retryAfterMs } = this.#options;
    const why = this.#closing.signal.aborted ? "the room log is closed" : `the Redis Cluster (${name}) is out of reach`;
    return new RoomLogUnavailableError(why, retryAfterMs, { cause: this.#lastError });
  }
}

function isUp({ connection }: Node): boolean {
  return connection.incarnation !== undefined;
}

/** What Redis answered, where it answered. */
function replyOf(error: unknown): RedisReplyError | undefined {
  const cause = error instanceof RoomLogUnavailableError ? error.cause : error;
  return cause instanceof RedisReplyError ? cause : undefined;
}

/** @param from who answered: a redirection may leave out the host where it is the same */
function redirectionOf(error: unknown, from: string): { address: string; isAsking: boolean } | undefined {
  const { code = "", message = "" } = replyOf(error) ?? {};
  if (!["MOVED", "ASK"].includes(code)) {
    return undefined;
  }
  // "MOVED 3999 127.0.0.1:6381"
  const to = message.split(" ")[2] ?? "";
  const address = to.startsWith(":") ? `${from.slice(0, from.lastIndexOf(":"))}${to}` : to;
  return { address, isAsking: code === "ASK" };
}
