/**
 * One call of chat.v1.ChatService.Chat: commands in, events and answers out.
 *
 * Commands are taken in order. Joining waits until the room is followed; sending does not wait for its answer, so that a
 * client can send faster than the log answers, up to `sendsInFlightMax`. A refused command is answered, and the stream
 * goes on. When the client has no more commands, the stream stays open while it is in a room.
 *
 * State: who the client is in each room it joined, and how many sends are not answered yet.
 */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { anyPack, timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { ConnectError } from "@connectrpc/connect";
import {
  type ChatRequest,
  ChatRequestSchema,
  type ChatResponse,
  ChatResponseSchema,
  type JoinCommand,
  type SendCommand,
} from "../../gen/chat/v1/chat_pb.ts";
import { EndReason } from "../../gen/chat/v1/event_pb.ts";
import type { Author } from "../../gen/chat/v1/message_pb.ts";
import { type Status, StatusSchema } from "../../gen/google/rpc/status_pb.ts";
import { formatPosition } from "../../storage/position.ts";
import { catchUp, type StartCursor, startCursor } from "../room/catch-up.ts";
import { OutgoingMessage } from "../room/outgoing.ts";
import type { Reader } from "../room/reader.ts";
import { Subscription } from "../room/subscription.ts";
import { type ChatServiceParts, startOf } from "./chat-service.ts";
import { refusalOf, refuse } from "./refusals.ts";
import { sendMessage } from "./send-message.ts";

/** Rooms that one stream may be in. */
const roomsMax = 20;

/** Sends of one stream that wait for the log; further commands wait in the connection. */
const sendsInFlightMax = 32;

export class TwoWayStream {
  /** The first thing to say, which Connect has to write; undefined: the stream ends without one. */
  readonly first: Promise<ChatResponse | undefined>;
  readonly #parts: ChatServiceParts;
  readonly #reader: Reader;
  readonly #authors = new Map<string, Author>();
  readonly #sends = new Set<Promise<void>>();
  #sayFirst!: (response: ChatResponse | undefined) => void;
  #hasSpoken = false;

  constructor(parts: ChatServiceParts, reader: Reader) {
    this.#parts = parts;
    this.#reader = reader;
    this.first = new Promise((resolve) => {
      this.#sayFirst = resolve;
    });
    void reader.ended.then(() => this.#sayFirst(undefined));
  }

  /** Takes commands until the client has no more of them. @throws what the request stream throws: it is broken */
  async run(commands: AsyncIterable<ChatRequest>): Promise<void> {
    for await (const request of commands) {
      await this.#handle(request);
      if (this.#reader.isEnded) {
        return;
      }
    }
    await Promise.all(this.#sends);
    this.#reader.endsWithLastRoom = true;
    if (this.#reader.subscriptions.size === 0) {
      this.#sayFirst(undefined);
      this.#reader.finish(EndReason.LEFT);
    }
  }

  async #handle(request: ChatRequest): Promise<void> {
    const { command } = request;
    const roomId = command.value?.roomId ?? "";
    const clientMessageId = command.case === "send" ? command.value.clientMessageId : "";
    try {
      this.#parts.validation.check(ChatRequestSchema, request);
      switch (command.case) {
        case "join":
          return await this.#join(command.value);
        case "send":
          return await this.#send(command.value);
        case "leave":
          return this.#joined(roomId).end(EndReason.LEFT);
      }
    } catch (error) {
      this.#refused(roomId, clientMessageId, error);
    }
  }

  async #join({ roomId, author, start }: JoinCommand): Promise<void> {
    const { catalog, hub, history } = this.#parts;
    const reader = this.#reader;
    if (reader.subscriptions.has(roomId)) {
      throw refuse("ALREADY_JOINED", `the stream is in room ${roomId} already`);
    }
    if (reader.subscriptions.size >= roomsMax) {
      throw refuse("TOO_MANY_ROOMS", `the stream is in ${reader.subscriptions.size} rooms, the limit is ${roomsMax}`);
    }
    const room = await hub.room(await catalog.get(roomId));
    if (reader.isEnded) {
      return;
    }
    const subscription = new Subscription(room, reader);
    let cursor: StartCursor;
    try {
      cursor = await startCursor(room, history, startOf(start));
    } catch (error) {
      subscription.withdraw();
      throw error;
    }
    this.#authors.set(roomId, author as Author);
    const { version } = room.description;
    this.#say({ content: { case: "event", value: room.state() } });
    void this.#follow(subscription, cursor, version);
  }

  async #follow(subscription: Subscription, start: StartCursor, knownVersion: number): Promise<void> {
    try {
      await catchUp(subscription, this.#parts.history, start, knownVersion);
      subscription.sendHeartbeat();
    } catch (error) {
      this.#parts.logger.warn({ err: error, roomId: subscription.room.roomId }, "a reader could not catch up");
      subscription.end(EndReason.LOG_UNAVAILABLE);
    }
  }

  async #send({ roomId, clientMessageId, text }: SendCommand): Promise<void> {
    const { catalog, log } = this.#parts;
    this.#joined(roomId);
    const author = this.#authors.get(roomId) as Author;
    const send = sendMessage(catalog, log, { roomId, clientMessageId, author, text }).then(
      ({ position, acceptedMs, duplicate }) => {
        const value = {
          roomId,
          clientMessageId,
          position: formatPosition(position),
          sentAt: timestampFromMs(acceptedMs),
          duplicate,
        };
        this.#say({ content: { case: "sendAccepted", value } });
      },
      (error) => this.#refused(roomId, clientMessageId, error),
    );
    this.#sends.add(send);
    void send.then(() => this.#sends.delete(send));
    if (this.#sends.size >= sendsInFlightMax) {
      await Promise.race(this.#sends);
    }
  }

  /** @throws {ConnectError} NOT_JOINED */
  #joined(roomId: string): Subscription {
    const subscription = this.#reader.subscriptions.get(roomId);
    if (!subscription) {
      throw refuse("NOT_JOINED", `the stream is not in room ${roomId}`);
    }
    return subscription;
  }

  #refused(roomId: string, clientMessageId: string, error: unknown): void {
    let refusal = refusalOf(error);
    if (!refusal) {
      this.#parts.logger.error({ err: error, roomId }, "a command failed for a reason that nobody foresaw");
      refusal = refuse("INTERNAL", "the gateway made a mistake");
    }
    const value = { roomId, clientMessageId, status: statusOf(refusal) };
    this.#say({ content: { case: "commandRefused", value } });
  }

  #say(init: MessageInitShape<typeof ChatResponseSchema>): void {
    const response = create(ChatResponseSchema, init);
    if (!this.#hasSpoken) {
      this.#hasSpoken = true;
      this.#sayFirst(response);
    } else {
      this.#reader.send(new OutgoingMessage(ChatResponseSchema, response));
    }
  }
}

/** The google.rpc.Status that the unary call would have ended with. */
function statusOf(error: ConnectError): Status {
  const details = error.details.flatMap((detail) =>
    "desc" in detail ? [anyPack(detail.desc, create(detail.desc, detail.value))] : [],
  );
  return create(StatusSchema, { code: error.code, message: error.rawMessage, details });
}
