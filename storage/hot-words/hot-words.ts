/**
 * The seam of the hot words: how many different people used a word within the window.
 *
 * A word may be a stem with a particle (페이커가 = 페이커 + 가). The tokenizer gives both; whether the stem is a word is only
 * known from what people say, so a stem counts as a word while somebody within the window wrote it by itself. Then the
 * forms with particles are not listed, and everyone who used any of them counts for the stem, once. That is one step: who
 * wrote a form of a form counts for the form.
 *
 * Times come from one clock, the log's, slightly out of order at most. A ranking is exact for every moment that is not
 * before the newest observation or an earlier question; for an earlier moment it is what is left of it.
 *
 * Implementations: `embedded-hot-words.ts`, `redis/redis-hot-words.ts`. The contract that they all pass is `hot-words.contract.ts`.
 */

/** One word of a message. */
export interface WordUse {
  /** The word as written, normalised (NFC, lower case). */
  word: string;
  /** Without its particle, where it seems to have one. The same word always comes with the same stem. */
  stem?: string;
}

export interface HotWordCount {
  word: string;
  /** Different users within the window. */
  users: number;
}

export interface HotWords {
  /**
   * Counts the words of one message. Observing the same message twice changes nothing.
   * @param userKey who wrote it
   * @param atMs when the log accepted it, Unix ms; older than the window: never seen in a ranking
   */
  observe(roomId: string, userKey: string, uses: readonly WordUse[], atMs: number): Promise<void>;
  /**
   * The words that most users used in (nowMs - windowMs, nowMs], most used first, then by code point.
   * @param wordsMax at least 1
   */
  top(roomId: string, wordsMax: number, nowMs: number): Promise<HotWordCount[]>;
  readonly windowMs: number;
  close(): Promise<void>;
}
