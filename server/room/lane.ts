/**
 * The readers of one room who take what they are sent, in one codec and framing: the loop that delivers.
 *
 * For each delivery it touches one array slot and one socket, nothing else: with thousands of readers every further
 * object is a cache miss for each of them. A reader who falls behind leaves the lane until it has caught up.
 *
 * State: the connections, and beside them the subscriptions they belong to.
 */
import type { Framing, WriteTarget } from "../transport/response-sink.ts";
import type { Codec, Outgoing } from "./outgoing.ts";
import type { Subscription } from "./subscription.ts";

export class Lane {
  readonly #codec: Codec;
  readonly #framing: Framing;
  readonly #targets: WriteTarget[] = [];
  readonly #subscriptions: Subscription[] = [];
  /** Where each subscription stands in both arrays. */
  readonly #places = new Map<Subscription, number>();

  constructor(codec: Codec, framing: Framing) {
    this.#codec = codec;
    this.#framing = framing;
  }

  add(subscription: Subscription): void {
    if (!this.#places.has(subscription)) {
      this.#places.set(subscription, this.#targets.length);
      this.#targets.push(subscription.reader.target);
      this.#subscriptions.push(subscription);
    }
  }

  remove(subscription: Subscription): void {
    const place = this.#places.get(subscription);
    const lastTarget = this.#targets.at(-1);
    const last = this.#subscriptions.at(-1);
    if (place === undefined || !lastTarget || !last) {
      return;
    }
    this.#targets[place] = lastTarget;
    this.#subscriptions[place] = last;
    this.#places.set(last, place);
    this.#targets.pop();
    this.#subscriptions.pop();
    this.#places.delete(subscription);
  }

  /** Hands the same bytes to every connection. Synchronous; never throws. */
  deliver(outgoing: Outgoing): void {
    if (this.#targets.length === 0) {
      return;
    }
    const bytes = outgoing.bytes(this.#codec, this.#framing);
    // From the end: a reader who falls behind leaves, and the one who takes its place was served already.
    for (let place = this.#targets.length - 1; place >= 0; place--) {
      if (!(this.#targets[place] as WriteTarget).write(bytes)) {
        (this.#subscriptions[place] as Subscription).reader.fellBehind();
      }
    }
  }
}
