/**
 * From the text of a message to the words that the hot-words board counts.
 *
 * It stands between the room log and `HotWords`: `count-hot-words.ts` gives it every message. Pure but for one
 * Intl.Segmenter, made when the first text that needs it comes (2 ms and some MB of ICU data). 2 to 6 µs a message.
 *
 * What is a word (the test has each example):
 * - Letters and digits between spaces and punctuation, lower case, NFC. Not NFKC: that turns ㅋ U+314B into U+110F.
 *   Full-width ASCII and half-width katakana are folded to the usual width.
 * - Japanese and Chinese runs as Intl.Segmenter cuts them; also Thai, Lao, Khmer and Burmese, which write no spaces.
 * - A laugh or a cry: a single jamo repeated becomes two (ㅋㅋㅋㅋ → ㅋㅋ, ㅜㅠㅜ → ㅠㅠ). Other runs of jamo are
 *   abbreviations (ㅇㅈ, ㄹㅇ). Laughs stay on the board: folded they are two or three lines, and they are the mood.
 * - An emoji, one grapheme each, in its coloured form and without skin tone: 👍🏽 and 👍 are one word. People say much by
 *   emoji, and a board without them would miss half of a concert.
 * - A number of at most four digits: chats vote with 1 and 2 and clap with 888.
 *
 * Stretching is folded: a character three times or more becomes two (와아아아 → 와아아, gooooal → gooal; not one, since
 * `good` has two), a number of one digit becomes three (8888888 → 888), a pair three times or more becomes two (hahahaha →
 * haha), and a Hangul word that is one part again and again is that part (페이커페이커 → 페이커).
 *
 * Not words: addresses (https://…, www.…, a.b/c), @mentions, stop words and their forms with particles, single letters
 * and single jamo, what is longer than 20 code points. A single Hangul or Han character may be one (골, 神).
 */
import type { WordUse } from "../../storage/hot-words/hot-words.ts";
import { koreanStem } from "./korean-stem.ts";
import { stopWords as chatStopWords } from "./stop-words.ts";

/** A message takes at most so many different words; the rest of a wall of text is not counted. */
export const usesPerMessageMax = 32;
/** In code points. Longer is a cat on the keyboard. */
const wordLengthMax = 20;
const digitsMax = 4;
/** In UTF-16 units: the 500 code points that the API takes, if all are surrogate pairs. More is cut off. */
const textLengthMax = 1_000;

/** Scripts whose words stand side by side without a space. */
const unspaced =
  "\\p{Script=Han}\\p{Script=Hiragana}\\p{Script=Katakana}\\p{Script=Thai}\\p{Script=Lao}\\p{Script=Khmer}\\p{Script=Myanmar}";
/** ㄱ … ㆎ, the block "Hangul Compatibility Jamo": what a keyboard gives for half a syllable. */
const jamo = "\\u3131-\\u318e";

/** One pass over the text; a match is one of the kinds in this order, and what matches none separates. */
const pieces = new RegExp(
  [
    // A letter or a digit and its marks; ' and _ between letters. A keycap is an emoji and not the digit before it.
    `((?:[[\\p{L}\\p{N}]--[${jamo}${unspaced}]](?!\\ufe0f?\\u20e3)\\p{M}*|(?<=\\p{L})['_](?=\\p{L}))+)`,
    `([${jamo}]+)`,
    `([${unspaced}\\u30fc\\p{M}]+)`,
    "(\\p{RI}{2}|[0-9#*]\\ufe0f?\\u20e3|\\u{1f3f4}[\\u{e0061}-\\u{e007a}]+\\u{e007f}|" +
      "\\p{Extended_Pictographic}(?:\\ufe0f|\\p{Emoji_Modifier})*(?:\\u200d\\p{Extended_Pictographic}(?:\\ufe0f|\\p{Emoji_Modifier})*)*)",
  ].join("|"),
  "gv",
);

