/**
 * The seam of the room log: the one place that gives a room its order.
 *
 * A message becomes real here. `append` gives it a position, remembers its id, puts it into the log of its room and into
 * the log of the consumers, and hands it to every follower, as one step: either all of it happened or nothing did.
 * Gateways follow; workers consume. Everything a reader ever sees comes back through `follow` or `read`, also the author's own message.
 *
 * Implementations: `embedded-room-log.ts` (this process, journal in SQLite), `redis/redis-room-log.ts` (many processes). The
 * contract that they all pass is `room-log.contract.ts`.
 */
import type { Position } from "../position.ts";

/** What is appended. */
export interface NewEntry {
  roomId: string;
  /** A chat.v1.Event in the proto codec, without room_id, position and sent_at: `log-event.ts` fills those in on the way out. */
  event: Uint8Array;
  /**
   * Recognises a repetition. `key` names (author, client message id) and lives as long as the log's `dedupeWindowMs`;
   * `digest` stands for the content, so that a key used again for something else is refused and not swallowed.
   * Undefined: never a repetition.
   */
  dedupe?: { key: string; digest: string };
  /** The last entry of its room: what comes later is refused with RoomClosedError. */
  final?: boolean;
}

/** What the log holds. */
export interface LogEntry {
  roomId: string;
  position: Position;
  /** When the log accepted it, Unix ms. For display and for expiry, never for order. */
  acceptedMs: number;
  /** As in NewEntry; the first of an epoch says what was before it, too (`endBefore` in log-event.ts). */
  event: Uint8Array;
}

/** The answer of `append`. For a repetition (`duplicate`) position and time are those of the first. */
export interface Appended {
  position: Position;
  acceptedMs: number;
  duplicate: boolean;
}

/** Entries that will never come: every position in (after, through]. */
export interface LostRange {
  /** Undefined: from the beginning. */
  after: Position | undefined;
  /** Undefined: nobody can know how far. */
  through: Position | undefined;
}

/** One reader of a room's live part. Both methods are synchronous and must not throw. */
export interface RoomFollower {
  /** The next entry. Positions only rise; inside an epoch none is left out. */
  entry(entry: LogEntry): void;
  /** Entries are gone for good. What comes next is later than all of them. */
  lost(range: LostRange): void;
}

export interface Following {
  /** The room's newest position when following began: every later entry goes to the follower. Undefined: none yet. */
  readonly top: Position | undefined;
  stop(): void;
}

/** A stretch of a room's log. */
export interface LogPage {
  /** Oldest first. */
  entries: LogEntry[];
  /** The newest position at or below which the log may have let entries go: for those ask the history. Undefined: the log has everything since the room began. */
  floor: Position | undefined;
  /** The newest position of the room. Undefined: nothing was ever appended. */
  top: Position | undefined;
}

/**
 * The groups that consume the logs. Each gets every entry at least once; but `hot-words`, which needs the last minute
 * only, may lose its oldest ones where it is too far behind, and after a restart. `persist` never loses one.
 */
export type ConsumerGroup = "persist" | "hot-words";

/** An entry handed to a consumer, to be acknowledged. */
export interface Delivery {
  /** Names the delivery to `ack`; opaque. */
  id: string;
  entry: LogEntry;
  /** How often it has been handed out, this time included. */
  attempts: number;
}

/** One member of a consumer group. */
export interface LogConsumer {
  /**
   * Hands out the next entries, those of one room in the order of their positions and only to one member at a time: the
   * rest of a room waits while another member has some of it in hand. Waits until there is at least one or `signal`
   * aborts (then it resolves to none).
   * @param entriesMax at least 1
   */
  take(entriesMax: number, signal: AbortSignal): Promise<Delivery[]>;
  /** These need not be handed out again. Acknowledging twice is harmless. */
  ack(deliveries: readonly Delivery[]): Promise<void>;
  /** These were not handled: they come again, `attempts` higher, before what is newer in their room. */
  release(deliveries: readonly Delivery[]): Promise<void>;
  /** Leaves the group; what was not acknowledged goes to another member, or to this one when it comes back. */
  close(): Promise<void>;
}

export interface RoomLog {
  /**
   * Appends one entry; resolves once it is in the log to stay (docs/guarantees.md says what that withstands).
   * @throws {RoomClosedError} the room's final entry was appended before
   * @throws {ClientMessageIdReusedError} the dedupe key is known for another content
   * @throws {RoomLogFullError} the consumers are too far behind
   * @throws {RoomLogUnavailableError} the log is out of reach; the entry may or may not have been appended, so
   *   repeat it with the same dedupe key
   */
  append(entry: NewEntry): Promise<Appended>;
  /** Begins to follow a room. The follower may be called before this resolves, but only with entries after `top`. */
  follow(roomId: string, follower: RoomFollower): Promise<Following>;
  /** The oldest entries after a position that the log holds. @param entriesMax at least 1 */
  readAfter(roomId: string, after: Position | undefined, entriesMax: number): Promise<LogPage>;
  /**
   * The newest entries before a position that the log holds, oldest first.
   * @param before undefined: the newest of all
   * @param entriesMax at least 1
   */
  readBefore(roomId: string, before: Position | undefined, entriesMax: number): Promise<LogPage>;
  /** Joins a group under a name that is unique in it. */
  consumer(group: ConsumerGroup, name: string): Promise<LogConsumer>;
  close(): Promise<void>;
}
