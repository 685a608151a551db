import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { stopWords } from "./stop-words.ts";
import { Tokenizer, usesPerMessageMax } from "./tokenizer.ts";

const tokenizer = new Tokenizer();

function words(text: string): string[] {
  return tokenizer.tokenize(text).map(({ word }) => word);
}

describe("Tokenizer", () => {
  test.each<[about: string, text: string, expected: string[]]>([
    ["Hangul goes by spaces and punctuation", "페이커, 미쳤다!! (실화?)", ["페이커", "미쳤다", "실화"]],
    ["letters become lower case", "GG Wp LOL", ["gg", "wp", "lol"]],
    ["digits stay with their letters", "T1 3연승 5렙", ["t1", "3연승", "5렙"]],
    ["scripts that share a word are one", "LOL재밌다", ["lol재밌다"]],
    [
      "an apostrophe or underscore between letters belongs to the word",
      "'rock’n’roll' pepe_laugh _x_",
      ["rock'n'roll", "pepe_laugh"],
    ],
    ["a word counts once a message", "골 골 골! 골", ["골"]],

    ["a laugh of any length is the double", "ㅋㅋ ㅋㅋㅋㅋㅋㅋㅋ", ["ㅋㅋ"]],
    ["a laugh is cut from the word it hangs on", "재밌다ㅋㅋㅋㅋ와ㅠㅠㅠ", ["재밌다", "ㅋㅋ", "와", "ㅠㅠ"]],
    ["both spellings of crying are one", "ㅜㅜㅜ ㅠㅜㅠ ㅠㅠ", ["ㅠㅠ"]],
    ["laughing in two letters is laughing", "ㅋㅎㅋㅎ ㅎㅎㅎ", ["ㅋㅋ", "ㅎㅎ"]],
    [
      "abbreviations stay, without what is repeated in them",
      "ㄹㅇㅋㅋ ㅇㅈ ㅊㅋㅊㅋ ㄷㄷㄷ ㅇㅇ",
      ["ㄹㅇ", "ㅋㅋ", "ㅇㅈ", "ㅊㅋ", "ㄷㄷ", "ㅇㅇ"],
    ],
    ["a single jamo is no word", "ㅋ ㅎ ㅇ", []],

    ["stretched syllables and letters fold to two", "와아아아아 gooooal goooal good", ["와아아", "gooal", "good"]],
    ["a repeated pair folds to two", "hahahahaha haha", ["haha"]],
    ["a shout folds to what is shouted", "페이커페이커페이커 앵콜앵콜 하하하하하", ["페이커", "앵콜", "하하"]],
    ["clapping folds, a round number does not", "8888888 888 1000", ["888", "1000"]],

    ["numbers up to four digits are votes", "1 2 2026 20260", ["1", "2", "2026"]],
    ["single syllables may be words, single letters not", "골 헐 a z", ["골", "헐"]],
    [
      "words longer than 20 code points are dropped",
      `${"가나다라마바사아자차".repeat(2)}카 ${"abcdefghij".repeat(2)}`,
      ["abcdefghij".repeat(2)],
    ],

    ["emoji are words, each once", "🔥🔥🔥 👏🔥", ["🔥", "👏"]],
    ["skin tones are one emoji", "👍🏽 👍 👍🏿 ☝🏻", ["👍", "☝️"]],
    ["a heart is a heart with and without its variation selector", "❤ ❤️", ["❤️"]],
    ["joined emoji, flags and keycaps stay whole", "❤️‍🔥 👨‍👩‍👧 🇰🇷🇯🇵 1️⃣ 🏴󠁧󠁢󠁥󠁮󠁧󠁿", ["❤️‍🔥", "👨‍👩‍👧", "🇰🇷", "🇯🇵", "1️⃣", "🏴󠁧󠁢󠁥󠁮󠁧󠁿"]],
    ["signs of the text fonts are not emoji", "™ © ↔ → ♪ 100%", ["100"]],

    [
      "addresses are dropped, Korean behind them is not",
      "https://youtu.be/a?b=c봐봐 www.x.kr/골 youtu.be/xyz 축구",
      ["봐봐", "골", "축구"],
    ],
    ["mentions and mail addresses are dropped", "@페이커 안녕 foo@bar.com @mina_22: 축하해", ["안녕", "축하해"]],
    ["full-width letters are the usual ones, also in addresses", "ＧＧ　ｅｚ ｈｔｔｐｓ：／／ｘ．ｋｒ", ["gg", "ez"]],
    ["half-width katakana are the usual ones", "ｹﾞｰﾑ", ["ゲーム"]],
    ["invisible characters do not hide a word", "페\u200b이\u00ad커", ["페이커"]],
    ["decomposed Hangul is composed", "페이커".normalize("NFD"), ["페이커"]],
    ["compatibility jamo stay what they are", "ㅋㅋㅋ", ["\u314b\u314b"]],

    [
      "Japanese is cut into words, single kana and function words dropped",
      "今日の配信めっちゃ面白い草",
      ["配信", "めっちゃ", "面白い", "草"],
    ],
    ["stretched hiragana are the word", "すごーーい すごい", ["すごい"]],
    ["Chinese is cut into words", "比赛开始了", ["比赛", "开始"]],
    ["Japanese and Korean in one message", "神回 레전드www", ["神", "回", "레전드www".replace("www", "ww")]],

    ["stop words are no topic", "오늘 진짜 너무 the game is really good", ["game", "good"]],
    ["a stop word with a particle is one", "오늘은 여기에서 지금까지", []],
    ["blank and punctuation give nothing", " \n\t!!! ??? ... ~~ ^^ ", []],
  ])("%s", (_about, text, expected) => {
    expect(words(text)).toEqual(expected);
  });

  test("particles stay on the word and give a stem", () => {
    expect(tokenizer.tokenize("페이커가 T1은 페이커 Faker's 결과")).toEqual([
      { word: "페이커가", stem: "페이커" },
      { word: "t1은", stem: "t1" },
      { word: "페이커" },
      { word: "faker's", stem: "faker" },
      { word: "결과" },
    ]);
  });

  test("a wall of text gives its first words only", () => {
    const wall = Array.from({ length: 300 }, (_, at) => `w${at}`).join(" ");
    expect(words(wall)).toEqual(Array.from({ length: usesPerMessageMax }, (_, at) => `w${at}`));
  });

  test("other stop words can be given", () => {
    expect(new Tokenizer({ stopWords: new Set(["골"]) }).tokenize("골 진짜 골이다")).toEqual([
      { word: "진짜" },
      { word: "골이다" },
    ]);
  });

  test("the stop list is bounded and written as the tokenizer writes words", () => {
    expect(stopWords.size).toBeLessThan(1_000);
    for (const word of stopWords) {
      expect(word).toBe(word.normalize("NFC").toLowerCase());
    }
  });

  test("whatever the text, words are short, few, different, composed, and the stem is the beginning of its word", () => {
    const text = fc.oneof(
      fc.string({ unit: "grapheme", maxLength: 300 }),
      fc.string({ unit: "binary", maxLength: 300 }),
      fc
        .array(
          fc.constantFrom(
            "ㅋ",
            "ㅠ",
            "페이커",
            "가",
            "은",
            "ー",
            "神",
            "👍🏽",
            "\u200d",
            "\ufe0f",
            "@",
            "/",
            "www.",
            ".",
            "1",
            "'",
            "\u0300",
            " ",
          ),
        )
        .map((parts) => parts.join("")),
    );
    fc.assert(
      fc.property(text, (value) => {
        const uses = tokenizer.tokenize(value);
        expect(uses.length).toBeLessThanOrEqual(usesPerMessageMax);
        expect(new Set(uses.map(({ word }) => word)).size).toBe(uses.length);
        for (const { word, stem } of uses) {
          expect([...word].length).toBeWithin(1, 21);
          expect(word).not.toMatch(/\s/);
          expect(stopWords.has(word)).toBe(false);
          if (stem !== undefined) {
            expect(word.startsWith(stem) && stem.length < word.length).toBe(true);
          }
        }
      }),
      { numRuns: 1_000 },
    );
  });
});
