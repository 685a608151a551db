/**
 * One room as this page sees it: the subscription, the window of messages, the reader's own messages on their way, the
 * hot words. Made when a room is entered, closed when it is left; a change of protocol opens a new subscription at the
 * cursor of the old one, in the same window.
 *
 * Messages may come hundreds a second. They are gathered and put into the window once per animation frame, so the page
 * draws as often as the screen does and no more. A hidden page gets no frames; then only the newest are gathered.
 */
import { signal } from "@preact/signals";
import type { ChatClient, HotWordsSubscription, RoomSubscription } from "../../client/chat-client.ts";
import type { ConnectionState } from "../../client/connection-state.ts";
import { type Refusal, refusalOf } from "../../client/refusal.ts";
import { GapReason } from "../../gen/chat/v1/event_pb.ts";
import type { HotWord } from "../../gen/chat/v1/hot_word_pb.ts";
import type { Message } from "../../gen/chat/v1/message_pb.ts";
import { type Room, RoomStatus } from "../../gen/chat/v1/room_pb.ts";
import { type Item, MessageWindow, messageItem } from "./message-window.ts";
import type { Profile, Protocol } from "./settings.ts";

/** What the DOM holds at most: 500 rows take about 1 ms a frame. */
const itemsMax = 500;
const tailMessages = 50;
const olderPageMessages = 50;
/** The API's largest page: for ways that are walked under a waiting reader. */
const newerPageMessages = 200;
const hotWordsShown = 8;
const pendingMax = 20;

/** A message of the reader that the room has not shown yet. */
export interface Pending {
  readonly clientMessageId: string;
  readonly text: string;
  /** "accepted": the log has it and it is on its way back to us. */
  readonly state: "sending" | "accepted" | "refused";
  readonly refusal?: Refusal;
}

export class RoomSession {
  readonly window = new MessageWindow(itemsMax);
  readonly room = signal<Room | undefined>(undefined);
  readonly viewers = signal<number | undefined>(undefined);
  readonly connection = signal<ConnectionState | undefined>(undefined);
  readonly cursor = signal("");
  readonly topPosition = signal("");
  readonly resumes = signal(0);
  /** Messages that came on the live part of the stream. */
  readonly received = signal(0);
  readonly pending = signal<readonly Pending[]>([]);
  /** What the reader is writing. */
  readonly draft = signal("");
  readonly hotWords = signal<readonly HotWord[]>([]);
  readonly loadingOlder = signal(false);
  readonly refused = signal<Refusal | undefined>(undefined);
  /** Called with every message that comes in while the stream is live: the scene cheers. Set by the stage. */
  onCheer: ((message: Message) => void) | undefined;

  #client: ChatClient;
  #protocol: Protocol;
  #subscription: RoomSubscription | undefined;
  #watchingWords: HotWordsSubscription | undefined;
  #incoming: Item[] = [];
  #frame: number | undefined;
  #closed = false;
  #marks = 0;
  /** When the change of protocol began; the new subscription's first live state ends it. */
  #switchedAt: number | undefined;
  #loadingNewer = false;

  constructor(
    readonly roomId: string,
    client: ChatClient,
    protocol: Protocol,
    readonly userId: string,
  ) {
    this.#client = client;
    this.#protocol = protocol;
    this.#follow({ tail: tailMessages });
    this.watchHotWords(true);
  }

