/**
 * What every implementation of HotWords must do. Run it with `hotWordsContract(name, open)` from the test of one.
 *
 * The strict part compares whole rankings with a brute-force count over the list of all observations. Times are given,
 * so ten minutes of chat take as long as the calls take.
 */
import { afterEach, describe, expect, test } from "bun:test";
import fc from "fast-check";
import { seededRandom } from "../../lib/seeded-random.ts";
import type { HotWordCount, HotWords, WordUse } from "./hot-words.ts";

const windowMs = 60_000;
/** More than any ranking here is long. */
const everyWord = 10_000;

/**
 * @param open a new, empty store with that window; it need not see what other stores of the same run hold, and every
 *   test uses rooms of its own
 */
export function hotWordsContract(name: string, open: (options: { windowMs: number }) => Promise<HotWords>): void {
  describe(`${name}: the HotWords contract`, () => {
    const opened: HotWords[] = [];
    const openStore = async () => {
      const store = await open({ windowMs });
      opened.push(store);
      return store;
    };
    afterEach(async () => {
      for (const store of opened.splice(0)) {
        await store.close();
      }
    });

    test("a word counts its different users, however often each wrote it", async () => {
      const hotWords = await openStore();
      const room = newRoom();
      await hotWords.observe(room, "mina", say("골 골 역전"), 1_000);
      await hotWords.observe(room, "mina", say("골"), 2_000);
      await hotWords.observe(room, "juno", say("골"), 3_000);
      expect(await hotWords.top(room, 10, 3_000)).toEqual([
        { word: "골", users: 2 },
        { word: "역전", users: 1 },
      ]);
    });

    test("the same message observed twice changes nothing", async () => {
      const hotWords = await openStore();
      const room = newRoom();
      await hotWords.observe(room, "mina", say("페이커/가 역전"), 1_000);
      const once = await hotWords.top(room, 10, 1_000);
      await hotWords.observe(room, "mina", say("페이커/가 역전"), 1_000);
      expect(await hotWords.top(room, 10, 1_000)).toEqual(once);
      expect(await hotWords.top(room, 10, 1_000 + windowMs)).toEqual([]);
    });

    test("a use counts until the window has passed, to the millisecond", async () => {
      const hotWords = await openStore();
      const room = newRoom();
      await hotWords.observe(room, "mina", say("골"), 1_000);
      expect(await hotWords.top(room, 10, 1_000 + windowMs - 1)).toEqual([{ word: "골", users: 1 }]);
      expect(await hotWords.top(room, 10, 1_000 + windowMs)).toEqual([]);
    });

    test("writing a word again moves its time forward, and a late older entry does not move it back", async () => {
      const hotWords = await openStore();
      const room = newRoom();
      await hotWords.observe(room, "mina", say("골"), 1_000);
      await hotWords.observe(room, "mina", say("골"), 31_000);
      await hotWords.observe(room, "mina", say("골"), 16_000);
      expect(await hotWords.top(room, 10, 31_000 + windowMs - 1)).toEqual([{ word: "골", users: 1 }]);
      expect(await hotWords.top(room, 10, 31_000 + windowMs)).toEqual([]);
    });

    test("an entry that comes after its window is never seen", async () => {
      const hotWords = await openStore();
      const room = newRoom();
      await hotWords.observe(room, "mina", say("골"), 100_000);
      await hotWords.observe(room, "juno", say("골 역전"), 40_000);
      expect(await hotWords.top(room, 10, 100_000)).toEqual([{ word: "골", users: 1 }]);
    });

    test("the list is as long as asked, most users first, then by code point", async () => {
      const hotWords = await openStore();
      const room = newRoom();
      // U+FF76 is one UTF-16 unit above the surrogates of U+1F525, but a lower code point.
      await hotWords.observe(room, "mina", say("🔥 ｶ 골 goal zeta"), 1_000);
      await hotWords.observe(room, "juno", say("zeta"), 1_000);
      const all = ["zeta", "goal", "골", "ｶ", "🔥"];
      expect((await hotWords.top(room, 10, 1_000)).map(({ word }) => word)).toEqual(all);
      expect((await hotWords.top(room, 4, 1_000)).map(({ word }) => word)).toEqual(all.slice(0, 4));
      expect((await hotWords.top(room, 1, 1_000)).map(({ word }) => word)).toEqual(all.slice(0, 1));
    });

    test("rooms do not see each other", async () => {
      const hotWords = await openStore();
      const [room, other] = [newRoom(), newRoom()];
      await hotWords.observe(room, "mina", say("골"), 1_000);
      await hotWords.observe(other, "mina", say("역전"), 1_000);
      expect(await hotWords.top(room, 10, 1_000)).toEqual([{ word: "골", users: 1 }]);
      expect(await hotWords.top(newRoom(), 10, 1_000)).toEqual([]);
    });

    test("a message without words leaves no trace", async () => {
      const hotWords = await openStore();
      const room = newRoom();
      await hotWords.observe(room, "mina", [], 1_000);
      expect(await hotWords.top(room, 10, 1_000)).toEqual([]);
    });

    test("forms stand for themselves while nobody writes their stem", async () => {
      const hotWords = await openStore();
      const room = newRoom();
      await hotWords.observe(room, "mina", say("고양/이"), 1_000);
      await hotWords.observe(room, "juno", say("고양/이"), 1_000);
      await hotWords.observe(room, "hana", say("페이커/가"), 1_000);
      expect(await hotWords.top(room, 10, 1_000)).toEqual([
        { word: "고양이", users: 2 },
        { word: "페이커가", users: 1 },
      ]);
    });

    test("once somebody writes the stem, users of all forms count for it, each once", async () => {
      const hotWords = await openStore();
      const room = newRoom();
      await hotWords.observe(room, "mina", say("페이커/가"), 1_000);
      await hotWords.observe(room, "juno", say("페이커/는 페이커/를"), 1_000);
      await hotWords.observe(room, "hana", say("페이커"), 2_000);
      await hotWords.observe(room, "mina", say("페이커"), 2_000);
      expect(await hotWords.top(room, 10, 2_000)).toEqual([{ word: "페이커", users: 3 }]);
    });

    test("when the stem itself leaves the window its forms come back, and the stem can return", async () => {
      const hotWords = await openStore();
      const room = newRoom();
      await hotWords.observe(room, "mina", say("페이커"), 1_000);
      await hotWords.observe(room, "mina", say("페이커/가"), 20_000);
      await hotWords.observe(room, "juno", say("페이커/는"), 20_000);
      expect(await hotWords.top(room, 10, 60_999)).toEqual([{ word: "페이커", users: 2 }]);
      expect(await hotWords.top(room, 10, 61_000)).toEqual([
        { word: "페이커가", users: 1 },
        { word: "페이커는", users: 1 },
      ]);
      await hotWords.observe(room, "hana", say("페이커"), 70_000);
      expect(await hotWords.top(room, 10, 70_000)).toEqual([{ word: "페이커", users: 3 }]);
      expect(await hotWords.top(room, 10, 80_000)).toEqual([{ word: "페이커", users: 1 }]);
    });

    test("a late entry of the stem counts as a word only for what is left of its window", async () => {
      const hotWords = await openStore();
      const room = newRoom();
      await hotWords.observe(room, "mina", say("페이커/가"), 10_000);
      await hotWords.observe(room, "mina", say("페이커"), 5_000);
      expect(await hotWords.top(room, 10, 64_999)).toEqual([{ word: "페이커", users: 1 }]);
      expect(await hotWords.top(room, 10, 65_000)).toEqual([{ word: "페이커가", users: 1 }]);
    });

    test("every ranking equals a count over all observations", async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 80 }), async (steps) => {
          const hotWords = await openStore();
          const rooms = [newRoom(), newRoom()];
          const oracles = [new Oracle(), new Oracle()];
          let nowMs = 1_800_000_000_000;
          for (const { roomIndex, userIndex, words, laterMs, lateMs, wordsMax } of steps) {
            nowMs += laterMs;
            const room = rooms[roomIndex] as string;
            const oracle = oracles[roomIndex] as Oracle;
            const uses = words.flatMap(say);
            await hotWords.observe(room, `user-${userIndex}`, uses, nowMs - lateMs);
            oracle.observe(`user-${userIndex}`, uses, nowMs - lateMs);
            if (wordsMax !== undefined) {
              expect(await hotWords.top(room, wordsMax, nowMs)).toEqual(oracle.top(nowMs).slice(0, wordsMax));
            }
          }
          for (const [index, room] of rooms.entries()) {
            expect(await hotWords.top(room, everyWord, nowMs)).toEqual((oracles[index] as Oracle).top(nowMs));
          }
        }),
        { numRuns: 100 },
      );
    });

    test("ten minutes of chat: the whole ranking is right every five seconds", async () => {
      const hotWords = await openStore();
      const room = newRoom();
      const oracle = new Oracle();
      const random = seededRandom(20_260_101);
      const pick = (max: number) => Math.floor(random() * max);
      const startMs = 1_800_000_000_000;
      let checks = 0;
      let listedMax = 0;
      let nextCheckMs = startMs + 5_000;
      for (let nowMs = startMs; nowMs < startMs + 600_000; nowMs += pick(500)) {
        while (nowMs >= nextCheckMs) {
          const expected = oracle.top(nextCheckMs);
          expect(await hotWords.top(room, everyWord, nextCheckMs)).toEqual(expected);
          listedMax = Math.max(listedMax, expected.length);
          checks += 1;
          nextCheckMs += 5_000;
        }
        // The topic moves on, so words come and go: each minute draws from its own third of the lines.
        const third = Math.floor((nowMs - startMs) / 60_000) % 3;
        const line = sampleLines[third * 12 + pick(12)] as string;
        const userKey = `user-${pick(40)}`;
        await hotWords.observe(room, userKey, say(line), nowMs);
        oracle.observe(userKey, say(line), nowMs);
      }
      expect(checks).toBe(119);
      expect(listedMax).toBeGreaterThan(40);
    });
  });
}

