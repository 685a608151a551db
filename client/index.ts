/**
 * The client library, as far as it runs in a browser. Transports are beside it, so that a page loads no Node code:
 * `web-transports.ts` for fetch, `node-transports.ts` for Bun and Node; the two-way stream is in `chat-stream.ts`.
 */
export type { TokenSource } from "./authorization.ts";
export {
  type AuthorInit,
  ChatClient,
  newClientMessageId,
  type OutgoingMessage,
  type SentMessage,
} from "./chat-client.ts";
export { type Clock, systemClock } from "./clock.ts";
export type { ConnectionOptions, RetryOptions, StreamTimeouts } from "./connection-options.ts";
export type { ConnectionState, EndedReason, Interruption, LiveState } from "./connection-state.ts";
export type { HotWordsSubscription, WatchHotWordsOptions } from "./hot-words-subscription.ts";
export { type FieldViolation, type Refusal, refusalOf } from "./refusal.ts";
export type { RoomCallbacks, RoomStart } from "./room-reader.ts";
export type { RoomSubscription, SubscribeOptions, SubscriptionStats } from "./room-subscription.ts";
