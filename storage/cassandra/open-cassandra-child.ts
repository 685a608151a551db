/**
 * One of the processes that `schema.cassandra.test.ts` starts at once on a keyspace that is not there: it opens the storage
 * as a gateway does, uses both stores and ends.
 *
 *     bun storage/cassandra/open-cassandra-child.ts <options as JSON> <its number>
 */
import { openCassandra } from "./open-cassandra.ts";

const [options = "", number = ""] = process.argv.slice(2);
const storage = openCassandra(JSON.parse(options));
await storage.ready();
await storage.history.write([
  { roomId: "a", position: { epoch: 1, seq: Number(number) }, acceptedMs: 1, event: new Uint8Array([1]) },
]);
await storage.rooms.create({ roomId: `room-${number}`, title: "", description: "" });
await storage.close();
