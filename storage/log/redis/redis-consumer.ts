/**
 * One member of a consumer group on Redis: takes the shards' logs in turn, and lets go of what was handled.
 *
 * It stands between the shards' logs and a worker. What a member holds, and whose turn a shard is, Redis knows (take.lua,
 * let-go.lua); this side remembers where it is worth looking:
 *
 *     quiet ──XREAD says there is more──► waiting ──take──► quiet (all handed out) or waiting (there may be more)
 *                                            ▲   └────────► busy (in another member's hands)
 *                                            └── every look ──┘
 *
 * It owns its connection for waiting, the leases of what is in hand, and their renewal.
 */
import { pause } from "../../../lib/backoff.ts";
import type { RoomLogUnavailableError } from "../errors.ts";
import type { ConsumerGroup, Delivery, LogConsumer } from "../room-log.ts";
import letGoSource from "./let-go.lua" with { type: "text" };
import { parseShardEntry } from "./redis-entries.ts";
import type { RedisKeys } from "./redis-keys.ts";
import type { RedisLink } from "./redis-link.ts";
import { RedisScript } from "./redis-script.ts";
import takeSource from "./take.lua" with { type: "text" };

export interface RedisConsumerOptions {
  group: ConsumerGroup;
  name: string;
  /** For scripts. */
  link: RedisLink;
  /** For blocking reads, its own. Undefined on a cluster, where one command cannot wait for several slots: it asks every `lookIntervalMs`. */
  waitLink: RedisLink | undefined;
  keys: RedisKeys;
  /** How long another member waits for a member that is gone. */
  leaseMs: number;
  /** How often it looks for what makes no sound: entries that another member let go. */
  lookIntervalMs: number;
  retryAfterMs: number;
  /** It has let entries go that other members may want. */
  letGo: () => void;
  /** It has left. */
  left: () => void;
  /** It was away for longer than its lease: what it held may be with another. */
  leaseLost: (entries: number) => void;
}

/** More in one call of a script would hold up Redis for milliseconds. */
const takeEntriesMax = 500;
/**
 * Shards asked at once. Few, so that of a backlog much is taken from each: fewer scripts, and batches of fewer rooms, which
 * a history likes (125,000 entries of 64 shards, 500 at a time: 6,300 scripts and 5.8 µs an entry here; all 64 at once 30,600 and 8.3).
 */
const shardsAtOnceMax = 8;
/** How often every shard is looked at, whatever is known of it: a server that came back may have forgotten things. */
const lookAtAllIntervalMs = 5_000;

const takeScript = new RedisScript(takeSource);
const letGoScript = new RedisScript(letGoSource);

class Shard {
  state: "quiet" | "waiting" | "busy" = "waiting";
  /** Nothing was there to hand out up to this id. */
  end = "0-0";
  /** Ids in hand. */
  readonly inHand = new Set<string>();
  /** An answer was missed, or the server is another: what this side knows of its hands may be wrong. */
  isUnsure = false;
  /** The opening of the link that it was taken from last. */
  generation = 0;

  constructor(readonly index: number) {}
}

type TakeReply = [status: Buffer, entries?: [Buffer, number, Buffer[]][], end?: Buffer | null];

export class RedisConsumer implements LogConsumer {
  readonly #options: RedisConsumerOptions;
  readonly #shards: Shard[];
  /** Tells this member from one of the same name that was there before. */
  readonly #token: string;
  readonly #leaseTimer: ReturnType<typeof setInterval>;
  readonly #leaving = new AbortController();
  #wake = Promise.withResolvers<void>();
  #ringing: Promise<void> | undefined;
  /** Where the next look begins, so that no shard is always the last. */
  #turn = 0;
  #lookedAtAllMs = 0;
  #closed: RoomLogUnavailableError | undefined;

  constructor(options: RedisConsumerOptions) {
    this.#options = options;
    this.#token = `${options.name}/${crypto.randomUUID()}`;
    this.#shards = Array.from({ length: options.keys.shards }, (_, index) => new Shard(index));
    this.#leaseTimer = setInterval(() => void this.#holdAll(), Math.ceil(options.leaseMs / 3));
  }

