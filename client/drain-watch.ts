/**
 * Leaves a gateway that has said it is about to stop: at the moment it named, or, if the stream ends before, not earlier
 * than that. The moments differ from reader to reader, so that not all reach the next gateway at once.
 *
 * Owns one timer while a gateway drains. One for each link.
 */
import type { Clock } from "./clock.ts";
import type { LinkEnd } from "./reconnect.ts";

export class DrainWatch {
  readonly #clock: Clock;
  readonly #onLeave: (end: LinkEnd) => void;
  #leaveAt: number | undefined;
  #cancel: (() => void) | undefined;

  constructor(clock: Clock, onLeave: (end: LinkEnd) => void) {
    this.#clock = clock;
    this.#onLeave = onLeave;
  }

  /** The gateway asks to reconnect after `delayMs`. The first announcement counts. */
  announced(delayMs: number): void {
    if (this.#leaveAt !== undefined) {
      return;
    }
    this.#leaveAt = this.#clock.now() + delayMs;
    this.#cancel = this.#clock.after(delayMs, () => this.#onLeave({ again: { kind: "draining" }, delayMs: 0 }));
  }

  /** The stream has ended: adds what is left of the announced delay to an end that invites back. */
  apply(end: LinkEnd): LinkEnd {
    if (this.#leaveAt === undefined || !("again" in end)) {
      return end;
    }
    return { again: end.again, delayMs: Math.max(end.delayMs ?? 0, this.#leaveAt - this.#clock.now(), 0) };
  }

  close(): void {
    this.#cancel?.();
  }
}
