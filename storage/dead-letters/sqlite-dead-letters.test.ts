/** The dead letters in SQLite: the contract. */
import { ChatDatabase } from "../chat-database.ts";
import { deadLettersContract } from "./dead-letters.contract.ts";
import { SqliteDeadLetters } from "./sqlite-dead-letters.ts";

deadLettersContract("SQLite, in memory", async (now) => {
  const database = new ChatDatabase({ directory: ":memory:" });
  return { deadLetters: new SqliteDeadLetters(database, now), cleanup: async () => database.close() };
});
