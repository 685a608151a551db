/**
 * Keeps one logical stream going over any number of calls: opens, watches, and opens again with a growing, jittered pause
 * or with the one that the gateway asks for. It knows nothing of rooms; `room-subscription.ts`, `chat-stream.ts` and
 * `hot-words-subscription.ts` say what is opened and what its events mean.
 *
 * Owns: the connection state, the count of failures in a row, and the link (one call) that is open now, at most one.
 */
import { Code, ConnectError } from "@connectrpc/connect";
import { type Backoff, backoffDelayMs } from "../lib/backoff.ts";
import type { Authorization } from "./authorization.ts";
import type { Clock } from "./clock.ts";
import type { ConnectionState, EndedReason, Interruption, LiveState } from "./connection-state.ts";
import { isNetworkFailure, retryAfterMs } from "./refusal.ts";

export interface ReconnectPolicy extends Backoff {
  /** A stream that was live for so long counts as a success: the next failure is the first one again. */
  stableAfterMs: number;
  /** A gateway's own delay is followed up to here; no mistake of a gateway may send a reader away for a day. */
  gatewayDelayMaxMs: number;
}

export const defaultReconnectPolicy: ReconnectPolicy = {
  baseMs: 500,
  maxMs: 20_000,
  stableAfterMs: 10_000,
  gatewayDelayMaxMs: 5 * 60_000,
};

/** How one call ended. */
export type LinkEnd =
  /**
   * Open another one, after `delayMs` where the gateway named it. 0: there is no need to wait; followed once, then the
   * usual pause applies, so that a gateway that ends every stream at once is not hammered. Undefined: the usual pause.
   */
  { readonly again: Interruption; readonly delayMs?: number } | { readonly final: EndedReason };

/** Refusals that the same request would meet again. */
const finalCodes: ReadonlySet<Code> = new Set([
  Code.InvalidArgument,
  Code.NotFound,
  Code.AlreadyExists,
  Code.PermissionDenied,
  Code.FailedPrecondition,
  Code.OutOfRange,
  Code.Unimplemented,
  Code.Unauthenticated,
]);

export function linkEndOf(error: ConnectError): LinkEnd {
  return finalCodes.has(error.code) && !isNetworkFailure(error)
    ? { final: { kind: "refused", error } }
    : { again: { kind: "failed", error }, delayMs: retryAfterMs(error) };
}

/** Gateways give many readers the same delay; so much is added to it, at random, that they do not return as one. */
const gatewayDelayJitter = 0.2;

export interface ReconnectorParts {
  policy: ReconnectPolicy;
  clock: Clock;
  /** Answers [0, 1). */
  random: () => number;
  authorization: Authorization | undefined;
  onState: ((state: ConnectionState) => void) | undefined;
  /** Ends it, as `stop()` does. */
  signal: AbortSignal | undefined;
}

export class Reconnector {
  readonly #parts: ReconnectorParts;
  #state: ConnectionState = { kind: "connecting", attempt: 1 };
  #stopped = false;
  #link: Link | undefined;
  #endPause: (() => void) | undefined;
  #timesLive = 0;

  constructor(parts: ReconnectorParts) {
    this.#parts = parts;
  }

  get state(): ConnectionState {
    return this.#state;
  }

  /** How often a stream came live again. */
  get reconnects(): number {
    return Math.max(0, this.#timesLive - 1);
  }

  /** Ends the stream for good. Harmless when it has ended. */
  stop(): void {
    this.#stopped = true;
    this.#endPause?.();
    this.#link?.end({ final: { kind: "stopped" } });
  }

  /** Cuts a pause short, as when the machine is back on the network. Does nothing outside one. */
  retryNow(): void {
    this.#endPause?.();
  }

  /**
   * Runs until the end.
   * @param useLink opens one call on the link and resolves when it is over; what it throws is a mistake of the caller's
   *   (a callback that throws) and ends everything
   */
  async run(useLink: (link: Link) => Promise<LinkEnd>): Promise<EndedReason> {
    const { clock, signal } = this.#parts;
    // The owner has the subscription in its hands before the first callback comes.
    await undefined;
    const stop = () => this.stop();
    signal?.addEventListener("abort", stop, { once: true });
    if (signal?.aborted) {
      this.stop();
    }
    try {
      return this.#ended(await this.#loop(useLink, clock));
    } catch (error) {
      this.#state = { kind: "ended", reason: { kind: "callbackFailed", error } };
      throw error;
    } finally {
      signal?.removeEventListener("abort", stop);
    }
  }

  async #loop(useLink: (link: Link) => Promise<LinkEnd>, clock: Clock): Promise<EndedReason> {
    let failures = 0;
    let interruptedAt: number | undefined;
    let tokenRefused = false;
    while (!this.#stopped) {
      this.#enter({ kind: "connecting", attempt: failures + 1 });
      let liveAt: number | undefined;
      const link = new Link(clock, (facts) => {
        liveAt = clock.now();
        this.#timesLive += 1;
        tokenRefused = false;
        this.#enter({
          kind: "live",
          ...facts,
          ...(interruptedAt === undefined ? undefined : { resumedInMs: Math.round(liveAt - interruptedAt) }),
        });
      });
      this.#link = link;
      let end: LinkEnd;
      try {
        end = this.#stopped ? { final: { kind: "stopped" } } : await useLink(link);
      } finally {
        link.close();
        this.#link = undefined;
      }
      if (this.#stopped) {
        break;
      }
      if ("final" in end) {
        const error = end.final.kind === "refused" ? end.final.error : undefined;
        if (error?.code !== Code.Unauthenticated || !this.#parts.authorization || tokenRefused) {
          return end.final;
        }
        // Tokens run out while a stream is open: one more try with a fresh one.
        tokenRefused = true;
        this.#parts.authorization.markRefused();
        end = { again: { kind: "failed", error }, delayMs: 0 };
      }
      const now = clock.now();
      const lasted = liveAt !== undefined && now - liveAt >= this.#parts.policy.stableAfterMs;
      if (liveAt !== undefined || interruptedAt === undefined) {
        interruptedAt = now;
      }
      failures = lasted ? 1 : failures + 1;
      const delayMs = this.#delayMs(end.delayMs, failures);
      if (delayMs > 0) {
        this.#enter({ kind: "waiting", attempt: failures, delayMs, cause: end.again });
        await this.#pause(delayMs);
      }
    }
    return { kind: "stopped" };
  }

  #delayMs(gatewayDelayMs: number | undefined, failures: number): number {
    const { policy, random } = this.#parts;
    if (gatewayDelayMs === undefined || (gatewayDelayMs === 0 && failures > 1)) {
      return Math.round(backoffDelayMs(failures, policy, random));
    }
    return Math.round(Math.min(policy.gatewayDelayMaxMs, gatewayDelayMs) * (1 + gatewayDelayJitter * random()));
  }

  #pause(delayMs: number): Promise<void> {
    if (this.#stopped) {
      return Promise.resolve();
    }
    return new Promise((resolve) => {
      const end = () => {
        cancel();
        this.#endPause = undefined;
        resolve();
      };
      const cancel = this.#parts.clock.after(delayMs, end);
      this.#endPause = end;
    });
  }

  #ended(reason: EndedReason): EndedReason {
    this.#enter({ kind: "ended", reason });
    return reason;
  }

  #enter(state: ConnectionState): void {
    this.#state = state;
    this.#parts.onState?.(state);
  }
}

