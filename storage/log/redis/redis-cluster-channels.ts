/**
 * Subscriptions to the sharded channels of a Redis Cluster: each lives at the master of its slot, and moves with it.
 *
 *     wanted ──subscribed──► at home ──the server drops it, or its connection ends──► homeless ──subscribed again──► at home
 *                                                                                      (what came meanwhile: missed)
 *
 * It owns the list of what is wanted. Where homes are, the link knows.
 */
import { backoffDelayMs, pause } from "../../../lib/backoff.ts";
import { clusterSlot } from "./cluster-slot.ts";
import type { ChannelListener, RedisConnection } from "./redis-link.ts";

export interface RedisClusterChannelsOptions {
  /** Subscribes to channels of one slot at the master that serves it. @returns the connection to it */
  subscribe(channels: readonly string[], listener: ChannelListener): Promise<RedisConnection>;
  /** These were homeless for a while. */
  missed(channels: readonly string[]): void;
  /** Some could not be subscribed to again; they are tried again. */
  failed(): void;
}

interface Wanted {
  readonly listener: ChannelListener;
  /** The connection that it is subscribed on, and which opening of it. */
  home: RedisConnection | undefined;
  generation: number;
}

const againBackoff = { baseMs: 50, maxMs: 500 };

export class RedisClusterChannels {
  readonly #options: RedisClusterChannelsOptions;
  readonly #wanted = new Map<string, Wanted>();
  readonly #closing = new AbortController();
  #isSettling = false;

  constructor(options: RedisClusterChannelsOptions) {
    this.#options = options;
  }

  /** Channels that are wanted already are looked after. @throws as RedisLink.subscribe; then none that failed is wanted */
  async subscribe(channels: readonly string[], listener: ChannelListener): Promise<void> {
    const fresh = channels.filter((channel) => !this.#wanted.has(channel));
    for (const group of bySlot(fresh)) {
      const home = await this.#options.subscribe(group, listener);
      for (const channel of group) {
        this.#wanted.set(channel, { listener, home, generation: home.generationOf(channel) });
      }
    }
    // One that was dropped before it stood in the list.
    this.settle();
  }

  async unsubscribe(channels: readonly string[], listener: ChannelListener): Promise<void> {
    for (const channel of channels) {
      const wanted = this.#wanted.get(channel);
      this.#wanted.delete(channel);
      if (wanted && isAtHome(channel, wanted)) {
        await wanted.home?.unsubscribe([channel], listener);
      }
    }
  }

  /** The server has ended these subscriptions. */
  dropped(channels: readonly string[]): void {
    for (const channel of channels) {
      const wanted = this.#wanted.get(channel);
      if (wanted) {
        wanted.home = undefined;
      }
    }
    this.settle();
  }

  /** Something has changed: subscribes to what is homeless. */
  settle(): void {
    if (!this.#isSettling) {
      this.#isSettling = true;
      void this.#settleAll();
    }
  }

  close(): void {
    this.#closing.abort();
    this.#wanted.clear();
  }

  async #settleAll(): Promise<void> {
    const { signal } = this.#closing;
    for (let failures = 0; !signal.aborted; ) {
      const homeless = [...this.#wanted].filter(([channel, wanted]) => !isAtHome(channel, wanted));
      if (homeless.length === 0) {
        break;
      }
      const groups = [...bySlot(homeless.map(([channel]) => channel))];
      const results = await Promise.all(groups.map((group) => this.#subscribeAgain(group)));
      const again = results.flat();
      if (again.length > 0) {
        this.#options.missed(again);
      }
      failures = again.length === homeless.length ? 0 : failures + 1;
      if (failures > 0) {
        this.#options.failed();
        await pause(backoffDelayMs(failures, againBackoff), signal);
      }
    }
    // No await since nothing was found homeless: what changes from here on begins anew.
    this.#isSettling = false;
  }

  /** Never rejects. @returns those that are at home again */
  async #subscribeAgain(channels: readonly string[]): Promise<string[]> {
    const { listener } = this.#wanted.get(channels[0] as string) ?? {};
    if (!listener) {
      return [];
    }
    try {
      const home = await this.#options.subscribe(channels, listener);
      return channels.filter((channel) => {
        const wanted = this.#wanted.get(channel);
        if (wanted) {
          wanted.home = home;
          wanted.generation = home.generationOf(channel);
          return true;
        }
        home.unsubscribe([channel], listener).catch(() => {
          // A connection that broke has no subscriptions.
        });
        return false;
      });
    } catch {
      return [];
    }
  }
}

function isAtHome(channel: string, { home, generation }: Wanted): boolean {
  return home?.incarnation !== undefined && home.generationOf(channel) === generation;
}

/** Channels of different slots may not stand in one command. */
function bySlot(channels: readonly string[]): Iterable<string[]> {
  const groups = new Map<number, string[]>();
  for (const channel of channels) {
    const slot = clusterSlot(channel);
    groups.set(slot, [...(groups.get(slot) ?? []), channel]);
  }
  return groups.values();
}
