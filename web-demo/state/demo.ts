/**
 * The page's state as a whole: settings, the list of rooms, the room that is open, and the line they talk over. Owns all
 * of them; the parts of the page find it through `useDemo`. The open room stands in the address (`#/room-id`), so
 * that it can be shared and the browser's back button works.
 */
import { effect, signal } from "@preact/signals";
import { createContext } from "preact";
import { useContext } from "preact/hooks";
import { ChatClient } from "../../client/chat-client.ts";
import { type Refusal, refusalOf } from "../../client/refusal.ts";
import { createWebTransport } from "../../client/web-transports.ts";
import { type Room, RoomStatus } from "../../gen/chat/v1/room_pb.ts";
import { CuttableLine } from "./cuttable-line.ts";
import { RoomSession } from "./room-session.ts";
import { type Protocol, Settings } from "./settings.ts";

export type Pane = "chat" | "words" | "rooms";

const roomsPerPage = 20;
const roomsShownMax = 200;
const roomIdForm = /^[a-z0-9][a-z0-9_-]{0,63}$/;

export class Demo {
  readonly settings = new Settings(storage());
  readonly line = new CuttableLine();
  readonly session = signal<RoomSession | undefined>(undefined);
  readonly rooms = signal<readonly Room[]>([]);
  readonly roomsRefused = signal<Refusal | undefined>(undefined);
  readonly moreRooms = signal(false);
  /** Which part a narrow screen shows. */
  readonly pane = signal<Pane>("chat");
  readonly creating = signal(false);
  #nextPageToken = "";
  #client = this.#clientOver(this.settings.protocol.value);

  start(): void {
    effect(() => this.#showSettings());
    window.addEventListener("hashchange", () => this.#enterFromAddress());
    window.addEventListener("online", () => this.session.value?.retryNow());
    document.addEventListener("visibilitychange", () => this.session.value?.watchHotWords(!document.hidden));
    effect(() => {
      if (!this.line.isCut.value) this.session.peek()?.retryNow();
    });
    this.#enterFromAddress();
    void this.loadRooms(true).then(() => this.#enterSomeRoom());
  }

  setProtocol(protocol: Protocol): void {
    if (protocol === this.settings.protocol.value) return;
    this.settings.protocol.value = protocol;
    this.#client = this.#clientOver(protocol);
    this.session.value?.switchTo(this.#client, protocol);
  }

  /** Reads the first page of open rooms, or one page more. */
  async loadRooms(fromTheStart: boolean): Promise<void> {
    try {
      const page = await this.#client.rooms.listRooms({
        pageSize: roomsPerPage,
        pageToken: fromTheStart ? "" : this.#nextPageToken,
        status: RoomStatus.OPEN,
      });
      this.#nextPageToken = page.nextPageToken;
      this.rooms.value = fromTheStart ? page.rooms : withoutDoubles([...this.rooms.value, ...page.rooms]);
      this.moreRooms.value = page.nextPageToken !== "" && this.rooms.value.length < roomsShownMax;
      this.roomsRefused.value = undefined;
    } catch (thrown) {
      this.roomsRefused.value = refusalOf(thrown);
    }
  }

  /** Makes a room and enters it. Undefined: done; else why not. */
  async createRoom(title: string): Promise<Refusal | undefined> {
    try {
      const { room } = await this.#client.rooms.createRoom({ title });
      if (!room) return;
      this.rooms.value = withoutDoubles([room, ...this.rooms.value]);
      this.enter(room.roomId);
      return undefined;
    } catch (thrown) {
      return refusalOf(thrown);
    }
  }

  enter(roomId: string): void {
    location.hash = `#/${roomId}`;
    this.pane.value = "chat";
  }

  #enterFromAddress(): void {
    const roomId = location.hash.replace(/^#\/?/, "");
    if (!roomIdForm.test(roomId) || roomId === this.session.value?.roomId) return;
    this.session.value?.close();
    this.session.value = new RoomSession(roomId, this.#client, this.settings.protocol.value, this.settings.userId);
    this.settings.lastRoomId.value = roomId;
  }

  /** An address without a room: the last one that is still open, else the newest. */
  #enterSomeRoom(): void {
    if (this.session.value) return;
    const rooms = this.rooms.value;
    const room = rooms.find((one) => one.roomId === this.settings.lastRoomId.value) ?? rooms[0];
    // Not a step in the browser's history: "back" would come to the empty address and enter again.
    if (room) history.replaceState(null, "", `#/${room.roomId}`);
    else this.creating.value = true;
    this.#enterFromAddress();
  }

  #clientOver(protocol: Protocol): ChatClient {
    return new ChatClient({
      transport: createWebTransport({ baseUrl: location.origin, protocol, fetch: this.line.fetch as typeof fetch }),
    });
  }

  #showSettings(): void {
    const { language, theme, text } = this.settings;
    const root = document.documentElement;
    root.lang = language.value;
    if (theme.value === "system") delete root.dataset.theme;
    else root.dataset.theme = theme.value;
    const title = this.session.value?.room.value?.title;
    document.title = title ? `${title} · ${text.value.siteName}` : text.value.siteName;
  }
}

function withoutDoubles(rooms: readonly Room[]): readonly Room[] {
  return [...new Map(rooms.map((room) => [room.roomId, room])).values()].slice(0, roomsShownMax);
}

/** Browsers may forbid it, by throwing at the mention. */
function storage(): Storage | undefined {
  try {
    return window.localStorage;
  } catch {
    return undefined;
  }
}

export const DemoContext = createContext<Demo | undefined>(undefined);

export function useDemo(): Demo {
  const demo = useContext(DemoContext);
  if (!demo) throw new Error("a part of the page stands outside DemoContext");
  return demo;
}
