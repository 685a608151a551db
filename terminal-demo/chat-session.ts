/**
 * One person in the chat: what is typed goes to the gateway over one two-way stream, what happens in the room goes to the
 * screen. Stands between `client/` and `screen.ts`.
 *
 * Owns the stream, the room that is open, and the sends that have no answer yet.
 */
import { durationMs } from "@bufbuild/protobuf/wkt";
import { ConnectError, type Transport } from "@connectrpc/connect";
import { type AuthorInit, ChatClient } from "../client/chat-client.ts";
import { ChatStream } from "../client/chat-stream.ts";
import { refusalOf } from "../client/refusal.ts";
import type { RoomState } from "../gen/chat/v1/event_pb.ts";
import { RoomStatus } from "../gen/chat/v1/room_pb.ts";
import { parseCommand } from "./commands.ts";
import type { Screen } from "./screen.ts";
import { dim, red, type TerminalStyle } from "./terminal-text.ts";
import {
  connectionLine,
  explained,
  gapLine,
  helpLines,
  hotWordLines,
  messageLines,
  notSentLine,
  roomEndedLine,
  roomLine,
  roomListLines,
  seconds,
  viewersLine,
} from "./wording.ts";

/** Sends without an answer; a script that writes faster waits. */
const sendsInFlightMax = 32;

/** A person waits longer than a page would: the connection may be gone for a while. */
const sendTimeoutMs = 60_000;

const hotWordsShown = 10;
const roomsShown = 20;

export class ChatSession {
  readonly #screen: Screen;
  readonly #style: TerminalStyle;
  readonly #author: AuthorInit;
  readonly #client: ChatClient;
  readonly #stream: ChatStream;
  readonly #tail: number;
  readonly #isScript: boolean;
  readonly #sends = new Set<Promise<void>>();
  #roomId: string | undefined;
  #isNewInRoom = false;
  #viewers: number | undefined;
  #failures = 0;
  #wasLive = false;
  /** Resolves when the room that is open was entered, or refused. */
  #arrival = Promise.withResolvers<void>();

