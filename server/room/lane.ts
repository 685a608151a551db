/**
 * The readers of one room who take what they are sent, in one codec and framing: the loop that delivers.
 *
 * For each delivery it touches one array slot and one connection, nothing else: with thousands of readers every further
 * object is a cache miss for each of them. Readers who share a connection stand side by side, so that what they are sent
 * goes out as one write. A reader who falls behind leaves the lane until it has caught up.
 *
 * State: the targets, and beside them the connections that they share and the subscriptions they belong to.
 */
import type { Framing, SharedConnection, WriteTarget } from "../transport/response-sink.ts";
import type { Codec, Outgoing } from "./outgoing.ts";
import type { Subscription } from "./subscription.ts";

export class Lane {
  readonly #codec: Codec;
  readonly #framing: Framing;
  readonly #targets: WriteTarget[] = [];
  readonly #connections: (SharedConnection | undefined)[] = [];
  readonly #subscriptions: Subscription[] = [];

  constructor(codec: Codec, framing: Framing) {
    this.#codec = codec;
    this.#framing = framing;
  }

  /** It must not be in the lane. */
  add(subscription: Subscription): void {
    const { target } = subscription.reader;
    const { connection } = target;
    const beside = connection ? this.#connections.indexOf(connection) : -1;
    const place = beside === -1 ? this.#targets.length : beside;
    this.#targets.splice(place, 0, target);
    this.#connections.splice(place, 0, connection);
    this.#subscriptions.splice(place, 0, subscription);
  }

  remove(subscription: Subscription): void {
    // A scan and a move of pointers, which for thousands of readers is cheaper than a map of where each stands.
    const place = this.#subscriptions.lastIndexOf(subscription);
    if (place !== -1) {
      this.#targets.splice(place, 1);
      this.#connections.splice(place, 1);
      this.#subscriptions.splice(place, 1);
    }
  }

  /** Hands the same bytes to every connection. Synchronous; never throws. */
  deliver(outgoing: Outgoing): void {
    if (this.#targets.length === 0) {
      return;
    }
    const bytes = outgoing.bytes(this.#codec, this.#framing);
    let corked: SharedConnection | undefined;
    // From the end: a reader who falls behind leaves, and those who take its place were served already.
    for (let place = this.#targets.length - 1; place >= 0; place--) {
      const connection = this.#connections[place];
      if (connection !== corked) {
        corked?.uncork();
        corked = connection !== undefined && connection === this.#connections[place - 1] ? connection : undefined;
        corked?.cork();
      }
      if (!(this.#targets[place] as WriteTarget).write(bytes)) {
        (this.#subscriptions[place] as Subscription).reader.fellBehind();
      }
    }
    corked?.uncork();
  }
}
