/**
 * Hot words in this process: exact counts of the different users of each word, for one gateway that is also its worker.
 *
 * It stands behind the room log, beside the history: the consumer `worker/hot-words/count-hot-words.ts` observes, the
 * HotWordService reads. It owns everything it counts, in memory only: after a restart the window fills again.
 *
 * How a room counts. A *use* is (word, user). It has two times: when the user last wrote the word itself (`ownMs`), and
 * when the user last wrote it or a form of it (`allMs`, never earlier). From the uses follow, kept up to date one by one:
 *
 *     own(w)    users who wrote w itself         a use leaves it when ownMs leaves the window
 *     all(w)    users who wrote w or a form      a use leaves it when allMs leaves the window
 *     listed(w) own(w) > 0 and not own(stem of w) > 0; its number on the board is all(w)
 *
 * When own(w) begins or ends to be 0, w and the live forms of w are placed anew: as many forms as there are particles.
 * Nothing is ever scanned: a use leaves through a queue by time, the board is kept sorted.
 *
 * The same in Redis, in one script a message: sorted sets `own` and `all` (member word\0user, score the time), their
 * counts in a hash, `forms` (member stem\0form, read with ZRANGEBYLEX), and `rank` (member word, score -users).
 */
import { type Expiring, ExpiryQueue } from "./expiry-queue.ts";
import type { HotWordCount, HotWords, WordUse } from "./hot-words.ts";
import { type Rankable, WordRanking } from "./word-ranking.ts";

/** Which bound made the counts smaller than the truth. */
export type HotWordsBound = "usesPerRoomMax" | "usesMax" | "roomsMax";

export interface EmbeddedHotWordsOptions {
  /** Default 60,000. */
  windowMs?: number;
  /** Rooms with a use within the window. Above it the room that was silent longest is forgotten. Default 10,000. */
  roomsMax?: number;
  /**
   * Uses a room, about 250 bytes each. Above it the oldest use of the room is forgotten: its window shortens. Default
   * 100,000: 1,700 new uses a second, or some 300 messages of five words.
   */
  usesPerRoomMax?: number;
  /** Uses of all rooms together. Above it the room that adds one forgets its oldest. Default 500,000, some 125 MB. */
  usesMax?: number;
  /** Told that a room's counts are too small from now on, at most once a room and window. Must not throw. */
  onBoundHit?: (bound: HotWordsBound, roomId: string) => void;
}

export interface EmbeddedHotWordsStats {
  rooms: number;
  uses: number;
  /** Forgotten before their time, since the start. 0: every count so far was exact. */
  usesDropped: number;
}

export class EmbeddedHotWords implements HotWords {
  readonly windowMs: number;
  readonly #roomsMax: number;
  readonly #usesPerRoomMax: number;
  readonly #usesMax: number;
  readonly #onBoundHit: EmbeddedHotWordsOptions["onBoundHit"];
  /** The room that was silent longest comes first. */
  readonly #rooms = new Map<string, RoomWords>();
  #uses = 0;
  #usesDropped = 0;

  constructor(options: EmbeddedHotWordsOptions = {}) {
    this.windowMs = atLeastOne("windowMs", options.windowMs ?? 60_000);
    this.#roomsMax = atLeastOne("roomsMax", options.roomsMax ?? 10_000);
    this.#usesPerRoomMax = atLeastOne("usesPerRoomMax", options.usesPerRoomMax ?? 100_000);
    this.#usesMax = atLeastOne("usesMax", options.usesMax ?? 500_000);
    this.#onBoundHit = options.onBoundHit;
  }

  async observe(roomId: string, userKey: string, uses: readonly WordUse[], atMs: number): Promise<void> {
    if (uses.length === 0) {
      return;
    }
    const room = this.#rooms.get(roomId) ?? new RoomWords();
    // To the end of the order of silence.
    this.#rooms.delete(roomId);
    this.#rooms.set(roomId, room);
    this.#forgetSilentRooms(room, atMs);
    const usesBefore = room.uses;
    room.expire(atMs - this.windowMs);
    for (const use of uses) {
      room.observe(userKey, use, atMs);
    }
    this.#uses += room.uses - usesBefore;
    this.#keepBounds(roomId, room, atMs);
  }