  async take(entriesMax: number, signal: AbortSignal): Promise<Delivery[]> {
    if (!Number.isInteger(entriesMax) || entriesMax < 1) {
      throw new RangeError(`entriesMax is ${entriesMax}, it must be at least 1`);
    }
    if (this.#leaving.signal.aborted) {
      throw new Error(`member ${this.#options.name} has left group ${this.#options.group}`);
    }
    const stop = AbortSignal.any([signal, this.#leaving.signal]);
    while (!stop.aborted) {
      this.#checkOpen();
      // Before looking, so that a sound during the look is not missed.
      const { promise: woken } = this.#wake;
      const deliveries = await this.#look(entriesMax);
      if (deliveries.length > 0) {
        return deliveries;
      }
      if (!stop.aborted) {
        await this.#wait(woken, stop);
      }
    }
    this.#checkOpen();
    return [];
  }

  async ack(deliveries: readonly Delivery[]): Promise<void> {
    await this.#letGoEach("ack", deliveries, () => true);
  }

  async release(deliveries: readonly Delivery[]): Promise<void> {
    await this.#letGoEach("release", deliveries, (shard, id) => shard.inHand.has(id));
  }

  async close(): Promise<void> {
    if (this.#leaving.signal.aborted) {
      return;
    }
    this.#leaving.abort();
    clearInterval(this.#leaseTimer);
    try {
      await Promise.all(this.#shards.map((shard) => this.#letGo("leave", shard, [])));
    } finally {
      this.#options.left();
      this.#options.letGo();
      await this.#options.waitLink?.close();
    }
  }

  /** Another member of this process let something go. */
  wake(): void {
    this.#wake.resolve();
    this.#wake = Promise.withResolvers();
  }

  /** The log closes: whoever waits is refused. */
  refuse(error: RoomLogUnavailableError): void {
    this.#closed = error;
    this.wake();
  }

  #checkOpen(): void {
    if (this.#closed) {
      throw this.#closed;
    }
  }

  /** Takes what is there, at most `entriesMax`. */
  async #look(entriesMax: number): Promise<Delivery[]> {
    const nowMs = performance.now();
    const all = nowMs - this.#lookedAtAllMs > lookAtAllIntervalMs;
    if (all) {
      this.#lookedAtAllMs = nowMs;
    }
    let candidates = this.#shards.filter((shard) => all || shard.state !== "quiet" || shard.isUnsure);
    const shift = candidates.length > 0 ? this.#turn++ % candidates.length : 0;
    candidates = [...candidates.slice(shift), ...candidates.slice(0, shift)];
    const deliveries: Delivery[] = [];
    let failure: unknown;
    let answers = 0;
    while (candidates.length > 0 && deliveries.length < entriesMax) {
      const left = entriesMax - deliveries.length;
      const round = candidates.slice(0, Math.min(left, shardsAtOnceMax));
      const wanted = Math.min(takeEntriesMax, Math.floor(left / round.length));
      const taken = await Promise.allSettled(round.map((shard) => this.#takeShard(shard, wanted)));
      for (const one of taken) {
        if (one.status === "fulfilled") {
          answers += 1;
          deliveries.push(...one.value);
        } else {
          failure = one.reason;
        }
      }
      // Once more only where there may be more.
      const more = round.filter(({ state }, at) => state === "waiting" && taken[at]?.status === "fulfilled");
      candidates = [...candidates.slice(round.length), ...more];
    }
    // A node of a cluster that is away is no reason to leave the others' shards alone; the next look asks it again.
    const isPartial = this.#options.link.isCluster && this.#shards.some(({ isUnsure }) => !isUnsure);
    if (failure && answers === 0 && !isPartial) {
      throw failure;
    }
    return deliveries;
  }

  async #takeShard(shard: Shard, entriesMax: number): Promise<Delivery[]> {
    const { keys, link, group, name, leaseMs } = this.#options;
    const generation = link.generationOf(keys.shardLog(shard.index));
    const unsure = shard.isUnsure || shard.generation !== generation;
    // Until the answer is there.
    shard.isUnsure = true;
    const reply = (await takeScript.run(
      link,
      [keys.shardLog(shard.index), keys.lease(shard.index, group)],
      [group, name, this.#token, String(leaseMs), String(entriesMax), unsure ? "1" : "0"],
      "bytes",
    )) as TakeReply;
    shard.isUnsure = false;
    shard.generation = generation;
    if (unsure) {
      shard.inHand.clear();
    }
    const [status, entries = [], end] = reply;
    if (status.toString() === "busy") {
      shard.inHand.clear();
      shard.state = "busy";
      return [];
    }
    shard.state = end ? "quiet" : "waiting";
    if (end) {
      shard.end = end.toString();
    }
    return entries.map(([id, attempts, fields]) => {
      const streamId = id.toString();
      shard.inHand.add(streamId);
      return { id: `${shard.index}/${streamId}`, entry: parseShardEntry([id, fields]), attempts };
    });
  }

  async #letGoEach(
    how: "ack" | "release",
    deliveries: readonly Delivery[],
    applies: (shard: Shard, id: string) => boolean,
  ): Promise<void> {
    this.#checkOpen();
    const byShard = new Map<Shard, Set<string>>();
    for (const { id } of deliveries) {
      const [index, streamId = ""] = id.split("/");
      const shard = this.#shards[Number(index)];
      if (shard && applies(shard, streamId)) {
        byShard.set(shard, (byShard.get(shard) ?? new Set()).add(streamId));
      }
    }
    const failures: unknown[] = [];
    const letGo = async ([shard, ids]: [Shard, Set<string>]) => {
      const list = [...ids];
      for (let at = 0; at < list.length; at += takeEntriesMax) {
        const part = list.slice(at, at + takeEntriesMax);
        await this.#letGo(how, shard, part);
        for (const id of part) {
          shard.inHand.delete(id);
        }
        if (how === "release") {
          shard.state = "waiting";
        }
      }
    };
    await Promise.all([...byShard].map((one) => letGo(one).catch((error) => failures.push(error))));
    this.#options.letGo();
    if (failures.length > 0) {
      throw failures[0];
    }
  }

  /** @returns whether the shard is still in this member's hands */
  async #letGo(how: "ack" | "release" | "leave" | "hold", shard: Shard, ids: readonly string[]): Promise<boolean> {
    const { keys, link, group, name, leaseMs } = this.#options;
    const reply = await letGoScript.run(
      link,
      [keys.shardLog(shard.index), keys.lease(shard.index, group)],
      [how, group, name, this.#token, String(leaseMs), ...ids],
    );
    return reply === 1;
  }

  async #holdAll(): Promise<void> {
    const held = this.#shards.filter(({ inHand }) => inHand.size > 0);
    await Promise.all(
      held.map(async (shard) => {
        // Away for a moment is no reason to give up; away for a lease is found when the link is open again.
        const holds = await this.#letGo("hold", shard, []).catch(() => true);
        if (!holds && shard.inHand.size > 0) {
          this.#options.leaseLost(shard.inHand.size);
          shard.inHand.clear();
          shard.state = "waiting";
        }
      }),
    );
  }

  /** Waits for a sound: an entry in a quiet shard, something let go, the end of the interval, or `stop`. */
  async #wait(woken: Promise<void>, stop: AbortSignal): Promise<void> {
    const { waitLink, lookIntervalMs } = this.#options;
    const interval = new AbortController();
    const stopped = Promise.withResolvers<void>();
    const onStop = () => stopped.resolve();
    stop.addEventListener("abort", onStop, { once: true });
    const timer = pause(lookIntervalMs, interval.signal);
    // It is left ringing when the wait ends: it takes nothing from the log, and the next wait goes on with it.
    this.#ringing ??= (waitLink ? this.#ring(waitLink) : this.#askEach()).finally(() => {
      this.#ringing = undefined;
    });
    await Promise.race([woken, stopped.promise, timer, this.#ringing]);
    interval.abort();
    stop.removeEventListener("abort", onStop);
  }

  /** Blocks until a quiet shard gets an entry, at most `lookIntervalMs`. Never rejects. */
  async #ring(link: RedisLink): Promise<void> {
    const { keys, lookIntervalMs } = this.#options;
    const quiet = this.#shards.filter(({ state }) => state === "quiet");
    const names = quiet.map(({ index }) => keys.shardLog(index));
    const [first] = names;
    if (first === undefined) {
      return pause(lookIntervalMs, this.#leaving.signal);
    }
    const ends = quiet.map(({ end }) => end);
    const args = ["XREAD", "COUNT", "1", "BLOCK", String(lookIntervalMs), "STREAMS", ...names, ...ends];
    try {
      const reply = await link.send(first, args);
      const heard = new Set(streamsOf(reply));
      hear(quiet.filter(({ index }) => heard.has(keys.shardLog(index))));
    } catch {
      // The look that follows says what is wrong, if it is Redis and not this connection.
      await pause(lookIntervalMs, this.#leaving.signal);
    }
  }

  /** Asks each quiet shard whether it has got an entry; where none has, not again before `lookIntervalMs`. Never rejects. */
  async #askEach(): Promise<void> {
    const { keys, link, lookIntervalMs } = this.#options;
    const quiet = this.#shards.filter(({ state }) => state === "quiet");
    const ask = async ({ index, end }: Shard) => {
      const log = keys.shardLog(index);
      // One that cannot be asked is looked at in its turn.
      const reply = await link.send(log, ["XREAD", "COUNT", "1", "STREAMS", log, end]).catch(() => null);
      return streamsOf(reply).length > 0;
    };
    const answers = await Promise.all(quiet.map(ask));
    const heard = quiet.filter((_, at) => answers[at]);
    hear(heard);
    if (heard.length === 0) {
      await pause(lookIntervalMs, this.#leaving.signal);
    }
  }
}

/** There is more in these. */
function hear(shards: readonly Shard[]): void {
  for (const shard of shards) {
    if (shard.state === "quiet") {
      shard.state = "waiting";
    }
  }
}

/** The names of the streams in a reply of XREAD: a map in RESP3, pairs in RESP2; null where it waited in vain. */
function streamsOf(reply: unknown): string[] {
  if (Array.isArray(reply)) {
    return reply.map((pair) => String(pair[0]));
  }
  return reply instanceof Map ? [...reply.keys()].map(String) : Object.keys(reply ?? {});
}