/** One call: it can be read, watched for silence, and ended from outside. Over once and for all after its first end. */
export class Link {
  readonly #clock: Clock;
  readonly #onLive: (facts: Omit<LiveState, "kind" | "resumedInMs">) => void;
  readonly #abort = new AbortController();
  readonly #over = Promise.withResolvers<LinkEnd>();
  #isOver = false;
  #silenceMaxMs: number | undefined;
  #heardAt: number;
  #cancelWatch: (() => void) | undefined;

  constructor(clock: Clock, onLive: (facts: Omit<LiveState, "kind" | "resumedInMs">) => void) {
    this.#clock = clock;
    this.#onLive = onLive;
    this.#heardAt = clock.now();
  }

  /** For the call: aborts when the link is over. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /**
   * Hands the events of a stream to `onEvent` until the stream or the link is over. The transport may take its time to
   * notice an abort: nothing that it yields afterwards is handed on.
   * @param onRefused may give an error of the call another meaning than `linkEndOf`
   * @throws what `onEvent` throws
   */
  read<T>(
    stream: AsyncIterable<T>,
    onEvent: (event: T) => void,
    onRefused?: (error: ConnectError) => LinkEnd | undefined,
  ): Promise<LinkEnd> {
    this.#pump(stream, onEvent, onRefused).then(
      (end) => this.end(end),
      (thrown) => {
        this.#isOver = true;
        this.#over.reject(thrown);
      },
    );
    return this.#over.promise;
  }

  async #pump<T>(
    stream: AsyncIterable<T>,
    onEvent: (event: T) => void,
    onRefused: ((error: ConnectError) => LinkEnd | undefined) | undefined,
  ): Promise<LinkEnd> {
    const events = stream[Symbol.asyncIterator]();
    while (!this.#isOver) {
      let next: IteratorResult<T>;
      try {
        next = await events.next();
      } catch (thrown) {
        const error = ConnectError.from(thrown);
        return onRefused?.(error) ?? linkEndOf(error);
      }
      if (this.#isOver || next.done) {
        break;
      }
      this.#heardAt = this.#clock.now();
      onEvent(next.value);
    }
    return { again: { kind: "closed" } };
  }

  /** The stream carries what it was opened for. */
  live(facts: Omit<LiveState, "kind" | "resumedInMs">): void {
    if (!this.#isOver) {
      this.#onLive(facts);
    }
  }

  /** From now on, a silence longer than this ends the link. Undefined: silence is fine. */
  allowSilence(silenceMaxMs: number | undefined): void {
    this.#silenceMaxMs = silenceMaxMs;
    this.#heardAt = this.#clock.now();
    this.#watch();
  }

  /** One timer that looks when it fires, instead of one set anew at each event: a busy room has thousands a second. */
  #watch(): void {
    this.#cancelWatch?.();
    this.#cancelWatch = undefined;
    const silenceMaxMs = this.#silenceMaxMs;
    if (silenceMaxMs === undefined || this.#isOver) {
      return;
    }
    const leftMs = this.#heardAt + silenceMaxMs - this.#clock.now();
    if (leftMs <= 0) {
      this.end({ again: { kind: "silent", silentMs: silenceMaxMs } });
      return;
    }
    this.#cancelWatch = this.#clock.after(leftMs, () => this.#watch());
  }

  /** The first end counts. Aborts the call. */
  end(end: LinkEnd): void {
    if (this.#isOver) {
      return;
    }
    this.close();
    this.#over.resolve(end);
  }

  /** Releases the call and the timer without naming an end. */
  close(): void {
    this.#isOver = true;
    this.#cancelWatch?.();
    this.#abort.abort();
  }
}
