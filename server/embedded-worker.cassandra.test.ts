/** One process as gateway and worker on a real Redis and a real Cassandra. */
import { beforeAll, test } from "bun:test";
import pino from "pino";
import { ChatClient } from "../client/chat-client.ts";
import { createNodeTransport } from "../client/node-transports.ts";
import { openCassandra } from "../storage/cassandra/open-cassandra.ts";
import { type CassandraNode, cassandraStartTimeoutMs, sharedCassandra } from "../test/harness/cassandra.ts";
import { startRedis } from "../test/harness/redis.ts";
import { waitFor } from "../test/harness/wait-for.ts";
import { startServer } from "./server.ts";
import { gatewaySettings } from "./settings.ts";

let node: CassandraNode;

beforeAll(async () => {
  node = await sharedCassandra();
}, cassandraStartTimeoutMs);

test("a gateway with --embedded-worker stores what is said and counts its words, without a worker's process", async () => {
  const redis = await startRedis();
  const keyspace = node.freshKeyspace();
  const settings = gatewaySettings.read(
    [
      ...["--port", "0", "--demo", "false", "--embedded-worker", "true", "--redis-url", redis.url],
      ...["--cassandra-contact-points", node.contactPoint, "--cassandra-keyspace", keyspace.keyspace],
      ...["--cassandra-replication", "datacenter1:1"],
    ],
    {},
  );
  if (settings === "help") {
    throw new Error("these are no words for help");
  }
  const gateway = await startServer(settings, pino({ level: "silent" }));
  const cassandra = openCassandra(keyspace);
  try {
    const chat = new ChatClient({ transport: createNodeTransport({ baseUrl: gateway.url }) });
    await chat.send({ roomId: "lobby", author: { name: "민수" }, text: "페이커" });
    await cassandra.ready();
    const stored = () => cassandra.history.page("lobby", { entriesMax: 10, from: "newest" });
    await waitFor("the message is stored", async () => (await stored()).length === 1);
    const ranking = async () => (await chat.hotWords.listHotWords({ roomId: "lobby" })).words;
    await waitFor("its word is counted", async () => (await ranking()).some((each) => each.word === "페이커"));
  } finally {
    await gateway.close();
    await cassandra.close();
    await redis.stop();
  }
});
