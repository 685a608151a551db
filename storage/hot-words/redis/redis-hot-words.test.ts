/** Hot words in Redis: the contract on a real server, then its bounds, its clock and what it leaves behind. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type RedisServer, startRedis } from "../../../test/harness/redis.ts";
import { waitFor } from "../../../test/harness/wait-for.ts";
import { hotWordsContract } from "../hot-words.contract.ts";
import { openRedisHotWords, type RedisHotWordsOptions } from "./redis-hot-words.ts";

let redis: RedisServer;
let prefixes = 0;

beforeAll(async () => {
  redis = await startRedis();
}, 30_000);

afterAll(async () => {
  await redis?.stop();
});

hotWordsContract("RedisHotWords", (options) => open({ ...options, clock: "caller" }));

function open(options: Partial<RedisHotWordsOptions> = {}) {
  prefixes += 1;
  return openRedisHotWords({ endpoint: { url: redis.url }, prefix: `words-${prefixes}`, ...options });
}

async function keysLeft(): Promise<number> {
  return ((await redis.command("KEYS", `{words-${prefixes}:*`)) as string[]).length;
}

describe("RedisHotWords", () => {
  test("what one process observed another sees", async () => {
    const one = await open({ clock: "caller" });
    const other = await openRedisHotWords({
      endpoint: { url: redis.url },
      prefix: `words-${prefixes}`,
      clock: "caller",
    });
    await one.observe("lobby", "mina", [{ word: "골" }], 1_000);
    await other.observe("lobby", "juno", [{ word: "골" }], 1_000);
    expect(await one.top("lobby", 1, 1_000)).toEqual([{ word: "골", users: 2 }]);
    await Promise.all([one.close(), other.close()]);
  });

  test("a gateway whose clock is ahead forgets nothing for the others", async () => {
    const hotWords = await open();
    await hotWords.observe("lobby", "mina", [{ word: "골" }], Date.now());
    expect(await hotWords.top("lobby", 1, Date.now() + 10 ** 9)).toEqual([{ word: "골", users: 1 }]);
    await hotWords.close();
  });

  test("a room over its bound forgets its oldest uses and says so", async () => {
    const dropped: [string, number][] = [];
    const hotWords = await open({ clock: "caller", usesPerRoomMax: 3, onDropped: (...args) => dropped.push(args) });
    for (let user = 1; user <= 6; user += 1) {
      await hotWords.observe("lobby", `user-${user}`, [{ word: `word-${user}` }], user * 1_000);
    }
    expect((await hotWords.top("lobby", 10, 6_000)).map(({ word }) => word)).toEqual(["word-4", "word-5", "word-6"]);
    expect(dropped).toEqual([
      ["lobby", 1],
      ["lobby", 1],
      ["lobby", 1],
    ]);
    await hotWords.close();
  });

  test("more uses than one script forgets leave the window before the ranking is answered", async () => {
    const hotWords = await open({ clock: "caller" });
    const words = Array.from({ length: 1_200 }, (_, n) => ({ word: `word-${n}` }));
    await hotWords.observe("lobby", "mina", words, 1_000);
    await hotWords.observe("lobby", "mina", [{ word: "late" }], 60_000);
    expect(await hotWords.top("lobby", 10, 61_000)).toEqual([{ word: "late", users: 1 }]);
    expect(await hotWords.top("lobby", 10, 120_000)).toEqual([]);
    expect(await keysLeft()).toBe(0);
    await hotWords.close();
  });

  test("a room that falls silent leaves nothing in Redis", async () => {
    const hotWords = await open({ windowMs: 500 });
    await hotWords.observe("lobby", "mina", [{ word: "페이커가", stem: "페이커" }], Date.now());
    expect(await keysLeft()).toBe(7);
    await waitFor("all its keys are gone", async () => (await keysLeft()) === 0);
    await hotWords.close();
  });

  test("without memory nothing new is counted but told as dropped, and the ranking is still there", async () => {
    const dropped: unknown[] = [];
    const hotWords = await open({ clock: "caller", onDropped: (...args) => dropped.push(args) });
    await hotWords.observe("lobby", "mina", [{ word: "골" }], 1_000);
    await redis.command("CONFIG", "SET", "maxmemory", "1");
    await hotWords.observe("lobby", "juno", [{ word: "골" }], 1_000);
    const ranking = await hotWords.top("lobby", 1, 1_000);
    await redis.command("CONFIG", "SET", "maxmemory", "0");
    expect(dropped).toEqual([["lobby", 1]]);
    expect(ranking).toEqual([{ word: "골", users: 1 }]);
    await hotWords.close();
  });

  test("bounds and list lengths below 1 are refused", async () => {
    await expect(open({ windowMs: 0.5 })).rejects.toThrow(RangeError);
    await expect(open({ usesPerRoomMax: 0 })).rejects.toThrow(RangeError);
    const hotWords = await open();
    await expect(hotWords.top("lobby", 0, 0)).rejects.toThrow(RangeError);
    await hotWords.close();
  });
});
