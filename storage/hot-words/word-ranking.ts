/**
 * A room's words in the order of the board: most users first, words with as many by code point.
 *
 * Kept sorted at all times, so reading the first k costs k: a sorted list cut into short arrays (binary search for the
 * array, binary search in it, one short move). The same as a Redis sorted set with the score -users, whose equal scores
 * stand in the order of their bytes: UTF-8 sorts by code point.
 */

/** A word that can stand in a ranking. `rankedUsers` belongs to the ranking. */
export interface Rankable {
  readonly word: string;
  /** Users it stands in the ranking with. 0: it does not stand in it. */
  rankedUsers: number;
}

/** Long enough that few arrays are searched, short enough that an insertion moves at most 2 kB. */
const chunkMax = 256;

export class WordRanking<T extends Rankable> {
  /** Each sorted, none empty, each before the next. */
  readonly #chunks: T[][] = [];

  /** Puts the word where that many users belong; 0 takes it out. O(log n + chunkMax). */
  place(entry: T, users: number): void {
    if (entry.rankedUsers === users) {
      return;
    }
    if (entry.rankedUsers > 0) {
      this.#remove(entry);
    }
    entry.rankedUsers = users;
    if (users > 0) {
      this.#insert(entry);
    }
  }

  /** The first `max` words, fewer where there are fewer. */
  first(max: number): T[] {
    const found: T[] = [];
    for (const chunk of this.#chunks) {
      if (found.length + chunk.length >= max) {
        return found.concat(chunk.slice(0, max - found.length));
      }
      found.push(...chunk);
    }
    return found;
  }

  #insert(entry: T): void {
    const chunks = this.#chunks;
    // After every chunk, a new word goes to the end of the last one.
    const at = Math.min(this.#chunkOf(entry), chunks.length - 1);
    const chunk = chunks[at];
    if (!chunk) {
      chunks.push([entry]);
      return;
    }
    chunk.splice(placeIn(chunk, entry), 0, entry);
    if (chunk.length > chunkMax) {
      chunks.splice(at + 1, 0, chunk.splice(chunkMax >> 1));
    }
  }

  #remove(entry: T): void {
    const at = this.#chunkOf(entry);
    const chunk = this.#chunks[at];
    const place = chunk ? placeIn(chunk, entry) : -1;
    if (chunk?.[place] !== entry) {
      throw new Error(`the ranking has lost ${JSON.stringify(entry.word)} with ${entry.rankedUsers} users`);
    }
    chunk.splice(place, 1);
    if (chunk.length === 0) {
      this.#chunks.splice(at, 1);
    }
  }

  /** The first chunk whose last word is not before `entry`; the number of chunks where there is none. */
  #chunkOf(entry: T): number {
    return lowerBound(this.#chunks.length, (at) => {
      const chunk = this.#chunks[at] as T[];
      return compareRanked(chunk[chunk.length - 1] as T, entry) < 0;
    });
  }
}

function placeIn<T extends Rankable>(chunk: readonly T[], entry: T): number {
  return lowerBound(chunk.length, (at) => compareRanked(chunk[at] as T, entry) < 0);
}

/** The first of 0 … length for which `before` does not hold; it holds for a beginning and for nothing after it. */
function lowerBound(length: number, before: (at: number) => boolean): number {
  let low = 0;
  let high = length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (before(middle)) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

function compareRanked(a: Rankable, b: Rankable): number {
  return b.rankedUsers - a.rankedUsers || compareCodePoints(a.word, b.word);
}

/**
 * Negative where `a` comes first. JavaScript's `<` compares UTF-16 units, which puts an emoji (a surrogate pair, from
 * U+D800) before a half-width katakana (U+FF66): lifting surrogates above the rest makes it the order of code points.
 */
function compareCodePoints(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let at = 0; at < length; at += 1) {
    const left = a.charCodeAt(at);
    const right = b.charCodeAt(at);
    if (left !== right) {
      return lifted(left) - lifted(right);
    }
  }
  return a.length - b.length;
}

function lifted(unit: number): number {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit;
}
