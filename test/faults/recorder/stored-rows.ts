/**
 * Where the rows at the end come from: through the API as everyone reads them, or from the store behind it.
 */
import { timestampMs } from "@bufbuild/protobuf/wkt";
import type { ChatClient } from "../../../client/chat-client.ts";
import type { Message } from "../../../gen/chat/v1/message_pb.ts";
import { pause } from "../../../lib/backoff.ts";
import { type HistoryStore, HistoryUnavailableError } from "../../../storage/history/history-store.ts";
import { decodeEntry } from "../../../storage/log/log-event.ts";
import { formatPosition, type Position } from "../../../storage/position.ts";
import type { RowSourceName } from "../checker/history-event.ts";
import { fingerprint } from "./fingerprint.ts";
import type { HistoryWriter } from "./history-writer.ts";

/** A stored message; a position alone: an entry that is no message. */
export type StoredRow = Message | { readonly position: string };

export interface RowSource {
  readonly name: RowSourceName;
  /** All rows of a room, oldest first. */
  rows(roomId: string): AsyncIterable<StoredRow>;
}

const apiPageMax = 200;
const storePageMax = 1_000;
/** Several times what a node takes to come back on a busy machine. */
const backTimeoutMs = 60_000;
const beforeAll = "0-0";

/** ListMessages from the oldest page on. */
export function apiRows(client: ChatClient): RowSource {
  return {
    name: "api",
    async *rows(roomId) {
      for (let after = beforeAll; ; ) {
        const cursor = { case: "after", value: after } as const;
        const page = await client.chat.listMessages({ roomId, pageSize: apiPageMax, cursor }, { timeoutMs: 10_000 });
        if (page.messages.length === 0) {
          return;
        }
        yield* page.messages;
        after = page.newer;
      }
    },
  };
}

/** The pages of a history store. */
export function storeRows(store: Pick<HistoryStore, "page">): RowSource {
  return {
    name: "storage",
    async *rows(roomId) {
      for (let after: Position | undefined; ; ) {
        const entries = await onceBack(() => store.page(roomId, { after, entriesMax: storePageMax, from: "oldest" }));
        const last = entries.at(-1);
        if (!last) {
          return;
        }
        for (const entry of entries) {
          const { kind } = decodeEntry(entry);
          yield kind.case === "message" ? kind.value : { position: formatPosition(entry.position) };
        }
        after = last.position;
      }
    },
  };
}

/**
 * A read of a store that a fault took away a moment ago: made again for as long as the store says that it is away, as it
 * asks its callers to, and for at most `backTimeoutMs`.
 */
async function onceBack<T>(read: () => Promise<T>): Promise<T> {
  const deadline = performance.now() + backTimeoutMs;
  for (;;) {
    try {
      return await read();
    } catch (error) {
      if (!(error instanceof HistoryUnavailableError) || performance.now() > deadline) {
        throw error;
      }
      await pause(error.retryAfterMs);
    }
  }
}

/** Counts the messages of a room. */
export async function countMessages(source: RowSource, roomId: string): Promise<number> {
  let count = 0;
  for await (const row of source.rows(roomId)) {
    count += "text" in row ? 1 : 0;
  }
  return count;
}

/** Writes all rows of the rooms into the history. */
export async function recordRows(source: RowSource, roomIds: readonly string[], history: HistoryWriter): Promise<void> {
  for (const room of roomIds) {
    let count = 0;
    for await (const row of source.rows(room)) {
      const { position } = row;
      if ("text" in row) {
        const sentAtMs = row.sentAt ? timestampMs(row.sentAt) : 0;
        history.write({ type: "row", room, source: source.name, position, ...fingerprint(row), sentAtMs });
        count += 1;
      } else {
        history.write({ type: "other", room, position });
      }
    }
    history.write({ type: "rows", room, source: source.name, count });
  }
}
