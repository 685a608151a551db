import { describe, expect, test } from "bun:test";
import { EmbeddedHotWords, type HotWordsBound } from "./embedded-hot-words.ts";
import { hotWordsContract } from "./hot-words.contract.ts";

hotWordsContract("EmbeddedHotWords", async (options) => new EmbeddedHotWords(options));

describe("EmbeddedHotWords", () => {
  test("a room over its bound forgets its oldest uses and says so once a window", async () => {
    const hits: [HotWordsBound, string][] = [];
    const hotWords = new EmbeddedHotWords({
      usesPerRoomMax: 3,
      onBoundHit: (bound, roomId) => hits.push([bound, roomId]),
    });
    for (let user = 1; user <= 6; user += 1) {
      await hotWords.observe("lobby", `user-${user}`, [{ word: `word-${user}` }], user * 1_000);
    }
    expect((await hotWords.top("lobby", 10, 6_000)).map(({ word }) => word)).toEqual(["word-4", "word-5", "word-6"]);
    expect(hotWords.stats()).toEqual({ rooms: 1, uses: 3, usesDropped: 3 });
    expect(hits).toEqual([["usesPerRoomMax", "lobby"]]);
    await hotWords.observe("lobby", "user-7", [{ word: "word-7" }, { word: "word-8" }], 64_000);
    await hotWords.observe("lobby", "user-7", [{ word: "word-9" }, { word: "word-0" }], 65_000);
    expect(hits).toHaveLength(2);
  });

  test("a word written again is not the oldest when room is made", async () => {
    const hotWords = new EmbeddedHotWords({ usesPerRoomMax: 2 });
    await hotWords.observe("lobby", "mina", [{ word: "first" }], 1_000);
    await hotWords.observe("lobby", "mina", [{ word: "second" }], 2_000);
    await hotWords.observe("lobby", "mina", [{ word: "first" }], 3_000);
    await hotWords.observe("lobby", "mina", [{ word: "third" }], 4_000);
    expect((await hotWords.top("lobby", 10, 4_000)).map(({ word }) => word)).toEqual(["first", "third"]);
  });

  test("all rooms together keep their bound, and the room that adds pays", async () => {
    const hits: [HotWordsBound, string][] = [];
    const hotWords = new EmbeddedHotWords({ usesMax: 4, onBoundHit: (...hit) => hits.push(hit) });
    await hotWords.observe("quiet", "mina", [{ word: "tea" }], 1_000);
    for (let user = 1; user <= 5; user += 1) {
      await hotWords.observe("busy", `user-${user}`, [{ word: `word-${user}` }], 1_000 + user);
    }
    expect(await hotWords.top("quiet", 10, 2_000)).toEqual([{ word: "tea", users: 1 }]);
    expect(await hotWords.top("busy", 10, 2_000)).toHaveLength(3);
    expect(hotWords.stats()).toEqual({ rooms: 2, uses: 4, usesDropped: 2 });
    expect(hits).toEqual([["usesMax", "busy"]]);
  });

  test("one room too many: the one that was silent longest is forgotten, and it is said", async () => {
    const hits: [HotWordsBound, string][] = [];
    const hotWords = new EmbeddedHotWords({ roomsMax: 2, onBoundHit: (...hit) => hits.push(hit) });
    await hotWords.observe("one", "mina", [{ word: "tea" }], 1_000);
    await hotWords.observe("two", "mina", [{ word: "tea" }], 2_000);
    await hotWords.observe("one", "mina", [{ word: "tea" }], 3_000);
    await hotWords.observe("three", "mina", [{ word: "tea" }], 4_000);
    expect(hotWords.stats()).toEqual({ rooms: 2, uses: 2, usesDropped: 1 });
    expect(await hotWords.top("two", 10, 4_000)).toEqual([]);
    expect(await hotWords.top("one", 10, 4_000)).toHaveLength(1);
    expect(hits).toEqual([["roomsMax", "two"]]);
  });

  test("rooms that fell silent are forgotten without being asked for", async () => {
    const hotWords = new EmbeddedHotWords();
    for (let room = 0; room < 100; room += 1) {
      await hotWords.observe(`room-${room}`, "mina", [{ word: "tea" }], room);
    }
    for (let message = 0; message < 50; message += 1) {
      await hotWords.observe("busy", "mina", [{ word: "tea" }], 120_000 + message);
    }
    expect(hotWords.stats()).toEqual({ rooms: 1, uses: 1, usesDropped: 0 });
  });

  test("a long ranking stays sorted while thousands of words rise and leave", async () => {
    const hotWords = new EmbeddedHotWords();
    const users = new Map<string, Set<number>>();
    for (let at = 0; at < 20_000; at += 1) {
      const word = `w${(at * 7_919) % 3_001}`;
      const user = (at * 104_729) % 97;
      await hotWords.observe("lobby", `user-${user}`, [{ word }], at);
      users.set(word, (users.get(word) ?? new Set()).add(user));
    }
    const expected = [...users]
      .map(([word, { size }]) => ({ word, users: size }))
      .sort((a, b) => b.users - a.users || (a.word < b.word ? -1 : 1));
    expect(await hotWords.top("lobby", 5_000, 20_000)).toEqual(expected);
    expect(await hotWords.top("lobby", 5_000, 79_998)).toHaveLength(1);
    expect(await hotWords.top("lobby", 5_000, 79_999)).toEqual([]);
    expect(hotWords.stats()).toEqual({ rooms: 0, uses: 0, usesDropped: 0 });
  });

  test("bounds and list lengths below 1 are refused", async () => {
    expect(() => new EmbeddedHotWords({ roomsMax: 0 })).toThrow(RangeError);
    expect(() => new EmbeddedHotWords({ windowMs: 0.5 })).toThrow(RangeError);
    await expect(new EmbeddedHotWords().top("lobby", 0, 0)).rejects.toThrow(RangeError);
  });
});
