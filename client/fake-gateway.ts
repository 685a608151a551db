/**
 * A gateway for the client's tests: one room with a log, served in memory by a Connect router. It does as told where a
 * real one only does by accident: cuts streams after a number of events, repeats events, falls silent, refuses.
 *
 * Owns the log, the scripts of the streams to come, and the streams that are open.
 */
import { create } from "@bufbuild/protobuf";
import { anyPack, durationFromMs, timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  Code,
  ConnectError,
  type ConnectRouter,
  createRouterTransport,
  type HandlerContext,
} from "@connectrpc/connect";
import {
  type ChatRequest,
  type ChatResponse,
  ChatResponseSchema,
  ChatService,
  type SendMessageRequest,
  type SubscribeRequest,
  SubscribeResponseSchema,
} from "../gen/chat/v1/chat_pb.ts";
import { type EndReason, type Event, EventSchema } from "../gen/chat/v1/event_pb.ts";
import { ErrorInfoSchema, RetryInfoSchema } from "../gen/google/rpc/error_details_pb.ts";
import { StatusSchema } from "../gen/google/rpc/status_pb.ts";
import { comparePositions, parsePosition } from "../storage/position.ts";

/** How one stream behaves. An unscripted stream goes on until its reader leaves. */
export interface StreamScript {
  /** Refused before the first event. */
  refuse?: ConnectError;
  /** Ends after so many events, by `end`. */
  eventsMax?: number;
  end?: "error" | "close" | { reason: EndReason; retryAfterMs?: number } | ConnectError;
  /** Log entries before the cursor that come once more. */
  repeat?: number;
  /** Sends nothing at all. */
  mute?: boolean;
  /** Leaves out the live entries. */
  deaf?: boolean;
}

export class FakeGateway {
  readonly roomId = "lobby";
  readonly log: Event[] = [];
  readonly scripts: StreamScript[] = [];
  /** What each Subscribe, and each join on a two-way stream, asked for. */
  readonly starts: SubscribeRequest["start"][] = [];
  /** Scripts of the sends to come: an error instead of the answer. `logged`: after the message came into the log. */
  readonly sendScripts: { refuse: ConnectError; logged: boolean }[] = [];
  /** The ids that sends came with, each try. */
  readonly sendIds: string[] = [];
  readonly authorizations: (string | null)[] = [];
  /** Refuses any other token as Unauthenticated. */
  tokenWanted: string | undefined;
  openStreams = 0;
  #epoch = 1;
  #seq = 0;
  readonly #pushed = new Set<(event: Event) => void>();
  readonly #wakes = new Set<() => void>();

  get topPosition(): string {
    return this.log.at(-1)?.position ?? "";
  }

  transport() {
    return createRouterTransport((router) => this.routes(router));
  }

  routes(router: ConnectRouter): void {
    const gateway = this;
    router.service(ChatService, {
      sendMessage: (request, context) => gateway.#send(request, context),
      subscribe: async function* (request, context) {
        gateway.#authorize(context);
        gateway.starts.push(request.start);
        for await (const event of gateway.#stream(request.start, gateway.scripts.shift() ?? {}, context.signal)) {
          yield create(SubscribeResponseSchema, { event });
        }
      },
      chat: (requests, context) => gateway.#chat(requests, context),
    });
  }

  /** Somebody writes. @returns the position */
  say(text: string, clientMessageId = ""): string {
    const position = `${this.#epoch}-${this.#seq}`;
    this.#seq += 1;
    this.log.push(
      create(EventSchema, {
        roomId: this.roomId,
        position,
        kind: {
          case: "message",
          value: { position, clientMessageId, text, author: { name: "지은" }, sentAt: timestampFromMs(0) },
        },
      }),
    );
    this.#wake();
    return position;
  }

  /** The log begins again in a later (or, where clocks went wrong, earlier) epoch with nothing in it. */
  forget(epoch: number): void {
    this.log.length = 0;
    this.#epoch = epoch;
    this.#seq = 0;
  }

  /** Sends an event that is not in the log to all open streams. */
  push(kind: Event["kind"]): void {
    const event = create(EventSchema, { roomId: this.roomId, kind });
    for (const push of this.#pushed) {
      push(event);
    }
  }

