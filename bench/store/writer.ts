/**
 * The benchmark's floor, in a process of its own: rows of the history written by cassandra-driver alone, either in unlogged
 * batches of one partition, as many rows and as many at once as the history store, or one by one.
 */
import { type ArrayOrObject, Client } from "cassandra-driver";
import { insertOf } from "../../storage/history/cassandra-history-store.ts";
import { encodeMessage } from "../../storage/log/log-event.ts";
import type { LogEntry } from "../../storage/log/room-log.ts";
import { obeyParent } from "../measuring/asked-process.ts";
import { chatMessages } from "../measuring/chat-messages.ts";

export interface WriteCommand {
  way: "batches" | "singles";
  contactPoint: string;
  localDataCenter: string;
  keyspace: string;
  roomIds: string[];
  rows: number;
}

const batchRows = 50;
const batchesInFlight = 8;
const singlesInFlight = 256;

const nextMessage = chatMessages();
let client: Client | undefined;

obeyParent(async ({ way, contactPoint, localDataCenter, keyspace, roomIds, rows }: WriteCommand): Promise<void> => {
  client ??= new Client({
    contactPoints: [contactPoint],
    localDataCenter,
    keyspace,
    encoding: { useBigIntAsLong: true },
    monitorReporting: { enabled: false },
  });
  const open = client;
  const epoch = Date.now();
  const rowsOf = (first: number, count: number): { query: string; params: ArrayOrObject }[] =>
    Array.from({ length: count }, (_, n) => insertOf(entry(roomIds, epoch, first + n)));
  const together = way === "batches" ? batchRows : 1;
  let written = 0;
  const lane = async () => {
    while (written < rows) {
      const statements = rowsOf(written, Math.min(together, rows - written));
      written += statements.length;
      const [only] = statements;
      if (way === "batches") {
        await open.batch(statements, { prepare: true, logged: false });
      } else if (only) {
        await open.execute(only.query, only.params, { prepare: true });
      }
    }
  };
  await Promise.all(Array.from({ length: way === "batches" ? batchesInFlight : singlesInFlight }, lane));
});

/** The n-th row of a round. As many rows of one room follow each other as a batch has, so a batch is of one partition. */
function entry(roomIds: readonly string[], epoch: number, n: number): LogEntry {
  const block = Math.floor(n / batchRows);
  const seq = Math.floor(block / roomIds.length) * batchRows + (n % batchRows);
  const roomId = roomIds[block % roomIds.length] ?? "";
  return { roomId, position: { epoch, seq }, acceptedMs: epoch, event: encodeMessage(nextMessage()) };
}
