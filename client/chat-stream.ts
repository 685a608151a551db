/**
 * The two-way stream: ChatService.Chat, for clients whose transport can send and receive at once (gRPC or Connect over
 * HTTP/2; browsers can not). One call carries up to 20 rooms and all sends. When it breaks, the next one joins the rooms
 * again at their cursors and sends again, under the same ids, what was not acknowledged.
 *
 * Owns the rooms, the sends without an answer (at most `pendingSendsMax`) and the reconnector.
 */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { type Client, Code, ConnectError, createClient } from "@connectrpc/connect";
import { type ChatRequestSchema, type ChatResponse, ChatService, type CommandRefused } from "../gen/chat/v1/chat_pb.ts";
import type { Event } from "../gen/chat/v1/event_pb.ts";
import { backoffDelayMs } from "../lib/backoff.ts";
import { type AuthorInit, isWorthAnotherTry, newClientMessageId, type SentMessage } from "./chat-client.ts";
import { CommandQueue } from "./command-queue.ts";
import {
  type ConnectionOptions,
  type ConnectionParts,
  connectionParts,
  type StreamTimeouts,
  streamTimeouts,
} from "./connection-options.ts";
import type { ConnectionState, EndedReason } from "./connection-state.ts";
import { DrainWatch } from "./drain-watch.ts";
import { type Link, type LinkEnd, linkEndOf, Reconnector } from "./reconnect.ts";
import { errorOfStatus, refusalOf, retryAfterMs } from "./refusal.ts";
import { type RoomCallbacks, RoomReader, type RoomStart, type RoomStats } from "./room-reader.ts";
import { startField } from "./room-subscription.ts";

export interface ChatStreamOptions extends ConnectionOptions, StreamTimeouts {
  /** Who joins and speaks. */
  author: AuthorInit;
  onState?: (state: ConnectionState) => void;
  /** Ends the stream, as `stop()` does. */
  signal?: AbortSignal;
  /** Sends without an answer; one more is refused. Default 100. */
  pendingSendsMax?: number;
}

export interface JoinOptions extends RoomCallbacks {
  /** Where to begin. Unset: with what comes from now on. */
  start?: RoomStart;
  /** The room is over for this stream, which goes on for the others. */
  onEnded?: (reason: EndedReason) => void;
}

/** A room on the stream. */
export interface JoinedRoom {
  readonly roomId: string;
  readonly cursor: string | undefined;
  readonly topPosition: string | undefined;
  readonly stats: RoomStats;
}

type Command = MessageInitShape<typeof ChatRequestSchema>;

interface Room {
  readonly roomId: string;
  readonly reader: RoomReader;
  readonly options: JoinOptions;
  /** On the link that is open now. */
  isLive: boolean;
  /** Resolves when the room is left; set once the command is given. */
  left: PromiseWithResolvers<void> | undefined;
}

interface PendingSend {
  readonly command: Command;
  readonly resolve: (sent: SentMessage) => void;
  readonly reject: (error: ConnectError) => void;
  readonly cancelTimeout: () => void;
  /** On the clock. */
  readonly deadline: number;
  /** Refusals so far that invited another try. */
  refusals: number;
  /** While it waits to be tried again. */
  cancelPause: (() => void) | undefined;
}

export class ChatStream {
  /** Resolves with the reason when the stream is over. Rejects only if a callback throws. */
  readonly done: Promise<EndedReason>;
  readonly #author: AuthorInit;
  readonly #parts: ConnectionParts;
  readonly #timeouts: Required<StreamTimeouts>;
  readonly #pendingSendsMax: number;
  readonly #chat: Client<typeof ChatService>;
  readonly #reconnector: Reconnector;
  readonly #rooms = new Map<string, Room>();
  /** By client message id, in the order of the sends. */
  readonly #pending = new Map<string, PendingSend>();
  #link: Link | undefined;
  #commands = new CommandQueue<Command>();
  #onIdle: (() => void) | undefined;

