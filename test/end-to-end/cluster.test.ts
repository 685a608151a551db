/**
 * Three gateways and two workers on a Redis Cluster and Cassandra: what people and programs see is what one gateway shows
 * that keeps everything itself, whichever gateway they ask.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { resolve } from "node:path";
import { ChatClient } from "../../client/chat-client.ts";
import { createNodeTransport } from "../../client/node-transports.ts";
import { RedisKeys, shardsDefault } from "../../storage/log/redis/redis-keys.ts";
import type { Deployment, Member } from "../faults/driver/deployment.ts";
import { startClusterDeployment } from "../faults/driver/distributed-deployment.ts";
import { cassandraStartTimeoutMs } from "../harness/cassandra.ts";
import { mustRunCommand } from "../harness/command.ts";
import type { RedisCluster } from "../harness/redis-cluster.ts";
import { waitFor } from "../harness/wait-for.ts";
import { makeTools, meetInOneRoom } from "./everybody.ts";

let deployment: Deployment;
let clients: [ChatClient, ChatClient, ChatClient];

beforeAll(async () => {
  deployment = await startClusterDeployment();
  clients = deployment.gatewayUrls.map(
    (baseUrl) => new ChatClient({ transport: createNodeTransport({ baseUrl }) }),
  ) as [ChatClient, ChatClient, ChatClient];
}, cassandraStartTimeoutMs + 60_000);

afterAll(async () => {
  await deployment?.stop();
}, 60_000);

test("everyone at three gateways on a Redis Cluster sees every message in the same order, whatever they speak", async () => {
  await using tools = await makeTools();
  const gateways = deployment.gatewayUrls.map((url) => ({
    host: new URL(url).hostname,
    port: Number(new URL(url).port),
  }));
  await meetInOneRoom(gateways, "everybody", tools);
}, 150_000);

test("a reader goes on at another gateway where it stopped, while its room's slot moves and its master changes", async () => {
  const roomId = "resume";
  const [one, other, third] = clients;
  await one.rooms.createRoom({ roomId, title: roomId });
  const before = await collect(one, roomId, { tail: 0 });
  await say(third, roomId, 1, 5);
  await before.until(5);
  before.stop();
  const cluster = redisCluster();
  const keys = new RedisKeys("chat", shardsDefault);
  const slot = await cluster.slotOf(keys.state(roomId));
  const source = await cluster.masterOf(slot);
  await say(third, roomId, 6, 8);
  const target = (await cluster.masters()).find((node) => node !== source);
  await cluster.moveSlot(slot, target as NonNullable<typeof target>);
  await say(third, roomId, 9, 11);
  const after = await collect(other, roomId, { after: before.cursor() });
  await cluster.failover(await cluster.replicaOf(await cluster.masterOf(slot)));
  await say(third, roomId, 12, 14);
  await after.until(9);
  after.stop();
  expect([...before.texts, ...after.texts]).toEqual(Array.from({ length: 14 }, (_, n) => `말 ${n + 1}`));
  expect([...before.gaps, ...after.gaps]).toEqual([]);
}, 60_000);

test("hot words count what was said at every gateway, and every gateway shows them", async () => {
  const roomId = "words";
  await clients[0].rooms.createRoom({ roomId, title: roomId });
  for (const [n, client] of clients.entries()) {
    await client.send({ roomId, text: "역전 골", author: { userId: `user-${n}`, name: `사람 ${n}` } });
  }
  for (const client of clients) {
    await waitFor("the words are counted", async () => {
      const { words } = await client.hotWords.listHotWords({ roomId });
      return words.length === 2 && words.every(({ users }) => users === clients.length);
    });
  }
}, 60_000);

test("the history has what was said, whichever gateway is asked, and Cassandra keeps it", async () => {
  const roomId = "history";
  await clients[0].rooms.createRoom({ roomId, title: roomId });
  await say(clients[1], roomId, 1, 7);
  const texts = Array.from({ length: 7 }, (_, n) => `말 ${n + 1}`);
  for (const client of clients) {
    const { messages } = await client.chat.listMessages({ roomId, pageSize: 50 });
    expect(messages.map(({ text }) => text)).toEqual(texts);
  }
  await waitFor("Cassandra has them", async () => {
    const rows = await Array.fromAsync(deployment.stored.rows(roomId));
    return Bun.deepEquals(
      rows.flatMap((row) => ("text" in row ? [row.text] : [])),
      texts,
    );
  });
}, 60_000);

test("what is no event goes to the dead letters, where a person finds it", async () => {
  const cluster = redisCluster();
  const shardLog = new RedisKeys("chat", shardsDefault).shardLog(7);
  const master = await cluster.masterOf(await cluster.slotOf(shardLog));
  await master.command("XADD", shardLog, "*", "r", "poisoned", "p", "1-0", "t", "1", "e", "no event");
  const list = [process.execPath, resolve(import.meta.dir, "../../worker/dead-letters.ts"), "list"];
  const listed = await waitFor("it is among the dead", async () => {
    const output = await mustRunCommand(list, { env: { ...deployment.settings } });
    return output.includes("poisoned") && output;
  });
  expect(listed).toContain("1 dead letter\n");
}, 60_000);

function redisCluster(): RedisCluster {
  const member = deployment.members.find(({ cluster }) => cluster) as Member;
  return member.cluster as RedisCluster;
}

/** "말 1", "말 2", … one after the other. */
async function say(client: ChatClient, roomId: string, first: number, last: number): Promise<void> {
  for (let n = first; n <= last; n += 1) {
    await client.send({ roomId, text: `말 ${n}`, author: { userId: "u", name: "하나" } });
  }
}

/** A reader that is live. */
async function collect(client: ChatClient, roomId: string, start: { tail: number } | { after: string }) {
  const texts: string[] = [];
  const gaps: unknown[] = [];
  const subscription = client.subscribe(roomId, {
    start,
    onMessage: ({ text }) => texts.push(text),
    onGap: (gap) => gaps.push(gap),
  });
  await waitFor("the reader is live", () => subscription.state.kind === "live");
  return {
    texts,
    gaps,
    cursor: () => subscription.cursor as string,
    until: (count: number) => waitFor(`${count} messages`, () => texts.length >= count, 30_000),
    stop: () => subscription.stop(),
  };
}
