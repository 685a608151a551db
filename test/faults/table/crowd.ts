/**
 * Very many readers in this process, through the client library, 100 streams on each HTTP/2 connection, that begin at the
 * first gateway and go on at the next. Owns their subscriptions, and keeps numbers and no messages.
 */
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { ChatClient } from "../../../client/chat-client.ts";
import { createNodeTransport } from "../../../client/node-transports.ts";
import type { RoomSubscription } from "../../../client/room-subscription.ts";
import { waitFor } from "../../harness/wait-for.ts";
import { RotatingTransport } from "../recorder/rotating-transport.ts";

const streamsPerConnection = 100;
const openTimeoutMs = 60_000;

export interface CrowdOptions {
  readonly gatewayUrls: readonly string[];
  readonly roomIds: readonly string[];
  readonly readers: number;
  /** Decides the pauses before a stream is opened again. Default Math.random: full jitter. */
  readonly random?: () => number;
}

export class Crowd {
  readonly #subscriptions: RoomSubscription[] = [];
  readonly #live = new Set<number>();
  /** performance.now of each reader's latest coming live. */
  readonly #liveAtMs: number[] = [];
  #gaps = 0;
  /** Wall time from a message's acceptance to a reader, ms, since `latencies` was read last. */
  #latenciesMs: number[] = [];

  /** Opens them, a connection's worth after the other, and resolves when all are live. */
  static async open(options: CrowdOptions): Promise<Crowd> {
    const crowd = new Crowd();
    try {
      for (let first = 0; first < options.readers; first += streamsPerConnection) {
        const end = Math.min(options.readers, first + streamsPerConnection);
        const transports = options.gatewayUrls.map((baseUrl) => createNodeTransport({ baseUrl }));
        for (let n = first; n < end; n++) {
          crowd.#open(n, new RotatingTransport(transports, 0), options);
        }
        await waitFor("the crowd is live", () => crowd.live === end, openTimeoutMs);
      }
    } catch (error) {
      crowd.stop();
      throw error;
    }
    return crowd;
  }

  get live(): number {
    return this.#live.size;
  }

  /** Gaps that readers were told of. */
  get gaps(): number {
    return this.#gaps;
  }

  /** How long after that moment each reader came live for the last time. */
  liveAfter(atMs: number): number[] {
    return this.#liveAtMs.filter((liveAtMs) => liveAtMs > atMs).map((liveAtMs) => liveAtMs - atMs);
  }

  /** Since they were taken last. */
  takeLatencies(): number[] {
    const latencies = this.#latenciesMs;
    this.#latenciesMs = [];
    return latencies;
  }

  /** Different positions at which readers of each room stand; one a room where all have the same. */
  get cursors(): number {
    return new Set(this.#subscriptions.map(({ cursor }) => cursor)).size;
  }

  stop(): void {
    for (const subscription of this.#subscriptions) {
      subscription.stop();
    }
  }

  #open(n: number, transport: RotatingTransport, { roomIds, random }: CrowdOptions): void {
    const client = new ChatClient({ transport, ...(random && { random }) });
    const subscription = client.subscribe(roomIds[n % roomIds.length] as string, {
      onMessage: ({ sentAt }) => {
        if (sentAt) {
          this.#latenciesMs.push(Date.now() - timestampMs(sentAt));
        }
      },
      onGap: () => {
        this.#gaps += 1;
      },
      onState: ({ kind }) => {
        if (kind === "live") {
          this.#live.add(n);
          this.#liveAtMs[n] = performance.now();
        } else {
          this.#live.delete(n);
        }
      },
    });
    this.#subscriptions.push(subscription);
  }
}
