/** The dead letters in Redis: the contract on a real server, and what they leave behind. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { type RedisServer, startRedis } from "../../test/harness/redis.ts";
import { deadLettersContract } from "./dead-letters.contract.ts";
import { RedisDeadLetters } from "./redis-dead-letters.ts";

let redis: RedisServer;
let prefixes = 0;

beforeAll(async () => {
  redis = await startRedis();
}, 30_000);

afterAll(async () => {
  await redis?.stop();
});

async function open(now?: () => number) {
  prefixes += 1;
  const deadLetters = new RedisDeadLetters({ endpoint: { url: redis.url }, prefix: `dead-${prefixes}`, now });
  await deadLetters.opened(10_000);
  return deadLetters;
}

deadLettersContract("Redis", async (now) => {
  const deadLetters = await open(now);
  return { deadLetters, cleanup: () => deadLetters.close() };
});

test("the last dead letter that is removed leaves nothing in Redis", async () => {
  const deadLetters = await open();
  const keys = () => redis.command("KEYS", `{dead-${prefixes}:*`);
  const entry = { roomId: "a", position: { epoch: 1, seq: 0 }, acceptedMs: 1, event: new Uint8Array([1]) };
  await deadLetters.add({ id: "x", entry, attempts: 1 }, "no");
  expect(await keys()).toHaveLength(2);
  await deadLetters.remove(entry);
  expect(await keys()).toEqual([]);
  await deadLetters.close();
});