  #wake(): void {
    for (const wake of [...this.#wakes]) {
      wake();
    }
  }

  async *#stream(start: SubscribeRequest["start"], script: StreamScript, signal: AbortSignal): AsyncGenerator<Event> {
    if (script.refuse) {
      throw script.refuse;
    }
    if (start.case === "after" && (this.topPosition === "" || isAfter(start.value, this.topPosition))) {
      throw new ConnectError("the room has never been there", Code.OutOfRange);
    }
    const pushed: Event[] = [];
    const push = (event: Event) => {
      pushed.push(event);
      this.#wake();
    };
    this.#pushed.add(push);
    this.openStreams += 1;
    let sent = 0;
    try {
      if (script.eventsMax === 0) {
        yield* this.#end(script);
        return;
      }
      for await (const event of this.#events(start, script, pushed, signal)) {
        sent += 1;
        yield event;
        if (sent === script.eventsMax) {
          yield* this.#end(script);
          return;
        }
      }
    } finally {
      this.openStreams -= 1;
      this.#pushed.delete(push);
    }
  }

  async *#events(
    start: SubscribeRequest["start"],
    script: StreamScript,
    pushed: Event[],
    signal: AbortSignal,
  ): AsyncGenerator<Event> {
    const { roomId } = this;
    let next = this.log.length;
    if (start.case === "tail") {
      next = Math.max(0, this.log.length - start.value);
    } else if (start.case === "after") {
      const cursor = start.value;
      const newer = this.log.findIndex(({ position }) => isAfter(position, cursor));
      next = Math.max(0, (newer < 0 ? this.log.length : newer) - (script.repeat ?? 0));
    }
    if (!script.mute) {
      const topPosition = this.topPosition;
      yield create(EventSchema, { roomId, kind: { case: "roomState", value: { room: { roomId }, topPosition } } });
      const historyEnd = this.log.length;
      while (next < historyEnd) {
        yield this.log[next++] as Event;
      }
      yield create(EventSchema, { roomId, kind: { case: "heartbeat", value: { topPosition: this.topPosition } } });
    }
    while (!signal.aborted) {
      const special = pushed.shift();
      if (special) {
        yield special;
      } else if (next < this.log.length && !script.mute && !script.deaf) {
        yield this.log[next++] as Event;
      } else {
        await this.#more(signal);
      }
    }
  }

  async *#end({ end = "close" }: StreamScript): AsyncGenerator<Event> {
    if (end === "error") {
      throw new ConnectError("cut", Code.Unavailable);
    }
    if (end instanceof ConnectError) {
      throw end;
    }
    if (end !== "close") {
      const { reason, retryAfterMs } = end;
      const retryAfter = retryAfterMs === undefined ? undefined : durationFromMs(retryAfterMs);
      yield create(EventSchema, {
        roomId: this.roomId,
        kind: { case: "ended", value: { reason, retryAfter, resumeAfter: this.topPosition } },
      });
    }
  }

  /** Something was said or pushed, or the reader has gone. */
  #more(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        this.#wakes.delete(wake);
        signal.removeEventListener("abort", wake);
        resolve();
      };
      this.#wakes.add(wake);
      signal.addEventListener("abort", wake, { once: true });
    });
  }

  #send({ text, clientMessageId }: SendMessageRequest, context: HandlerContext) {
    this.#authorize(context);
    return this.#accept(text, clientMessageId);
  }

  #accept(text: string, clientMessageId: string) {
    this.sendIds.push(clientMessageId);
    const script = this.sendScripts.shift();
    if (script && !script.logged) {
      throw script.refuse;
    }
    const first = this.log.find(
      ({ kind }) => kind.case === "message" && clientMessageId !== "" && kind.value.clientMessageId === clientMessageId,
    );
    const position = first?.position ?? this.say(text, clientMessageId);
    if (script) {
      throw script.refuse;
    }
    return { position, sentAt: timestampFromMs(1_000), duplicate: first !== undefined };
  }

  async *#chat(requests: AsyncIterable<ChatRequest>, context: HandlerContext): AsyncGenerator<ChatResponse> {
    this.#authorize(context);
    const script = this.scripts.shift() ?? {};
    if (script.refuse && script.refuse.code !== Code.OutOfRange) {
      throw script.refuse;
    }
    const responses: ChatResponse["content"][] = [];
    let failure: unknown;
    let isOver = false;
    const answer = (content: ChatResponse["content"]) => {
      responses.push(content);
      this.#wake();
    };
    let isJoined = false;
    const left = new AbortController();
    const leave = () => left.abort();
    context.signal.addEventListener("abort", leave, { once: true });
    const follow = async (start: SubscribeRequest["start"]) => {
      try {
        for await (const event of this.#stream(start, script, left.signal)) {
          answer({ case: "event", value: event });
        }
        isOver = true;
      } catch (error) {
        if (error instanceof ConnectError && error.code === Code.OutOfRange) {
          answer(this.#refused(error, ""));
        } else {
          failure = error;
        }
      }
      this.#wake();
    };
    const obey = async () => {
      for await (const { command } of requests) {
        if (command.case === "join") {
          const { start } = command.value;
          this.starts.push(start);
          isJoined = start.case !== "after" || (this.topPosition !== "" && !isAfter(start.value, this.topPosition));
          void follow(start);
        } else if (command.case === "send") {
          const { clientMessageId, text, roomId } = command.value;
          try {
            if (!isJoined) {
              throw refusal(Code.FailedPrecondition, "NOT_JOINED");
            }
            const accepted = this.#accept(text, clientMessageId);
            answer(
              create(ChatResponseSchema, {
                content: { case: "sendAccepted", value: { roomId, clientMessageId, ...accepted } },
              }).content,
            );
          } catch (error) {
            if (error instanceof ConnectError && error.code === Code.Unavailable) {
              failure = error;
              this.#wake();
            } else {
              answer(this.#refused(ConnectError.from(error), clientMessageId));
            }
          }
        } else if (command.case === "leave") {
          left.abort();
          answer({
            case: "event",
            value: create(EventSchema, { roomId: this.roomId, kind: { case: "ended", value: { reason: 2 } } }),
          });
        }
      }
    };
    obey().catch((error) => {
      failure = error;
      this.#wake();
    });
    try {
      while (!context.signal.aborted) {
        const content = responses.shift();
        if (content) {
          yield create(ChatResponseSchema, { content });
        } else if (failure) {
          throw failure;
        } else if (isOver && !left.signal.aborted) {
          return;
        } else {
          await this.#more(context.signal);
        }
      }
    } finally {
      left.abort();
    }
  }

  #refused(error: ConnectError, clientMessageId: string): ChatResponse["content"] {
    const details = [
      ...error.findDetails(ErrorInfoSchema).map((detail) => anyPack(ErrorInfoSchema, detail)),
      ...error.findDetails(RetryInfoSchema).map((detail) => anyPack(RetryInfoSchema, detail)),
    ];
    const status = create(StatusSchema, { code: error.code, message: error.rawMessage, details });
    return create(ChatResponseSchema, {
      content: { case: "commandRefused", value: { roomId: this.roomId, clientMessageId, status } },
    }).content;
  }

  #authorize(context: HandlerContext): void {
    const authorization = context.requestHeader.get("authorization");
    this.authorizations.push(authorization);
    if (this.tokenWanted !== undefined && authorization !== `Bearer ${this.tokenWanted}`) {
      throw new ConnectError("the token has expired", Code.Unauthenticated);
    }
  }
}

/** A refusal as the gateway makes them. */
export function refusal(code: Code, reason: string, retryAfterMs?: number): ConnectError {
  const details = [{ desc: ErrorInfoSchema, value: { domain: "streaming-chat", reason } }];
  return new ConnectError(`refused: ${reason}`, code, undefined, [
    ...details,
    ...(retryAfterMs === undefined
      ? []
      : [{ desc: RetryInfoSchema, value: { retryDelay: durationFromMs(retryAfterMs) } }]),
  ]);
}

function isAfter(a: string, b: string): boolean {
  return comparePositions(parsePosition(a), parsePosition(b)) > 0;
}
