/**
 * The options that every kind of client takes, with their defaults: over what to talk, as whom, and when to try again.
 */
import type { Transport } from "@connectrpc/connect";
import { Authorization, type TokenSource } from "./authorization.ts";
import { type Clock, systemClock } from "./clock.ts";
import { defaultReconnectPolicy, type ReconnectorParts, type ReconnectPolicy } from "./reconnect.ts";

export interface ConnectionOptions {
  transport: Transport;
  /** Answers the token for a call. Asked at every call; see TokenSource. */
  token?: TokenSource;
  /** How often and when to try again. */
  retry?: Partial<RetryOptions>;
  /** Answers [0, 1). For tests. */
  random?: () => number;
  /** For tests. */
  clock?: Clock;
}

/** Pauses (baseMs to maxMs, full jitter) hold for streams and sends alike. */
export interface RetryOptions extends ReconnectPolicy {
  /** Tries of one send, the first included. Default 5. */
  sendAttemptsMax: number;
  /** One try of a unary send. Default 5,000. */
  sendTryTimeoutMs: number;
  /** All tries of a send and the pauses between them. Default 15,000. */
  sendTimeoutMs: number;
}

/** When a stream counts as broken although nothing said so. */
export interface StreamTimeouts {
  /** Nothing at all came since the stream was opened. Default 10,000. */
  firstEventTimeoutMs?: number;
  /** Nothing came, not even a heartbeat, of which there is one every 15 s. Default 35,000: two may be missing. */
  heartbeatTimeoutMs?: number;
  /** A heartbeat named a newer position than what came, and nothing followed. Default 5,000. */
  behindTimeoutMs?: number;
}

export interface ConnectionParts {
  /** With the token on every call. */
  transport: Transport;
  retry: RetryOptions;
  reconnect: Omit<ReconnectorParts, "onState" | "signal">;
}

export function connectionParts(options: ConnectionOptions): ConnectionParts {
  const authorization = options.token && new Authorization(options.token);
  const retry = {
    ...defaultReconnectPolicy,
    sendAttemptsMax: 5,
    sendTryTimeoutMs: 5_000,
    sendTimeoutMs: 15_000,
    ...options.retry,
  };
  return {
    transport: authorization?.over(options.transport) ?? options.transport,
    retry,
    reconnect: {
      policy: retry,
      clock: options.clock ?? systemClock,
      random: options.random ?? Math.random,
      authorization,
    },
  };
}

export function streamTimeouts(options: StreamTimeouts): Required<StreamTimeouts> {
  return {
    firstEventTimeoutMs: options.firstEventTimeoutMs ?? 10_000,
    heartbeatTimeoutMs: options.heartbeatTimeoutMs ?? 35_000,
    behindTimeoutMs: options.behindTimeoutMs ?? 5_000,
  };
}