let roomCount = 0;

function newRoom(): string {
  roomCount += 1;
  return `hot-words-contract-${roomCount}`;
}

/** Words by spaces; a slash stands before the particle: `페이커/가` is the word 페이커가 with the stem 페이커. */
function say(text: string): WordUse[] {
  return text.split(" ").map((part) => {
    const [stem = "", particle] = part.split("/");
    return particle === undefined ? { word: stem } : { word: stem + particle, stem };
  });
}

/** Counts by looking at everything that was ever observed. */
class Oracle {
  readonly #observed: { userKey: string; uses: WordUse[]; atMs: number }[] = [];

  observe(userKey: string, uses: WordUse[], atMs: number): void {
    this.#observed.push({ userKey, uses, atMs });
  }

  top(nowMs: number): HotWordCount[] {
    const written = new Set<string>();
    const stems = new Map<string, string>();
    const users = new Map<string, Set<string>>();
    const count = (word: string, userKey: string) => users.set(word, (users.get(word) ?? new Set()).add(userKey));
    for (const { userKey, uses, atMs } of this.#observed) {
      if (atMs <= nowMs - windowMs || atMs > nowMs) {
        continue;
      }
      for (const { word, stem } of uses) {
        written.add(word);
        count(word, userKey);
        if (stem !== undefined) {
          stems.set(word, stem);
          count(stem, userKey);
        }
      }
    }
    return [...written]
      .filter((word) => !written.has(stems.get(word) ?? ""))
      .map((word) => ({ word, users: users.get(word)?.size ?? 0 }))
      .sort((a, b) => b.users - a.users || Buffer.compare(Buffer.from(a.word), Buffer.from(b.word)));
  }
}

