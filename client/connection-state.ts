/**
 * What a subscription tells its owner about its connection: the states, why a stream was interrupted, and why it is
 * over. Plain values, for a page or a terminal to show.
 */
import type { ConnectError } from "@connectrpc/connect";
import type { EndReason } from "../gen/chat/v1/event_pb.ts";

/**
 *     connecting ──► live ──► waiting ──► connecting …     (no waiting where there is nothing to wait for)
 *         └────────────┴─────────┴──────► ended
 */
export type ConnectionState =
  /** A stream is being opened, or catches up. `attempt` counts from 1 and starts again after a stream that lasted. */
  | { readonly kind: "connecting"; readonly attempt: number }
  | LiveState
  /** The stream is gone; the next one is tried after `delayMs`. `attempt`: tries that have failed in a row, from 1. */
  | { readonly kind: "waiting"; readonly attempt: number; readonly delayMs: number; readonly cause: Interruption }
  /** Nothing more will come. */
  | { readonly kind: "ended"; readonly reason: EndedReason };

/** History is through: what comes now is happening now. */
export interface LiveState {
  readonly kind: "live";
  /** The cursor that the stream was opened with. Undefined: it began with a tail, or with nothing. */
  readonly resumedFrom?: string;
  /** From the moment the interruption was noticed until now. Undefined on the first connection. */
  readonly resumedInMs?: number;
  /** Messages that came before the live part began: history, or what was missed. */
  readonly caughtUp?: number;
}

/** Why a stream ended although its owner wants it. */
export type Interruption =
  /** The call failed: the network, or a refusal that passes. */
  | { readonly kind: "failed"; readonly error: ConnectError }
  /** The stream ended without a word. */
  | { readonly kind: "closed" }
  /** The gateway ended it and named a reason that invites back. */
  | { readonly kind: "ended"; readonly reason: EndReason }
  /** The gateway is about to stop. */
  | { readonly kind: "draining" }
  /** Nothing was heard for so long, not even a heartbeat. */
  | { readonly kind: "silent"; readonly silentMs: number }
  /** A heartbeat named a newer position, and nothing came. */
  | { readonly kind: "behind"; readonly cursor: string; readonly topPosition: string }
  /** The cursor is of another history than the gateway's; reported as a gap, and the reader starts again. */
  | { readonly kind: "cursorRefused"; readonly cursor: string };

/** Why it is over. */
export type EndedReason =
  /** By `stop()` or the signal. */
  | { readonly kind: "stopped" }
  /** The room was closed. */
  | { readonly kind: "roomClosed" }
  /** The reader left the room by its own command. */
  | { readonly kind: "left" }
  /** The gateway refuses, and trying again would change nothing. */
  | { readonly kind: "refused"; readonly error: ConnectError }
  /** A callback of the owner threw; `done` rejects with the same error. */
  | { readonly kind: "callbackFailed"; readonly error: unknown };