/**
 * Addresses and mentions. An address is ASCII: Korean writes its particle right behind it. The look-behinds keep a text of
 * dashes and dots from being searched again from each of them.
 */
const dropped =
  /(?:https?:\/\/|www\.)[\x21-\x7e]+|(?<![a-z0-9.-])[a-z0-9-]+(?:\.[a-z0-9-]+)+\/[\x21-\x7e]*|(?<![\w.+-])[\w.+-]*@[\p{L}\p{M}\p{N}_.-]+/gu;
/** What every one of them has. */
const mayBeDropped = /[@/]|www\./;

/** すごーーい is すごい, and the segmenter knows only that. In katakana the sign is spelling: ゲーム. */
const stretchedKana = /(?<=\p{Script=Hiragana})ー+/gu;

const plainAscii = /^[\x20-\x7e]*$/;
const fullWidth = /[\uff01-\uff5e\u3000]/g;
const halfWidthKatakana = /[\uff65-\uff9f]+/g;
/** Soft hyphen, zero-width space, word joiner, byte order mark: people hide words with them. */
const invisible = /[\u00ad\u200b\u2060\ufeff]/g;
const apostrophe = /\u2019/g;
const needsFolding = /[\uff01-\uff9f\u3000\u00ad\u200b\u2060\ufeff\u2019]/;

export class Tokenizer {
  readonly #stopWords: ReadonlySet<string>;
  #segmenter: Intl.Segmenter | undefined;

  constructor(options: { stopWords?: ReadonlySet<string> } = {}) {
    this.#stopWords = options.stopWords ?? chatStopWords;
  }

  /** The different words of a text, in its order, at most `usesPerMessageMax`. Never throws. */
  tokenize(text: string): WordUse[] {
    const uses: WordUse[] = [];
    const seen = new Set<string>();
    for (const [, word, jamoRun, unspacedRun, emoji] of normalize(text).matchAll(pieces)) {
      if (word !== undefined) {
        this.#addWord(word, uses, seen);
      } else if (jamoRun !== undefined) {
        for (const laugh of jamoWords(jamoRun)) {
          this.#add({ word: laugh }, uses, seen);
        }
      } else if (unspacedRun !== undefined) {
        for (const segment of this.#segment(unspacedRun)) {
          this.#add({ word: segment }, uses, seen);
        }
      } else if (emoji !== undefined) {
        const sign = emojiWord(emoji);
        if (sign !== undefined) {
          this.#add({ word: sign }, uses, seen);
        }
      }
      if (uses.length >= usesPerMessageMax) {
        break;
      }
    }
    return uses;
  }

  #addWord(written: string, uses: WordUse[], seen: Set<string>): void {
    const word = foldStretching(written);
    if (/^\p{N}+$/u.test(word)) {
      if (word.length <= digitsMax) {
        this.#add({ word }, uses, seen);
      }
      return;
    }
    // A single letter says nothing; a single syllable may (골, 헐).
    if (word.length < 2 && !/\p{Script=Hangul}/u.test(word)) {
      return;
    }
    const stem = word.endsWith("'s") && word.length > 3 ? word.slice(0, -2) : koreanStem(word);
    if (stem === undefined) {
      this.#add({ word }, uses, seen);
    } else if (!this.#stopWords.has(stem)) {
      this.#add({ word, stem }, uses, seen);
    }
  }

  #add(use: WordUse, uses: WordUse[], seen: Set<string>): void {
    const { word } = use;
    if (seen.has(word) || this.#stopWords.has(word) || uses.length >= usesPerMessageMax) {
      return;
    }
    // Code points are at most UTF-16 units, so most words need no counting.
    if (word.length > wordLengthMax && [...word].length > wordLengthMax) {
      return;
    }
    seen.add(word);
    uses.push(use);
  }

  *#segment(run: string): Generator<string> {
    this.#segmenter ??= new Intl.Segmenter("ja", { granularity: "word" });
    for (const { segment, isWordLike } of this.#segmenter.segment(foldRepeated(run.replace(stretchedKana, "")))) {
      // A single kana is a particle or an ending; a single Han character is a word (神, 草).
      if (isWordLike && (segment.length > 1 || /\p{Script=Han}/u.test(segment))) {
        yield segment;
      }
    }
  }
}

