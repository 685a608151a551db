/**
 * A person who talks, through the client library; what was asked for and what came of it goes into the history.
 *
 * Owns the count of tries of each send that runs.
 */
import { Code, ConnectError, type Interceptor } from "@connectrpc/connect";
import { type AuthorInit, ChatClient, type SentMessage } from "../../../client/chat-client.ts";
import { refusalOf } from "../../../client/refusal.ts";
import { type SendMessageRequest, SendMessageRequestSchema } from "../../../gen/chat/v1/chat_pb.ts";
import { transportOf } from "./client-ways.ts";
import { fingerprint } from "./fingerprint.ts";
import type { HistoryWriter } from "./history-writer.ts";

/** Refusals that promise that nothing was appended, when the gateway says them with a reason of its own. */
const definiteCodes: ReadonlySet<Code> = new Set([
  Code.InvalidArgument,
  Code.NotFound,
  Code.AlreadyExists,
  Code.PermissionDenied,
  Code.FailedPrecondition,
  Code.Unauthenticated,
  Code.ResourceExhausted,
]);

/** What became of the calls of one send. */
interface Tries {
  count: number;
  /** Calls after which nobody knows whether it is in the room. */
  uncertain: number;
}

export type SendOutcome =
  | { kind: "ok"; sent: SentMessage }
  /** `retryAfterMs`: what the last refusal asked for. */
  | { kind: "fail" | "info"; code: string; retryAfterMs: number | undefined };

export class RecordedSender {
  readonly #author: AuthorInit;
  readonly #history: HistoryWriter;
  readonly #client: ChatClient;
  /** By client_message_id: of what is under way. */
  readonly #tries = new Map<string, Tries>();

  /**
   * @param n chooses protocol and first gateway
   * @param tries default 20; 1: what the gateway says to the first call is what comes of it
   */
  constructor(parts: {
    n: number;
    author: AuthorInit;
    baseUrls: readonly string[];
    history: HistoryWriter;
    tries?: number;
  }) {
    this.#author = parts.author;
    this.#history = parts.history;
    this.#client = new ChatClient({
      transport: transportOf(parts.n, parts.baseUrls, [this.#watchTries()]),
      retry: {
        baseMs: 250,
        maxMs: 1_000,
        sendAttemptsMax: parts.tries ?? 20,
        sendTryTimeoutMs: 3_000,
        sendTimeoutMs: 15_000,
      },
    });
  }

  /**
   * Sends; the library tries again as often as it finds right.
   * @param clientMessageId not under way at the same time by the same sender; another one may be of the same person
   */
  async send(room: string, clientMessageId: string, text: string): Promise<SendOutcome> {
    if (this.#tries.has(clientMessageId)) {
      throw new Error(`${clientMessageId} is under way`);
    }
    const op = this.#history.nextOperation();
    const { userId = "", name, avatar = "" } = this.#author;
    const author = { userId, name, avatar };
    const tries: Tries = { count: 0, uncertain: 0 };
    this.#tries.set(clientMessageId, tries);
    const named = fingerprint({ clientMessageId, author, text });
    this.#history.write({ type: "invoke", at: this.#history.now(), op, room, ...named });
    try {
      const sent = await this.#client.send({ roomId: room, text, author, clientMessageId });
      const { position, sentAtMs, duplicate } = sent;
      this.#history.write({
        type: "ok",
        at: this.#history.now(),
        op,
        position,
        sentAtMs,
        duplicate,
        tries: tries.count,
      });
      return { kind: "ok", sent };
    } catch (thrown) {
      const { code } = ConnectError.from(thrown);
      const kind = tries.uncertain === 0 ? "fail" : "info";
      const outcome = { kind, code: Code[code], retryAfterMs: refusalOf(thrown).retryAfterMs } as const;
      this.#history.write({ type: kind, at: this.#history.now(), op, tries: tries.count, code: Code[code] });
      return outcome;
    } finally {
      this.#tries.delete(clientMessageId);
    }
  }

  #watchTries(): Interceptor {
    return (next) => async (request) => {
      if (request.method.input !== SendMessageRequestSchema) {
        return next(request);
      }
      const { clientMessageId } = request.message as SendMessageRequest;
      const tries = this.#tries.get(clientMessageId);
      if (tries) {
        tries.count += 1;
      }
      try {
        return await next(request);
      } catch (thrown) {
        const isDefinite = definiteCodes.has(ConnectError.from(thrown).code) && refusalOf(thrown).reason !== undefined;
        if (tries && !isDefinite) {
          tries.uncertain += 1;
        }
        throw thrown;
      }
    };
  }
}
