/** Reading across a loss: what the log lost of the end of an epoch, the history may have. */
import { describe, expect, test } from "bun:test";
import { create } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { MessageSchema } from "../../gen/chat/v1/message_pb.ts";
import { ChatDatabase } from "../../storage/chat-database.ts";
import { SqliteHistoryStore } from "../../storage/history/sqlite-history-store.ts";
import { decodeEntry, encodeMessage, encodeMessageEntry } from "../../storage/log/log-event.ts";
import type { LogEntry, LogPage, RoomLog } from "../../storage/log/room-log.ts";
import { comparePositions, formatPosition, type Position, parsePosition } from "../../storage/position.ts";
import { RoomHistory } from "./room-history.ts";

const at = parsePosition;

/** An entry; the first of an epoch says what was before it. */
function entry(position: string, before?: string): LogEntry {
  const event = encodeMessage(create(MessageSchema, { text: position, author: { name: "a" } }));
  const note = before ? new BinaryWriter().tag(1_000, WireType.LengthDelimited).string(before).finish() : [];
  return { roomId: "a", position: at(position), acceptedMs: 1, event: new Uint8Array([...event, ...note]) };
}

/** A log that came back without 10-2 and all that followed in its epoch, twice, and the history that has some of it. */
async function acrossLosses() {
  const inLog = [entry("10-0"), entry("10-1"), entry("20-0", "10-5"), entry("20-1"), entry("30-0", "20-3")];
  const log: Pick<RoomLog, "readAfter" | "readBefore"> = {
    readAfter: async (_, after, entriesMax) =>
      page(inLog.filter(({ position }) => !after || comparePositions(position, after) > 0).slice(0, entriesMax)),
    readBefore: async (_, before, entriesMax) =>
      page(inLog.filter(({ position }) => !before || comparePositions(position, before) < 0).slice(-entriesMax)),
  };
  const page = (entries: LogEntry[]): LogPage => ({ entries, floor: undefined, top: at("30-0") });
  const database = new ChatDatabase({ directory: ":memory:" });
  const store = new SqliteHistoryStore(database);
  // 10-5, 20-2 and 20-3 are gone for good.
  await store.write([...inLog.slice(0, 3), entry("10-2"), entry("10-3"), entry("10-4")]);
  const history = new RoomHistory(log as RoomLog, store);
  return { history, [Symbol.dispose]: () => database.close() };
}

const everything = ["10-0", "10-1", "10-2", "10-3", "10-4", "20-0", "20-1", "30-0"];
const positions = (entries: readonly LogEntry[]) => entries.map(({ position }) => formatPosition(position));

describe("what the log lost and the history has", () => {
  test.each([1, 2, 3, 100])("is read where it belongs, forwards, in pages of %i", async (entriesMax) => {
    using read = await acrossLosses();
    const seen: string[] = [];
    for (let after: Position | undefined; ; ) {
      const entries = await read.history.after("a", after, entriesMax);
      if (entries.length === 0) {
        break;
      }
      expect(entries.length).toBeLessThanOrEqual(entriesMax);
      seen.push(...positions(entries));
      after = entries.at(-1)?.position;
    }
    expect(seen).toEqual(everything);
  });

  test.each([1, 2, 3, 100])("is read where it belongs, backwards, in pages of %i", async (entriesMax) => {
    using read = await acrossLosses();
    const seen: string[] = [];
    for (let before: Position | undefined; ; ) {
      const entries = await read.history.before("a", before, entriesMax);
      if (entries.length === 0) {
        break;
      }
      expect(entries.length).toBeLessThanOrEqual(entriesMax);
      seen.unshift(...positions(entries));
      before = entries[0]?.position;
    }
    expect(seen).toEqual(everything);
  });

  test("is there, and what nobody has is not", async () => {
    using read = await acrossLosses();
    const known = await Promise.all(
      ["10-1", "10-4", "10-5", "20-0", "20-3"].map((text) => read.history.has("a", at(text))),
    );
    expect(known).toEqual([true, true, false, true, false]);
  });
});

test("what an entry says of the epoch before it goes to no reader", () => {
  const noted = entry("20-0", "10-5");
  expect(decodeEntry(noted)).toEqual(decodeEntry(entry("20-0")));
  // It is no plain message, so it is taken apart.
  expect(encodeMessageEntry(noted)).toBeUndefined();
  expect(encodeMessageEntry(entry("20-0"))).toBeDefined();
});
