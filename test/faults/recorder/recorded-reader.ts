/**
 * A reader of one room, through the client library, whose every observation goes into the history.
 *
 * Owns its subscription and what it told the history of its connection.
 */
import { timestampMs } from "@bufbuild/protobuf/wkt";
import type { Transport } from "@connectrpc/connect";
import { ChatClient } from "../../../client/chat-client.ts";
import type { ConnectionState, Interruption } from "../../../client/connection-state.ts";
import type { RoomStart } from "../../../client/room-reader.ts";
import type { RoomSubscription } from "../../../client/room-subscription.ts";
import { type Gap, GapReason } from "../../../gen/chat/v1/event_pb.ts";
import type { Message } from "../../../gen/chat/v1/message_pb.ts";
import { comparePositions, type Position, parsePosition } from "../../../storage/position.ts";
import type { GapReasonName } from "../checker/history-event.ts";
import { fingerprint } from "./fingerprint.ts";
import type { HistoryWriter } from "./history-writer.ts";

const gapReasons: Record<GapReason, GapReasonName> = {
  [GapReason.UNSPECIFIED]: "unspecified",
  [GapReason.SLOW_READER]: "slow-reader",
  [GapReason.LOST]: "lost",
  [GapReason.EXPIRED]: "expired",
};

/** Fewer than a person's client has: a run is short, and what is measured is the way back and not the pause before it. */
const retry = { baseMs: 250, maxMs: 1_000, stableAfterMs: 2_000 };
/** A gateway that takes the connection and says nothing is left after this. */
const timeouts = { firstEventTimeoutMs: 3_000, heartbeatTimeoutMs: 10_000, behindTimeoutMs: 3_000 };

export class RecordedReader {
  readonly name: string;
  readonly room: string;
  readonly #history: HistoryWriter;
  readonly #start: RoomStart;
  readonly #subscription: RoomSubscription;
  /** The room's newest position when the stream was opened that brought the first event. */
  #top = "";
  #hasBegun = false;
  #isLive = false;
  #hasEnded = false;
  /** A reader that lost its place has no cursor while it is told so. */
  #hadCursor = false;
  #failure: unknown;

  constructor(parts: { name: string; room: string; transport: Transport; start: RoomStart; history: HistoryWriter }) {
    this.name = parts.name;
    this.room = parts.room;
    this.#history = parts.history;
    this.#start = parts.start;
    this.#subscription = new ChatClient({ transport: parts.transport, retry }).subscribe(parts.room, {
      start: parts.start,
      ...timeouts,
      onMessage: (message) => this.#saw(message),
      onGap: (gap) => this.#gap(gap),
      onRoomState: ({ topPosition }) => {
        if (!this.#hasBegun) {
          this.#top = topPosition;
        }
      },
      onState: (state) => this.#state(state),
    });
    this.#subscription.done.then(
      (reason) => {
        if (reason.kind !== "stopped") {
          this.#failure = new Error(`${this.name} was ended: ${JSON.stringify(reason)}`);
        }
      },
      (error) => {
        this.#failure = error;
      },
    );
  }

  get isLive(): boolean {
    return this.#isLive;
  }

  /** Where it stands. Undefined: nothing was said since it began. */
  get cursor(): string | undefined {
    return this.#subscription.cursor;
  }

  /** @throws what ended it before its time */
  checkAlive(): void {
    if (this.#failure !== undefined) {
      throw this.#failure;
    }
  }

  hasReached(position: Position): boolean {
    const { cursor } = this.#subscription;
    return cursor !== undefined && comparePositions(parsePosition(cursor), position) >= 0;
  }

  /** @param settled it had all the time there was to get everything */
  stop(settled: boolean): void {
    if (this.#hasEnded) {
      return;
    }
    this.#hasEnded = true;
    this.#subscription.stop();
    if (this.#hasBegun) {
      this.#history.write({ type: "end", ...this.#now(), settled });
    }
  }

  #state(state: ConnectionState): void {
    if (this.#hasEnded) {
      return;
    }
    if (state.kind === "live") {
      this.#begin();
      this.#isLive = true;
      const { resumedFrom } = state;
      this.#history.write({ type: "live", ...this.#now(), ...(resumedFrom !== undefined && { resumedFrom }) });
    } else if (this.#isLive || (this.#hasBegun && state.kind === "waiting")) {
      // A try that fails while it is away counts to the same interruption, and says why it took so long.
      this.#isLive = false;
      const why = state.kind === "waiting" ? causeText(state.cause) : state.kind;
      this.#history.write({ type: "cut", ...this.#now(), why });
    }
  }

  /** Before the first event: only now it is certain from which stream the beginning comes. */
  #begin(): void {
    if (this.#hasBegun) {
      return;
    }
    this.#hasBegun = true;
    const place = "tail" in this.#start ? { tail: this.#start.tail, top: this.#top } : { after: this.#start.after };
    this.#history.write({ type: "start", ...this.#now(), ...place });
  }

  #saw(message: Message): void {
    this.#begin();
    this.#hadCursor = true;
    this.#history.write({
      type: "saw",
      ...this.#now(),
      position: message.position,
      ...fingerprint(message),
      sentAtMs: message.sentAt ? timestampMs(message.sentAt) : 0,
    });
  }

  #gap({ after, through, reason }: Gap): void {
    this.#begin();
    const reset = this.#hadCursor && this.#subscription.cursor === undefined;
    this.#hadCursor &&= !reset;
    const name = gapReasons[reason] ?? "unspecified";
    this.#history.write({ type: "gap", ...this.#now(), after, through, reason: name, ...(reset && { reset }) });
  }

  #now() {
    return { at: this.#history.now(), reader: this.name, room: this.room };
  }
}

function causeText(cause: Interruption): string {
  return cause.kind === "failed" ? `failed: ${cause.error.message}` : cause.kind;
}
