/**
 * One reader of one room: ChatService.Subscribe, opened again whenever it ends before its time. Stands between the
 * gateway's stream and a page, a test or the load tool.
 *
 * Owns the reader (cursor, counts) and the reconnector of the room.
 */

import type { MessageInitShape } from "@bufbuild/protobuf";
import type { Client } from "@connectrpc/connect";
import { Code } from "@connectrpc/connect";
import type { ChatService, SubscribeRequestSchema } from "../gen/chat/v1/chat_pb.ts";
import type { Clock } from "./clock.ts";
import { type StreamTimeouts, streamTimeouts } from "./connection-options.ts";
import type { ConnectionState, EndedReason } from "./connection-state.ts";
import { DrainWatch } from "./drain-watch.ts";
import { type Link, type LinkEnd, Reconnector, type ReconnectorParts } from "./reconnect.ts";
import { type RoomCallbacks, RoomReader, type RoomStart, type RoomStats } from "./room-reader.ts";

export interface SubscribeOptions extends RoomCallbacks, StreamTimeouts {
  /** Where to begin. Unset: with what comes from now on. */
  start?: RoomStart;
  onState?: (state: ConnectionState) => void;
  /** Ends the subscription, as `stop()` does. */
  signal?: AbortSignal;
}

/** Counts since the subscription began. */
export interface SubscriptionStats extends RoomStats {
  /** How often a stream came live again after an interruption. */
  readonly reconnects: number;
}

export class RoomSubscription {
  /** Resolves with the reason when nothing more will come. Rejects only if a callback throws. */
  readonly done: Promise<EndedReason>;
  readonly #roomId: string;
  readonly #chat: Client<typeof ChatService>;
  readonly #timeouts: Required<StreamTimeouts>;
  readonly #clock: Clock;
  readonly #reader: RoomReader;
  readonly #reconnector: Reconnector;
  #link: Link | undefined;

  /** @throws {RangeError} if `start.after` is not a position */
  constructor(parts: {
    roomId: string;
    chat: Client<typeof ChatService>;
    options: SubscribeOptions;
    reconnect: Omit<ReconnectorParts, "onState" | "signal">;
  }) {
    const { options, reconnect } = parts;
    this.#roomId = parts.roomId;
    this.#chat = parts.chat;
    this.#clock = reconnect.clock;
    this.#timeouts = streamTimeouts(options);
    this.#reader = new RoomReader({
      start: options.start,
      callbacks: options,
      clock: reconnect.clock,
      behindTimeoutMs: this.#timeouts.behindTimeoutMs,
      onBehind: (interruption) => this.#link?.end({ again: interruption }),
    });
    this.#reconnector = new Reconnector({ ...reconnect, onState: options.onState, signal: options.signal });
    this.done = this.#reconnector.run((link) => this.#useLink(link));
  }

  get state(): ConnectionState {
    return this.#reconnector.state;
  }

  /** Where the reader stands: keep it, and give it to `start.after` to go on later. Undefined while nothing was said. */
  get cursor(): string | undefined {
    return this.#reader.cursor;
  }

  /** The room's newest position as last heard. */
  get topPosition(): string | undefined {
    return this.#reader.topPosition;
  }

  get stats(): SubscriptionStats {
    return { ...this.#reader.stats, reconnects: this.#reconnector.reconnects };
  }

  /** Ends it; no callback is called afterwards but `onState`. */
  stop(): void {
    this.#reconnector.stop();
  }

  /** Cuts the pause before the next try short, as when the machine is back on the network. */
  retryNow(): void {
    this.#reconnector.retryNow();
  }

  async #useLink(link: Link): Promise<LinkEnd> {
    this.#link = link;
    const drain = new DrainWatch(this.#clock, (end) => link.end(end));
    link.allowSilence(this.#timeouts.firstEventTimeoutMs);
    let isFirst = true;
    try {
      const end = await link.read(
        this.#chat.subscribe({ roomId: this.#roomId, start: startField(this.#reader.open()) }, { signal: link.signal }),
        ({ event }) => {
          if (isFirst) {
            isFirst = false;
            link.allowSilence(this.#timeouts.heartbeatTimeoutMs);
          }
          const verdict = event && this.#reader.read(event);
          switch (verdict?.kind) {
            case "live":
              link.live(verdict);
              break;
            case "draining":
              drain.announced(verdict.delayMs);
              break;
            case "ended":
              link.end(verdict.end);
              break;
          }
        },
        (error) => {
          const interruption = error.code === Code.OutOfRange ? this.#reader.cursorRefused() : undefined;
          return interruption && { again: interruption, delayMs: 0 };
        },
      );
      return drain.apply(end);
    } finally {
      drain.close();
      this.#reader.close();
      this.#link = undefined;
    }
  }
}

/** The oneof `start` of SubscribeRequest and JoinCommand. */
export function startField(
  start: RoomStart | undefined,
): NonNullable<MessageInitShape<typeof SubscribeRequestSchema>["start"]> {
  if (!start) {
    return { case: undefined };
  }
  return "after" in start ? { case: "after", value: start.after } : { case: "tail", value: start.tail };
}