  async top(roomId: string, wordsMax: number, nowMs: number): Promise<HotWordCount[]> {
    atLeastOne("wordsMax", wordsMax);
    const room = this.#rooms.get(roomId);
    if (!room) {
      return [];
    }
    const usesBefore = room.uses;
    room.expire(nowMs - this.windowMs);
    this.#uses += room.uses - usesBefore;
    if (room.uses === 0) {
      this.#rooms.delete(roomId);
    }
    return room.top(wordsMax);
  }

  async close(): Promise<void> {
    this.#rooms.clear();
    this.#uses = 0;
  }

  /** For metrics. */
  stats(): EmbeddedHotWordsStats {
    return { rooms: this.#rooms.size, uses: this.#uses, usesDropped: this.#usesDropped };
  }

  /** Two a message: the rooms that fall silent cannot outrun it, as a new room costs a message. */
  #forgetSilentRooms(current: RoomWords, atMs: number): void {
    let looks = 2;
    for (const [roomId, room] of this.#rooms) {
      if (looks === 0 || room === current || room.newestMs > atMs - this.windowMs) {
        return;
      }
      this.#rooms.delete(roomId);
      this.#uses -= room.uses;
      looks -= 1;
    }
  }

  #keepBounds(roomId: string, room: RoomWords, atMs: number): void {
    while (room.uses > this.#usesPerRoomMax) {
      this.#dropOldest("usesPerRoomMax", roomId, room, atMs);
    }
    while (this.#uses > this.#usesMax && room.uses > 0) {
      this.#dropOldest("usesMax", roomId, room, atMs);
    }
    if (this.#rooms.size > this.#roomsMax) {
      const [silentest] = this.#rooms;
      if (silentest) {
        const [silentId, silent] = silentest;
        this.#rooms.delete(silentId);
        this.#uses -= silent.uses;
        this.#usesDropped += silent.uses;
        this.#onBoundHit?.("roomsMax", silentId);
      }
    }
  }

  #dropOldest(bound: HotWordsBound, roomId: string, room: RoomWords, atMs: number): void {
    room.dropOldest();
    this.#uses -= 1;
    this.#usesDropped += 1;
    if (atMs - room.toldMs >= this.windowMs) {
      room.toldMs = atMs;
      this.#onBoundHit?.(bound, roomId);
    }
  }
}

/** One user's use of one word. */
interface Use extends Expiring {
  readonly entry: WordEntry;
  readonly userKey: string;
  /** The user wrote the word itself within the window. */
  own: boolean;
  /** When last; means something while `own`. */
  ownMs: number;
  /** When the user last wrote the word or a form of it. */
  allMs: number;
}

/** A word, or the stem of one, that somebody used within the window. */
interface WordEntry extends Rankable {
  readonly word: string;
  /** Known while own > 0: the one that the word first came with. */
  stem: string | undefined;
  own: number;
  /** By user key; its size is all(w). */
  readonly users: Map<string, Use>;
}

class RoomWords {
  /** The time of the newest observation, Unix ms. */
  newestMs = Number.NEGATIVE_INFINITY;
  /** When it was last told that the room is over a bound. */
  toldMs = Number.NEGATIVE_INFINITY;
  readonly #words = new Map<string, WordEntry>();
  /** By stem: the words with it that have own > 0. */
  readonly #forms = new Map<string, Set<WordEntry>>();
  /** Every use once, under the time when it changes next or earlier. */
  readonly #queue = new ExpiryQueue<Use>();
  readonly #ranking = new WordRanking<WordEntry>();

  get uses(): number {
    return this.#queue.size;
  }

  observe(userKey: string, { word, stem }: WordUse, atMs: number): void {
    this.newestMs = Math.max(this.newestMs, atMs);
    const entry = this.#entry(word);
    const use = this.#use(entry, userKey, atMs);
    if (!use.own) {
      use.own = true;
      use.ownMs = atMs;
      entry.own += 1;
      if (entry.own === 1) {
        this.#beginWord(entry, stem === word ? undefined : stem);
      }
    } else {
      use.ownMs = Math.max(use.ownMs, atMs);
    }
    // An older time than the one it waits for: a late entry for a word that was so far only the stem of a form.
    this.#queue.put(use, use.ownMs);
    this.#place(entry);
    if (entry.stem !== undefined) {
      const stemEntry = this.#entry(entry.stem);
      this.#use(stemEntry, userKey, atMs);
      this.#place(stemEntry);
    }
  }