  /** @param parts.isScript nobody types: each line waits until the room is entered, as its writer can not */
  constructor(parts: {
    transport: Transport;
    screen: Screen;
    style: TerminalStyle;
    author: AuthorInit;
    tail: number;
    isScript: boolean;
  }) {
    this.#screen = parts.screen;
    this.#style = parts.style;
    this.#author = parts.author;
    this.#tail = parts.tail;
    this.#isScript = parts.isScript;
    this.#client = new ChatClient({ transport: parts.transport });
    this.#stream = new ChatStream({
      transport: parts.transport,
      author: parts.author,
      retry: { sendTimeoutMs },
      onState: (state) => {
        const line = connectionLine(state, this.#wasLive, this.#style);
        this.#wasLive ||= state.kind === "live";
        if (line !== undefined) {
          this.#screen.complain(line);
        }
        if (state.kind === "ended" && state.reason.kind === "refused") {
          this.#failures += 1;
        }
      },
    });
  }

  /**
   * Runs until the input ends, /quit, or a refusal of the whole stream.
   * @returns how often something was refused: 0 is success
   */
  async run(roomId: string): Promise<number> {
    this.#join(roomId);
    const over = this.#stream.done.then(() => this.#screen.close());
    for await (const line of this.#screen.lines()) {
      if (this.#isScript && !(await this.#hasArrived())) {
        this.#complain(`no connection within ${seconds(sendTimeoutMs)}`);
        break;
      }
      if (!(await this.#obey(line))) {
        break;
      }
    }
    await Promise.all(this.#sends);
    await this.#stream.close();
    await over;
    return this.#failures;
  }

  /** @returns false if it took too long */
  async #hasArrived(): Promise<boolean> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const timeout = new Promise<boolean>((resolve) => {
      timer = setTimeout(resolve, sendTimeoutMs, false);
    });
    const arrived = await Promise.race([this.#arrival.promise.then(() => true), timeout]);
    clearTimeout(timer);
    return arrived;
  }

  /** @returns false to quit */
  async #obey(line: string): Promise<boolean> {
    const command = parseCommand(line);
    switch (command.kind) {
      case "nothing":
        break;
      case "say":
        await this.#say(command.text);
        break;
      case "help":
        this.#screen.print(helpLines(this.#style));
        break;
      case "who":
        this.#screen.print(viewersLine(this.#viewers, this.#style));
        break;
      case "hot":
        await this.#answer(async () => {
          const roomId = this.#openRoom();
          const { words, window } = await this.#client.hotWords.listHotWords({ roomId, limit: hotWordsShown });
          return hotWordLines(words, window ? durationMs(window) : 0, this.#style);
        });
        break;
      case "rooms":
        await this.#answer(async () => {
          const { rooms, nextPageToken } = await this.#client.rooms.listRooms({
            pageSize: roomsShown,
            status: RoomStatus.OPEN,
          });
          const more = nextPageToken === "" ? "" : `\n${dim("  … and more", this.#style)}`;
          return roomListLines(rooms, this.#roomId, this.#style) + more;
        });
        break;
      case "join":
        await this.#goTo(command.roomId);
        break;
      case "create":
        await this.#answer(async () => {
          await this.#client.rooms.createRoom({ roomId: command.roomId, title: command.title });
          await this.#goTo(command.roomId);
          return undefined;
        });
        break;
      case "unclear":
        this.#complain(command.complaint);
        break;
      case "quit":
        return false;
    }
    return true;
  }

  /** Prints what a call answers, or why it was refused. */
  async #answer(ask: () => Promise<string | undefined>): Promise<void> {
    try {
      const lines = await ask();
      if (lines !== undefined) {
        this.#screen.print(lines);
      }
    } catch (thrown) {
      if (!(thrown instanceof ConnectError) && !(thrown instanceof RangeError)) {
        throw thrown;
      }
      this.#complain(explained(refusalOf(thrown)));
    }
  }

  #complain(what: string): void {
    this.#failures += 1;
    this.#screen.complain(red(`✗ ${what}`, this.#style));
  }

  #openRoom(): string {
    if (this.#roomId === undefined) {
      throw new RangeError("not in a room; /rooms shows where people talk, /join ROOM goes there");
    }
    return this.#roomId;
  }

  async #say(text: string): Promise<void> {
    const roomId = this.#roomId;
    if (roomId === undefined) {
      this.#failures += 1;
      this.#screen.complain(notSentLine(text, new RangeError("not in a room; /join ROOM goes to one"), this.#style));
      return;
    }
    const sending = this.#stream.send(roomId, text).then(
      () => {},
      (thrown) => {
        this.#failures += 1;
        this.#screen.complain(notSentLine(text, thrown, this.#style));
      },
    );
    this.#sends.add(sending);
    void sending.then(() => this.#sends.delete(sending));
    if (this.#sends.size >= sendsInFlightMax) {
      await Promise.race(this.#sends);
    }
  }

  async #goTo(roomId: string): Promise<void> {
    if (roomId === this.#roomId) {
      this.#screen.print(dim(`· already in ${roomId}`, this.#style));
      return;
    }
    if (this.#roomId !== undefined) {
      const left = this.#roomId;
      this.#roomId = undefined;
      // A send is in its room once it is answered; leaving before would refuse it.
      await Promise.all(this.#sends);
      await this.#stream.leave(left);
    }
    this.#join(roomId);
  }

  #join(roomId: string): void {
    this.#roomId = roomId;
    this.#viewers = undefined;
    this.#isNewInRoom = true;
    const arrival = Promise.withResolvers<void>();
    this.#arrival = arrival;
    this.#screen.setPrompt(`${this.#author.avatar} ${roomId} > `);
    this.#stream.join(roomId, {
      start: { tail: this.#tail },
      onMessage: (message) => this.#screen.print(messageLines(message, this.#style)),
      onRoomState: (state) => this.#showRoom(state),
      onViewerCount: ({ viewers }) => {
        this.#viewers = viewers;
      },
      onHeartbeat: () => arrival.resolve(),
      onGap: (gap) => this.#screen.complain(gapLine(gap, this.#style)),
      onEnded: (reason) => {
        arrival.resolve();
        const line = roomEndedLine(roomId, reason, this.#style);
        if (line !== undefined) {
          this.#screen.complain(line);
        }
        if (reason.kind === "refused") {
          this.#failures += 1;
        }
        if (this.#roomId === roomId) {
          this.#roomId = undefined;
        }
      },
    });
  }

  /** Said on entering, not after each resume. */
  #showRoom({ room }: RoomState): void {
    if (this.#isNewInRoom && room) {
      this.#isNewInRoom = false;
      this.#screen.complain(roomLine(room, this.#style));
    }
  }
}