function normalize(text: string): string {
  let folded = text.length > textLengthMax ? text.slice(0, textLengthMax) : text;
  if (!plainAscii.test(folded)) {
    folded = folded.normalize("NFC");
    if (needsFolding.test(folded)) {
      folded = folded
        .replace(fullWidth, (char) => (char === "\u3000" ? " " : String.fromCharCode(char.charCodeAt(0) - 0xfee0)))
        .replace(halfWidthKatakana, (run) => run.normalize("NFKC"))
        .replace(invisible, "")
        .replace(apostrophe, "'");
    }
  }
  folded = folded.toLowerCase();
  return mayBeDropped.test(folded) ? folded.replace(dropped, " ") : folded;
}

/** Any character three times or more becomes two. */
function foldRepeated(word: string): string {
  return word.replace(/(.)\1{2,}/gsu, "$1$1");
}

function foldStretching(word: string): string {
  if (word.length < 3) {
    return word;
  }
  if (/^(\d)\1{2,}$/.test(word)) {
    return word.slice(0, 3);
  }
  // 1000 is a number and not a stretched 100.
  const folded = word.replace(/([^\p{N}])\1{2,}/gu, "$1$1");
  if (folded.length < 4) {
    return folded;
  }
  if (/^[\uac00-\ud7a3]+$/.test(folded)) {
    return folded.replace(/^(.{2,}?)\1+$/u, "$1");
  }
  return folded.replace(/([^\p{N}]{2})\1{2,}/gu, "$1$1");
}

/** ㅋㅋㅋㅋㄷㄷ → ㅋㅋ, ㄷㄷ; ㄹㅇㅋㅋ → ㄹㅇ, ㅋㅋ; ㅊㅋㅊㅋ → ㅊㅋ; ㅇㅈ → ㅇㅈ; ㅋ → none. */
function jamoWords(run: string): string[] {
  if (/^[ㅠㅜ]{2,}$/.test(run)) {
    return ["ㅠㅠ"];
  }
  if (/^(?=.*ㅋ)[ㅋㅎ]{2,}$/.test(run)) {
    return ["ㅋㅋ"];
  }
  const words: string[] = [];
  for (const [part, repeated] of run.matchAll(/(.)\1+|(?:(.)(?!\2))+/gu)) {
    if (repeated !== undefined) {
      words.push(repeated === "ㅜ" ? "ㅠㅠ" : repeated + repeated);
    } else if (part.length > 1) {
      words.push(part.replace(/^(..)\1+$/u, "$1"));
    }
  }
  return words;
}

/** One spelling for one emoji; undefined for signs that are pictographs only by name (©, ™, ↔). */
function emojiWord(grapheme: string): string | undefined {
  if (/^\p{RI}|\u20e3$|\u{e007f}$/u.test(grapheme)) {
    return /\u20e3$/u.test(grapheme) ? `${grapheme[0]}\ufe0f\u20e3` : grapheme;
  }
  const bare = grapheme.replace(/[\ufe0f\p{Emoji_Modifier}]/gu, "");
  // A lone sign from the text fonts is an emoji only if the writer's keyboard says so.
  if (
    /^[\u00a9\u00ae\u203c-\u25ff\u3030\u303d\u3297\u3299]$/u.test(bare) &&
    !/\p{Emoji_Presentation}|\ufe0f/u.test(grapheme)
  ) {
    return undefined;
  }
  // UTS #51, "emoji presentation sequence": what is text by default takes U+FE0F.
  return bare.replace(/\p{Extended_Pictographic}/gu, (sign) =>
    /\p{Emoji_Presentation}/u.test(sign) ? sign : `${sign}\ufe0f`,
  );
}