  /** Forgets what was used at `throughMs` or before. */
  expire(throughMs: number): void {
    for (;;) {
      const use = this.#queue.peek();
      if (!use || use.queuedMs > throughMs) {
        return;
      }
      this.#queue.pop();
      if (use.own && use.ownMs <= throughMs) {
        this.#endOwn(use);
      }
      if (use.allMs <= throughMs) {
        this.#endUse(use);
      } else {
        this.#queue.put(use, nextChangeMs(use));
      }
    }
  }

  /** Forgets the use that would leave the window first. */
  dropOldest(): void {
    for (;;) {
      const use = this.#queue.pop();
      if (!use) {
        return;
      }
      if (nextChangeMs(use) > use.queuedMs) {
        // Used again since it was queued: not the oldest.
        this.#queue.put(use, nextChangeMs(use));
        continue;
      }
      if (use.own) {
        this.#endOwn(use);
      }
      this.#endUse(use);
      return;
    }
  }

  top(wordsMax: number): HotWordCount[] {
    return this.#ranking.first(wordsMax).map(({ word, rankedUsers }) => ({ word, users: rankedUsers }));
  }

  #entry(word: string): WordEntry {
    let entry = this.#words.get(word);
    if (!entry) {
      entry = { word, stem: undefined, own: 0, users: new Map(), rankedUsers: 0 };
      this.#words.set(word, entry);
    }
    return entry;
  }

  #use(entry: WordEntry, userKey: string, atMs: number): Use {
    let use = entry.users.get(userKey);
    if (use) {
      use.allMs = Math.max(use.allMs, atMs);
    } else {
      use = { entry, userKey, own: false, ownMs: atMs, allMs: atMs, queuedMs: atMs, queuedAt: -1 };
      entry.users.set(userKey, use);
      this.#queue.put(use, atMs);
    }
    return use;
  }

  #endOwn(use: Use): void {
    const { entry } = use;
    use.own = false;
    entry.own -= 1;
    if (entry.own === 0) {
      this.#endWord(entry);
    }
  }

  #endUse(use: Use): void {
    const { entry } = use;
    entry.users.delete(use.userKey);
    this.#place(entry);
    if (entry.users.size === 0) {
      this.#words.delete(entry.word);
    }
  }

  /** Somebody wrote the word itself: it can be listed, and its forms no longer are. */
  #beginWord(entry: WordEntry, stem: string | undefined): void {
    entry.stem = stem;
    if (stem !== undefined) {
      const forms = this.#forms.get(stem);
      if (forms) {
        forms.add(entry);
      } else {
        this.#forms.set(stem, new Set([entry]));
      }
    }
    this.#placeForms(entry);
  }

  /** Nobody wrote the word itself any more. */
  #endWord(entry: WordEntry): void {
    if (entry.stem !== undefined) {
      const forms = this.#forms.get(entry.stem);
      forms?.delete(entry);
      if (forms?.size === 0) {
        this.#forms.delete(entry.stem);
      }
      entry.stem = undefined;
    }
    this.#place(entry);
    this.#placeForms(entry);
  }

  #placeForms(entry: WordEntry): void {
    for (const form of this.#forms.get(entry.word) ?? []) {
      this.#place(form);
    }
  }

  #place(entry: WordEntry): void {
    const stemIsWord = entry.stem !== undefined && (this.#words.get(entry.stem)?.own ?? 0) > 0;
    this.#ranking.place(entry, entry.own > 0 && !stemIsWord ? entry.users.size : 0);
  }
}

/** When a use next leaves own(w) or all(w). */
function nextChangeMs(use: Use): number {
  return use.own ? use.ownMs : use.allMs;
}

function atLeastOne(name: string, value: number): number {
  if (!(Number.isInteger(value) && value >= 1)) {
    throw new RangeError(`${name} is ${value}, it must be a whole number of at least 1`);
  }
  return value;
}
