/** What happened second by second, put together from what all processes say. Owns the seconds and the totals. */
import { Latency } from "./latency.ts";
import type { ReadersInterval, SendersInterval } from "./load-messages.ts";
import type { SelfReport } from "./self-watch.ts";
import type { ServerSecond } from "./server-watch.ts";

/** One second; negative ones are of the warm-up. */
export interface Second {
  second: number;
  sent: number;
  accepted: number;
  delivered: number;
  /** Of the second's deliveries. */
  p50Ms: number | undefined;
  p99Ms: number | undefined;
  /** Readers that were live. */
  live: number;
  server: ServerSecond | undefined;
  /** Of the busiest process of the load tool. */
  loadCpu: number;
  loadLagMaxMs: number;
}

/** A day; what is longer is not drawn to its end. */
const secondsMax = 86_400;

/** Until every process has told of a second, its latencies are kept whole: no process is later than this many seconds. */
const openSecondsMax = 20;

export class Timeline {
  readonly delivery = new Latency();
  readonly answer = new Latency();
  readonly opening = new Latency();
  readonly #seconds = new Map<number, Second>();
  readonly #open = new Map<number, Latency>();

  /** In order. */
  get seconds(): Second[] {
    for (const second of [...this.#open.keys()]) {
      this.#settle(second);
    }
    return [...this.#seconds.values()].sort((a, b) => a.second - b.second);
  }

  /** The newest second that somebody told of. */
  get last(): Second | undefined {
    return [...this.#seconds.values()].at(-1);
  }

  takeReaders(interval: ReadersInterval): void {
    const second = this.#at(interval.second);
    second.delivered += interval.received;
    second.live += interval.live;
    this.delivery.add(interval.delivery);
    this.opening.add(interval.opening);
    if (interval.delivery !== undefined) {
      let latency = this.#open.get(interval.second);
      if (!latency) {
        latency = new Latency();
        this.#open.set(interval.second, latency);
        for (const settled of [...this.#open.keys()].slice(0, -openSecondsMax)) {
          this.#settle(settled);
        }
      }
      latency.add(interval.delivery);
    }
    takeSelf(second, interval.self);
  }

  takeSenders(interval: SendersInterval): void {
    const second = this.#at(interval.second);
    second.sent += interval.sent;
    second.accepted += interval.accepted;
    this.answer.add(interval.answer);
    takeSelf(second, interval.self);
  }

  takeServer(second: number, server: ServerSecond): void {
    this.#at(second).server = server;
  }

  #settle(second: number): void {
    const latency = this.#open.get(second);
    this.#open.delete(second);
    const row = this.#at(second);
    row.p50Ms = latency && latency.at(50) / 1_000;
    row.p99Ms = latency && latency.at(99) / 1_000;
  }

  #at(second: number): Second {
    const bounded = Math.min(second, secondsMax);
    let row = this.#seconds.get(bounded);
    if (!row) {
      row = {
        second: bounded,
        sent: 0,
        accepted: 0,
        delivered: 0,
        p50Ms: undefined,
        p99Ms: undefined,
        live: 0,
        server: undefined,
        loadCpu: 0,
        loadLagMaxMs: 0,
      };
      this.#seconds.set(bounded, row);
    }
    return row;
  }
}

function takeSelf(second: Second, { cpu, loopLagMaxMs }: SelfReport): void {
  second.loadCpu = Math.max(second.loadCpu, cpu);
  second.loadLagMaxMs = Math.max(second.loadLagMaxMs, loopLagMaxMs);
}