  /** Goes on over another transport, after the last message seen. */
  switchTo(client: ChatClient, protocol: Protocol): void {
    this.#client = client;
    this.#protocol = protocol;
    this.#switchedAt = performance.now();
    const cursor = this.#subscription?.cursor;
    this.#subscription?.stop();
    this.#follow(cursor ? { after: cursor } : { tail: tailMessages });
    this.watchHotWords(this.#watchingWords !== undefined);
  }

  /** A browser opens six HTTP/1.1 connections to one host, so a page that nobody sees gives back its second stream. */
  watchHotWords(watch: boolean): void {
    this.#watchingWords?.stop();
    this.#watchingWords = undefined;
    if (!watch || this.#closed) return;
    this.#watchingWords = this.#client.watchHotWords(this.roomId, {
      limit: hotWordsShown,
      onWords: (words) => {
        if (!this.#closed) this.hotWords.value = words;
      },
    });
  }

  /** The way is open again, as far as this page knows: no need to wait out a pause. */
  retryNow(): void {
    this.#subscription?.retryNow();
    this.#watchingWords?.retryNow();
  }

  close(): void {
    this.#closed = true;
    this.#subscription?.stop();
    this.watchHotWords(false);
    if (this.#frame !== undefined) cancelAnimationFrame(this.#frame);
  }

  #follow(start: { tail: number } | { after: string }): void {
    // A subscription that was stopped may have an event in the air; what it says is not of this session any more.
    const ours = () => !this.#closed && (this.#subscription === undefined || this.#subscription === subscription);
    this.#subscription = undefined;
    const subscription: RoomSubscription = this.#client.subscribe(this.roomId, {
      start,
      onMessage: (message) => ours() && this.#take(message),
      onRoomState: (state) => {
        if (!ours()) return;
        this.room.value = state.room;
        this.#sawTop(state.topPosition);
      },
      onViewerCount: (count) => {
        if (ours()) this.viewers.value = count.viewers;
      },
      onGap: (gap) => ours() && this.#gather({ kind: "gap", key: this.#mark("gap"), gap }),
      onHeartbeat: (heartbeat) => ours() && this.#sawTop(heartbeat.topPosition),
      onState: (state) => ours() && this.#entered(state),
    });
    this.#subscription = subscription;
  }

  #take(message: Message): void {
    this.#gather(messageItem(message));
    if (this.connection.value?.kind === "live") {
      this.received.value += 1;
      this.onCheer?.(message);
    }
    if (message.author?.userId === this.userId && this.pending.value.length > 0) {
      this.pending.value = this.pending.value.filter((one) => one.clientMessageId !== message.clientMessageId);
    }
  }

  #entered(state: ConnectionState): void {
    this.connection.value = state;
    if (state.kind === "live") {
      const tookMs =
        this.#switchedAt === undefined ? state.resumedInMs : Math.round(performance.now() - this.#switchedAt);
      this.#switchedAt = undefined;
      if (tookMs === undefined) return;
      this.resumes.value += 1;
      const resume = {
        position: state.resumedFrom ?? "",
        tookMs,
        caughtUp: state.caughtUp ?? 0,
        protocol: this.#protocol === "connect" ? "Connect" : "gRPC-Web",
      };
      this.#gather({ kind: "resumed", key: this.#mark("resumed"), resume });
    }
    if (state.kind === "ended" && state.reason.kind === "refused") {
      this.refused.value = refusalOf(state.reason.error);
    }
  }

  #mark(kind: string): string {
    this.#marks += 1;
    return `${kind}:${this.#marks}`;
  }

  #sawTop(position: string): void {
    if (position !== "") this.topPosition.value = position;
  }

  #gather(item: Item): void {
    this.#incoming.push(item);
    // Twice the window before it is cut, so that a hidden page does not copy the list for each message.
    if (this.#incoming.length > 2 * itemsMax) this.#incoming = this.#incoming.slice(-itemsMax);
    this.#frame ??= requestAnimationFrame(() => {
      this.#frame = undefined;
      const added = this.#incoming;
      this.#incoming = [];
      this.window.append(added);
      this.cursor.value = this.#subscription?.cursor ?? this.cursor.value;
      const newest = added.findLast((one) => one.kind === "message");
      if (newest) this.#sawTop(newest.key);
    });
  }

  /** Reads the page before the window. One at a time; a failure leaves the window as it is, to be tried again. */
  async loadOlder(): Promise<void> {
    const before = this.window.oldestPosition();
    if (this.loadingOlder.value || this.window.atBeginning.value || before === undefined) return;
    this.loadingOlder.value = true;
    try {
      const page = await this.#client.chat.listMessages({
        roomId: this.roomId,
        pageSize: olderPageMessages,
        cursor: { case: "before", value: before },
      });
      // The window may have moved on meanwhile; a page that no longer joins it is dropped.
      if (this.window.oldestPosition() !== before) return;
      this.window.prepend(page.messages.map(messageItem));
      if (page.older === "") this.window.atBeginning.value = true;
    } catch (thrown) {
      this.#note(thrown);
    } finally {
      this.loadingOlder.value = false;
    }
  }

  /** Reads on towards the newest message, on the way down after scrolling up. */
  async loadNewer(): Promise<void> {
    if (this.#loadingNewer || this.window.endsAtNewest || this.window.extendFromNewest()) return;
    const after = this.window.newestShownPosition();
    if (after === undefined) return this.window.follow();
    this.#loadingNewer = true;
    try {
      const page = await this.#client.chat.listMessages({
        roomId: this.roomId,
        pageSize: newerPageMessages,
        cursor: { case: "after", value: after },
      });
      if (this.window.newestShownPosition() !== after) return;
      if (page.messages.length === 0) this.window.follow();
      else this.window.extend(page.messages.map(messageItem));
    } catch (thrown) {
      this.#note(thrown);
    } finally {
      this.#loadingNewer = false;
    }
  }

  /** Puts the messages that were left out for slowness in the place of the gap. One page, as much as the window can use. */
  async fillGap(item: Extract<Item, { kind: "gap" }>): Promise<void> {
    if (item.gap.reason !== GapReason.SLOW_READER || item.gap.after === "") return;
    try {
      const page = await this.#client.chat.listMessages({
        roomId: this.roomId,
        pageSize: newerPageMessages,
        cursor: { case: "after", value: item.gap.after },
      });
      const shown = new Set(this.window.items.value.map((one) => one.key));
      this.window.replace(item.key, page.messages.filter((one) => !shown.has(one.position)).map(messageItem));
    } catch (thrown) {
      this.#note(thrown);
    }
  }

  async send(text: string, profile: Profile, clientMessageId = `web-${randomId()}`): Promise<void> {
    const put = (change: Pending) => {
      const others = this.pending.value.filter((one) => one.clientMessageId !== clientMessageId);
      this.pending.value = [...others, change].slice(-pendingMax);
    };
    put({ clientMessageId, text, state: "sending" });
    try {
      await this.#client.send({
        roomId: this.roomId,
        clientMessageId,
        text,
        author: { userId: this.userId, name: profile.name, avatar: profile.avatar },
      });
      // Not there any more: the room showed it before the answer came.
      if (this.pending.value.some((one) => one.clientMessageId === clientMessageId)) {
        put({ clientMessageId, text, state: "accepted" });
      }
    } catch (thrown) {
      put({ clientMessageId, text, state: "refused", refusal: refusalOf(thrown) });
    }
  }

  forget(clientMessageId: string): void {
    this.pending.value = this.pending.value.filter((one) => one.clientMessageId !== clientMessageId);
  }

  /** Whether it takes messages, as far as is known: a room that has not answered yet is taken for open. */
  get isOpen(): boolean {
    return this.refused.value === undefined && this.room.value?.status !== RoomStatus.CLOSED;
  }

  /** History that cannot be read is asked for again by the next scroll; the console says why it failed. */
  #note(thrown: unknown): void {
    if (!this.#closed) console.warn("history:", refusalOf(thrown).message);
  }
}

function randomId(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
