/** The embedded history: the contract, then how it fails. */
import { expect, test } from "bun:test";
import { ChatDatabase } from "../chat-database.ts";
import { historyStoreContract } from "./history-store.contract.ts";
import { HistoryUnavailableError } from "./history-store.ts";
import { SqliteHistoryStore } from "./sqlite-history-store.ts";

historyStoreContract("SQLite, in memory", async () => {
  const database = new ChatDatabase({ directory: ":memory:" });
  return { history: new SqliteHistoryStore(database), cleanup: async () => database.close() };
});

const position = { epoch: 1, seq: 0 };

test("a full disk is an error that passes, and nothing of the batch is kept", async () => {
  const database = new ChatDatabase({ directory: ":memory:" });
  const history = new SqliteHistoryStore(database);
  database.run("PRAGMA max_page_count = 1");
  const entries = [
    { roomId: "a", position, acceptedMs: 1, event: new Uint8Array(1) },
    { roomId: "b", position, acceptedMs: 1, event: new Uint8Array(500_000) },
  ];
  const refused = await history.write(entries).catch((error) => error);
  expect(refused).toBeInstanceOf(HistoryUnavailableError);
  expect(refused.cause.code).toBe("SQLITE_FULL");
  expect(await history.get("a", position)).toBeUndefined();
  database.run("PRAGMA max_page_count = 1000000");
  await history.write(entries);
  expect(await history.get("b", position)).toBeDefined();
  database.close();
});

test("an entry that cannot be stored at all is another error, for the worker to find it", async () => {
  const database = new ChatDatabase({ directory: ":memory:" });
  const history = new SqliteHistoryStore(database);
  const refused = await history
    .write([{ roomId: "a", position, acceptedMs: 0.5, event: new Uint8Array(1) }])
    .catch((error) => error);
  expect(refused).toBeInstanceOf(Error);
  expect(refused).not.toBeInstanceOf(HistoryUnavailableError);
  database.close();
});

test("a page is one walk along the key, in both directions", () => {
  const database = new ChatDatabase({ directory: ":memory:" });
  for (const order of ["epoch, seq", "epoch DESC, seq DESC"]) {
    const plan = database.prepare<{ detail: string }, []>(
      `EXPLAIN QUERY PLAN SELECT * FROM history WHERE room_id = 'a' AND (epoch, seq) > (1, 1) AND (epoch, seq) < (9, 9)
       ORDER BY ${order} LIMIT 10`,
    );
    const steps = plan.all().map(({ detail }) => detail);
    expect(steps).toHaveLength(1);
    expect(steps[0]).toMatch(/^SEARCH history USING PRIMARY KEY \(room_id=\?/);
  }
  database.close();
});