const step = fc.record({
  roomIndex: fc.nat(1),
  userIndex: fc.nat(5),
  // Stems, forms, a form that is a stem itself (고양이), and words whose order in UTF-16 is another.
  words: fc.array(
    fc.constantFrom(
      "페이커",
      "페이커/가",
      "페이커/는",
      "고양",
      "고양/이",
      "고양이/가",
      "고양이/를",
      "ㅋㅋ",
      "🔥",
      "ｶ",
      "gg",
    ),
    { minLength: 1, maxLength: 4 },
  ),
  laterMs: fc.oneof(fc.nat(3_000), fc.constantFrom(0, 20_000, 59_999, 60_000)),
  lateMs: fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat(70_000) }),
  wordsMax: fc.option(fc.integer({ min: 1, max: 12 }), { nil: undefined }),
});

/** 3 × 12 lines: a match, a concert, a launch. */
const sampleLines = [
  "페이커/가 미쳤다 ㅋㅋ",
  "페이커 페이커",
  "와 페이커/는 진짜 신이다",
  "한타 이겼다 🔥",
  "한타/가 예술 ㄷㄷ",
  "용/을 먹어야지 바론/은 왜",
  "바론 가자 ㄱㄱ",
  "역전/이다 역전 ㅋㅋ",
  "gg ez 🔥",
  "우리팀/이 이겼다 ㅠㅠ",
  "우리팀 최고",
  "고양이/가 키보드/를 밟았대 ㅋㅋ",
  "앵콜 앵콜 👏",
  "앵콜/은 뭐 부를까",
  "기타/가 미쳤다 🔥",
  "기타 소리/가 좋다",
  "노래/를 너무 잘해 ㅠㅠ",
  "이 노래 제목/이 뭐야",
  "노래 최고 👏",
  "드럼/이 살렸다 ㅋㅋ",
  "떼창/이 소름 ㄷㄷ",
  "떼창 가자",
  "조명/도 예쁘다 😍",
  "고양이 귀/를 했네 ㅋㅋ",
  "발사/가 연기됐대 ㅠㅠ",
  "발사 10초 전",
  "카운트다운/이 멈췄다",
  "3 2 1 발사 🚀",
  "로켓/이 올라간다 🚀",
  "로켓 미쳤다 ㄷㄷ",
  "1단/이 분리됐다",
  "착륙/까지 성공 👏",
  "착륙 성공 ㅋㅋ",
  "위성/은 어디로 가",
  "위성 궤도 진입 🎉",
  "고양/이 우주/에 가자 ㅋㅋ",
];
