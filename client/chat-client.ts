/**
 * The TypeScript client: talks to a gateway over any Connect transport (`web-transports.ts`, `node-transports.ts`). Safe
 * for browsers: uses no Node API. Sends are retried under one id, subscriptions go on where they stopped.
 *
 *     const chat = new ChatClient({ transport: createWebTransport({ baseUrl: location.origin }) });
 *     const lobby = chat.subscribe("lobby", { start: { tail: 50 }, onMessage: (message) => show(message) });
 *     await chat.send({ roomId: "lobby", text: "안녕!", author: { userId: "u1", name: "민수", avatar: "🦊" } });
 *     lobby.stop();
 */
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { type Client, Code, ConnectError, createClient } from "@connectrpc/connect";
import { ChatService } from "../gen/chat/v1/chat_pb.ts";
import { HotWordService } from "../gen/chat/v1/hot_word_pb.ts";
import { RoomService } from "../gen/chat/v1/room_pb.ts";
import { backoffDelayMs } from "../lib/backoff.ts";
import type { Clock } from "./clock.ts";
import { type ConnectionOptions, type ConnectionParts, connectionParts } from "./connection-options.ts";
import { HotWordsSubscription, type WatchHotWordsOptions } from "./hot-words-subscription.ts";
import { isNetworkFailure, retryAfterMs } from "./refusal.ts";
import { RoomSubscription, type SubscribeOptions } from "./room-subscription.ts";

export type { HotWordsSubscription, RoomSubscription };

/** Who says something, as in chat.v1.Author. */
export interface AuthorInit {
  /** Identifies the person across messages; empty: the name stands for it. */
  userId?: string;
  name: string;
  /** An emoji. */
  avatar?: string;
}

export interface OutgoingMessage {
  roomId: string;
  text: string;
  author: AuthorInit;
  /** Names the message across tries, at most 64 of A–Z a–z 0–9 _ -. Unset: a random one. */
  clientMessageId?: string;
}

/** The message stands in the room's log. */
export interface SentMessage {
  position: string;
  /** When the log accepted it, Unix ms. */
  sentAtMs: number;
  /** It was there before: an earlier try had got through. */
  duplicate: boolean;
  clientMessageId: string;
}

export class ChatClient {
  readonly rooms: Client<typeof RoomService>;
  readonly chat: Client<typeof ChatService>;
  readonly hotWords: Client<typeof HotWordService>;
  readonly #parts: ConnectionParts;

  constructor(options: ConnectionOptions) {
    this.#parts = connectionParts(options);
    this.rooms = createClient(RoomService, this.#parts.transport);
    this.chat = createClient(ChatService, this.#parts.transport);
    this.hotWords = createClient(HotWordService, this.#parts.transport);
  }

  /**
   * Says something. Tries again, always under the same id, while the gateway is out of reach or asks to wait; so the
   * message is in the room once or not at all, however often it was tried.
   * @param options.timeoutMs for all tries together. Default `retry.sendTimeoutMs`
   * @throws {ConnectError} the last refusal; `refusalOf` reads it. After Unavailable, DeadlineExceeded or a network failure
   *   the message may be in the room: send it again with the same `clientMessageId`
   */
  async send(
    message: OutgoingMessage,
    options: { signal?: AbortSignal; timeoutMs?: number } = {},
  ): Promise<SentMessage> {
    const { retry, reconnect } = this.#parts;
    const { clock, random } = reconnect;
    const { roomId, text, author } = message;
    const clientMessageId = message.clientMessageId ?? newClientMessageId();
    const deadline = clock.now() + (options.timeoutMs ?? retry.sendTimeoutMs);
    for (let attempt = 1; ; attempt += 1) {
      try {
        const answer = await this.chat.sendMessage(
          { roomId, text, author, clientMessageId },
          {
            signal: options.signal,
            // Whole: protocols write it as digits, and a gateway refuses a fraction.
            timeoutMs: Math.max(1, Math.ceil(Math.min(retry.sendTryTimeoutMs, deadline - clock.now()))),
          },
        );
        return {
          position: answer.position,
          sentAtMs: answer.sentAt ? timestampMs(answer.sentAt) : 0,
          duplicate: answer.duplicate,
          clientMessageId,
        };
      } catch (thrown) {
        const error = ConnectError.from(thrown);
        if (options.signal?.aborted || !isWorthAnotherTry(error) || attempt >= retry.sendAttemptsMax) {
          throw error;
        }
        const delayMs = retryAfterMs(error) ?? backoffDelayMs(attempt, retry, random);
        if (clock.now() + delayMs >= deadline) {
          throw error;
        }
        await pauseOn(clock, delayMs, options.signal);
        if (options.signal?.aborted) {
          throw error;
        }
      }
    }
  }

  /**
   * Follows a room until `stop()`, the signal, or an end that is final. Reconnects and resumes by itself.
   * @throws {RangeError} if `options.start.after` is not a position
   */
  subscribe(roomId: string, options: SubscribeOptions): RoomSubscription {
    return new RoomSubscription({ roomId, chat: this.chat, options, reconnect: this.#parts.reconnect });
  }

  /** Follows the hot words of a room in the same way. */
  watchHotWords(roomId: string, options: WatchHotWordsOptions): HotWordsSubscription {
    return new HotWordsSubscription({ roomId, hotWords: this.hotWords, options, reconnect: this.#parts.reconnect });
  }
}

/** 128 random bits. Not `crypto.randomUUID`: browsers have that on https and localhost only. */
export function newClientMessageId(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * Whether a send that its caller has not cancelled may succeed if it is simply made again. Harmless in any case: the id
 * makes it one message.
 */
export function isWorthAnotherTry(error: ConnectError): boolean {
  switch (error.code) {
    case Code.Unavailable:
    case Code.DeadlineExceeded:
      return true;
    case Code.ResourceExhausted:
      return retryAfterMs(error) !== undefined;
    default:
      return isNetworkFailure(error);
  }
}

/** Waits; ends early, without rejecting, when the signal aborts. */
function pauseOn(clock: Clock, delayMs: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      cancel();
      signal?.removeEventListener("abort", end);
      resolve();
    };
    const cancel = clock.after(delayMs, end);
    signal?.addEventListener("abort", end, { once: true });
  });
}