  constructor(options: ChatStreamOptions) {
    this.#author = options.author;
    this.#parts = connectionParts(options);
    this.#timeouts = streamTimeouts(options);
    this.#pendingSendsMax = options.pendingSendsMax ?? 100;
    this.#chat = createClient(ChatService, this.#parts.transport);
    this.#reconnector = new Reconnector({
      ...this.#parts.reconnect,
      onState: options.onState,
      signal: options.signal,
    });
    this.done = this.#run();
  }

  get state(): ConnectionState {
    return this.#reconnector.state;
  }

  /** How often the stream came live again after an interruption. */
  get reconnects(): number {
    return this.#reconnector.reconnects;
  }

  /** Sends without an answer. */
  get pendingSends(): number {
    return this.#pending.size;
  }

  /**
   * Enters a room; its events go to the callbacks until it is left or over.
   * @throws {RangeError} if the room is on the stream already (also while `leave` has not resolved), or `start.after` is
   *   not a position
   */
  join(roomId: string, options: JoinOptions): JoinedRoom {
    if (this.#rooms.has(roomId)) {
      throw new RangeError(`room ${roomId} is on this stream already`);
    }
    const reader = new RoomReader({
      start: options.start,
      callbacks: options,
      clock: this.#parts.reconnect.clock,
      behindTimeoutMs: this.#timeouts.behindTimeoutMs,
      onBehind: (interruption) => this.#link?.end({ again: interruption }),
    });
    const room: Room = { roomId, reader, options, isLive: false, left: undefined };
    this.#rooms.set(roomId, room);
    if (this.#link && this.#rooms.size === 1) {
      this.#link.allowSilence(this.#timeouts.firstEventTimeoutMs);
    }
    this.#pushJoin(room);
    return {
      roomId,
      get cursor() {
        return reader.cursor;
      },
      get topPosition() {
        return reader.topPosition;
      },
      get stats() {
        return reader.stats;
      },
    };
  }

  /** Leaves a room. Resolves when nothing more of it will come; at once for a room that is not on the stream. */
  leave(roomId: string): Promise<void> {
    const room = this.#rooms.get(roomId);
    if (!room) {
      return Promise.resolve();
    }
    if (!room.left) {
      room.left = Promise.withResolvers();
      if (this.#link) {
        this.#commands.push({ command: { case: "leave", value: { roomId } } });
      } else {
        this.#roomOver(room, { kind: "left" });
      }
    }
    return room.left.promise;
  }

  /**
   * Says something in a room that was joined. What is not acknowledged when the stream breaks goes out again on the next.
   * @param options.timeoutMs until an answer, over all streams. Default `retry.sendTimeoutMs`
   * @throws {ConnectError} the refusal; `refusalOf` reads it. After DeadlineExceeded the message may be in the room
   * @throws {RangeError} if the room is not on the stream
   */
  async send(
    roomId: string,
    text: string,
    options: { clientMessageId?: string; timeoutMs?: number } = {},
  ): Promise<SentMessage> {
    const room = this.#rooms.get(roomId);
    if (!room || room.left) {
      throw new RangeError(`room ${roomId} is not on this stream`);
    }
    if (this.#pending.size >= this.#pendingSendsMax) {
      throw new ConnectError(`${this.#pendingSendsMax} messages wait for an answer already`, Code.ResourceExhausted);
    }
    const clientMessageId = options.clientMessageId ?? newClientMessageId();
    const timeoutMs = options.timeoutMs ?? this.#parts.retry.sendTimeoutMs;
    return new Promise((resolve, reject) => {
      const command: Command = { command: { case: "send", value: { roomId, clientMessageId, text } } };
      const cancelTimeout = this.#parts.reconnect.clock.after(timeoutMs, () =>
        this.#answer(clientMessageId, (send) =>
          send.reject(new ConnectError(`no answer within ${timeoutMs} ms`, Code.DeadlineExceeded)),
        ),
      );
      this.#pending.set(clientMessageId, {
        command,
        resolve,
        reject,
        cancelTimeout,
        deadline: this.#parts.reconnect.clock.now() + timeoutMs,
        refusals: 0,
        cancelPause: undefined,
      });
      this.#pushIfOpen(command);
    });
  }

  /** Waits for the answers to all sends, then ends the stream. */
  async close(): Promise<EndedReason> {
    if (this.#pending.size > 0) {
      await new Promise<void>((resolve) => {
        this.#onIdle = resolve;
      });
    }
    this.stop();
    return this.done;
  }

  /** Ends the stream; sends without an answer reject. */
  stop(): void {
    this.#reconnector.stop();
  }

  /** Cuts the pause before the next try short, as when the machine is back on the network. */
  retryNow(): void {
    this.#reconnector.retryNow();
  }

  async #run(): Promise<EndedReason> {
    let reason: EndedReason = { kind: "stopped" };
    try {
      reason = await this.#reconnector.run((link) => this.#useLink(link));
      return reason;
    } finally {
      const error = reason.kind === "refused" ? reason.error : new ConnectError("the stream was ended", Code.Canceled);
      for (const clientMessageId of [...this.#pending.keys()]) {
        this.#answer(clientMessageId, (send) => send.reject(error));
      }
      for (const room of [...this.#rooms.values()]) {
        this.#roomOver(room, reason);
      }
    }
  }

  async #useLink(link: Link): Promise<LinkEnd> {
    this.#link = link;
    this.#commands = new CommandQueue();
    for (const room of [...this.#rooms.values()]) {
      room.isLive = false;
      if (room.left) {
        this.#roomOver(room, { kind: "left" });
      } else {
        this.#pushJoin(room);
      }
    }
    for (const send of this.#pending.values()) {
      if (!send.cancelPause) {
        this.#commands.push(send.command);
      }
    }
    const drain = new DrainWatch(this.#parts.reconnect.clock, (end) => link.end(end));
    link.allowSilence(this.#rooms.size > 0 ? this.#timeouts.firstEventTimeoutMs : undefined);
    let isFirst = true;
    try {
      const end = await link.read(this.#chat.chat(this.#commands, { signal: link.signal }), (response) => {
        if (isFirst) {
          isFirst = false;
          link.allowSilence(this.#rooms.size > 0 ? this.#timeouts.heartbeatTimeoutMs : undefined);
        }
        this.#read(link, drain, response);
      });
      return drain.apply(end);
    } finally {
      drain.close();
      this.#commands.end();
      this.#link = undefined;
      for (const room of this.#rooms.values()) {
        room.reader.close();
      }
    }
  }

  #read(link: Link, drain: DrainWatch, { content }: ChatResponse): void {
    switch (content.case) {
      case "event":
        this.#readEvent(link, drain, content.value);
        break;
      case "sendAccepted": {
        const { clientMessageId, position, sentAt, duplicate } = content.value;
        this.#answer(clientMessageId, (send) =>
          send.resolve({ clientMessageId, position, duplicate, sentAtMs: sentAt ? timestampMs(sentAt) : 0 }),
        );
        break;
      }
      case "commandRefused":
        if (content.value.clientMessageId === "") {
          this.#roomRefused(link, content.value);
        } else {
          this.#sendRefused(content.value);
        }
        break;
    }
  }

  #readEvent(link: Link, drain: DrainWatch, event: Event): void {
    const room = this.#rooms.get(event.roomId);
    const verdict = room?.reader.read(event);
    if (!room || !verdict) {
      return;
    }
    switch (verdict.kind) {
      case "live":
        room.isLive = true;
        // Several rooms make one state: live when all are. A room that joins a live stream changes nothing.
        if (this.#reconnector.state.kind !== "live" && [...this.#rooms.values()].every(({ isLive }) => isLive)) {
          link.live(verdict);
        }
        break;
      case "draining":
        drain.announced(verdict.delayMs);
        break;
      case "ended":
        if ("final" in verdict.end) {
          this.#roomOver(room, verdict.end.final);
        } else {
          // Resuming is exact, so the other rooms lose nothing by coming along.
          link.end(verdict.end);
        }
        break;
    }
  }

  #roomRefused(link: Link, { roomId, status }: CommandRefused): void {
    const room = this.#rooms.get(roomId);
    if (!room) {
      return;
    }
    const error = errorOfStatus(status);
    if (error.code === Code.OutOfRange && room.reader.cursorRefused()) {
      this.#pushJoin(room);
      return;
    }
    const end = linkEndOf(error);
    if ("final" in end) {
      this.#roomOver(room, end.final);
    } else {
      link.end(end);
    }
  }

  #sendRefused({ roomId, clientMessageId, status }: CommandRefused): void {
    const send = this.#pending.get(clientMessageId);
    if (!send) {
      return;
    }
    const { retry, reconnect } = this.#parts;
    const error = errorOfStatus(status);
    send.refusals += 1;
    const room = this.#rooms.get(roomId);
    if (room && !room.left && refusalOf(error).reason === "NOT_JOINED" && send.refusals < retry.sendAttemptsMax) {
      // It came after a join whose cursor was refused. The refusal of the join came first, so the next join is on its way.
      this.#pushIfOpen(send.command);
      return;
    }
    const delayMs = retryAfterMs(error) ?? backoffDelayMs(send.refusals, retry, reconnect.random);
    const tooLate = reconnect.clock.now() + delayMs >= send.deadline;
    if (tooLate || !isWorthAnotherTry(error) || send.refusals >= retry.sendAttemptsMax) {
      this.#answer(clientMessageId, () => send.reject(error));
      return;
    }
    send.cancelPause = reconnect.clock.after(delayMs, () => {
      send.cancelPause = undefined;
      this.#pushIfOpen(send.command);
    });
  }

  /** Takes a send out of the waiting ones. Does nothing if it has been answered. */
  #answer(clientMessageId: string, settle: (send: PendingSend) => void): void {
    const send = this.#pending.get(clientMessageId);
    if (!send) {
      return;
    }
    this.#pending.delete(clientMessageId);
    send.cancelTimeout();
    send.cancelPause?.();
    settle(send);
    if (this.#pending.size === 0) {
      this.#onIdle?.();
    }
  }

  #roomOver(room: Room, reason: EndedReason): void {
    this.#rooms.delete(room.roomId);
    room.reader.close();
    room.left?.resolve();
    if (this.#rooms.size === 0) {
      this.#link?.allowSilence(undefined);
    }
    room.options.onEnded?.(reason);
  }

  #pushJoin(room: Room): void {
    if (!this.#link) {
      return;
    }
    const start = startField(room.reader.open());
    this.#commands.push({ command: { case: "join", value: { roomId: room.roomId, author: this.#author, start } } });
  }

  #pushIfOpen(command: Command): void {
    if (this.#link) {
      this.#commands.push(command);
    }
  }
}
