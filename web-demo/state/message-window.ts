/**
 * Which messages the page holds: at most `itemsMax`, however long the room talks.
 *
 * While the reader follows, the window is the newest items. Once they scroll up it stands still: what comes in is only
 * counted, and older pages push newer ones out at the far end; those are read again on the way down. Owns the items that
 * are drawn and the newest ones that are kept for going back. Does no I/O.
 */
import { batch, signal } from "@preact/signals";
import type { Gap } from "../../gen/chat/v1/event_pb.ts";
import type { Message } from "../../gen/chat/v1/message_pb.ts";

/** One row of the chat. Keys are unique in a room: positions for messages, marks of this page for the rest. */
export type Item =
  | { readonly kind: "message"; readonly key: string; readonly message: Message }
  | { readonly kind: "gap"; readonly key: string; readonly gap: Gap }
  | { readonly kind: "resumed"; readonly key: string; readonly resume: Resume };

/** A stream that was lost and found again. */
export interface Resume {
  /** The cursor it went on after. Empty: the room had no message yet. */
  position: string;
  tookMs: number;
  /** Messages that had come in meanwhile. */
  caughtUp: number;
  protocol: string;
}

export function messageItem(message: Message): Item {
  return { kind: "message", key: message.position, message };
}

export class MessageWindow {
  /** What is drawn, oldest first. */
  readonly items = signal<readonly Item[]>([]);
  /** Whether the newest message stays in view. */
  readonly following = signal(true);
  /** Messages that came since the reader scrolled up. */
  readonly unread = signal(0);
  /** There is nothing older than what is drawn. */
  readonly atBeginning = signal(false);
  #newest: readonly Item[] = [];

  constructor(readonly itemsMax: number) {}

  /** Adds what came in on the live stream, oldest first. */
  append(added: readonly Item[]): void {
    if (added.length === 0) return;
    const all = [...this.#newest, ...added];
    this.#newest = all.slice(-this.itemsMax);
    batch(() => {
      if (this.following.value) {
        if (all.length > this.itemsMax) this.atBeginning.value = false;
        this.items.value = this.#newest;
      } else {
        this.unread.value += added.filter((item) => item.kind === "message").length;
      }
    });
  }

  /** The reader scrolled up: the window stands still. */
  detach(): void {
    this.following.value = false;
  }

  /** Back to the newest messages. */
  follow(): void {
    if (this.following.value) return;
    batch(() => {
      if (this.items.value[0]?.key !== this.#newest[0]?.key) this.atBeginning.value = false;
      this.items.value = this.#newest;
      this.following.value = true;
      this.unread.value = 0;
    });
  }

  /** Adds a page of history before what is drawn. An empty page says that the room begins here. */
  prepend(page: readonly Item[]): void {
    batch(() => {
      if (page.length === 0) this.atBeginning.value = true;
      const all = [...page, ...this.items.value];
      if (this.following.value) {
        this.#newest = all.slice(-this.itemsMax);
        this.items.value = this.#newest;
      } else {
        this.items.value = all.slice(0, this.itemsMax);
      }
    });
  }

  /** Adds a page of history after what is drawn, on the way down. */
  extend(page: readonly Item[]): void {
    const all = [...this.items.value, ...page];
    batch(() => {
      if (all.length > this.itemsMax) this.atBeginning.value = false;
      this.items.value = all.slice(-this.itemsMax);
    });
  }

  /** Goes on with the newest items, where they join what is drawn. False: a page of history must be read first. */
  extendFromNewest(): boolean {
    const last = this.items.value.at(-1);
    const joint = last ? this.#newest.findIndex((item) => item.key === last.key) : -1;
    if (joint < 0) return false;
    this.extend(this.#newest.slice(joint + 1));
    return true;
  }

  /** Whether what is drawn ends with the newest item. */
  get endsAtNewest(): boolean {
    return this.items.value.at(-1)?.key === this.#newest.at(-1)?.key;
  }

  /** Puts items in the place of one, such as the messages of a gap that was read later. */
  replace(key: string, items: readonly Item[]): void {
    const put = (list: readonly Item[]) => list.flatMap((item) => (item.key === key ? items : [item]));
    this.#newest = put(this.#newest).slice(-this.itemsMax);
    this.items.value = put(this.items.value).slice(-this.itemsMax);
  }

  oldestPosition(): string | undefined {
    return this.items.value.find((item) => item.kind === "message")?.key;
  }

  newestShownPosition(): string | undefined {
    return this.items.value.findLast((item) => item.kind === "message")?.key;
  }
}
