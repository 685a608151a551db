import { expect, test } from "bun:test";
import { markedMessage, publicationStamp, scanMarked, stampReader } from "./publication.ts";

const dueUs = 1_700_000_000_123_456;

test("stamps come whole, wherever the bytes are cut", () => {
  const stamps = [0, 1, 99_999_999].map((seq) => publicationStamp(dueUs, seq));
  for (const size of [1, 7, 24, 100]) {
    const seen: string[] = [];
    const read = stampReader((stamp) => seen.push(stamp));
    const bytes = Buffer.from(stamps.join(""));
    for (let at = 0; at < bytes.length; at += size) {
      read(bytes.subarray(at, at + size));
    }
    expect(seen).toEqual(stamps);
  }
});

test("a marked message says when it was due and its number, and several of a frame are all found", () => {
  const message = (seq: number) => markedMessage(publicationStamp(dueUs, seq), 100);
  expect(message(7)).toHaveLength(100);
  const frame = Buffer.from(`{"data":"${message(7)}"}\n{"data":"${message(8)}"}{"data":"${message(9)}"}`);
  const seen: number[][] = [];
  scanMarked(frame, 0, frame.length - 120, (...found) => seen.push(found));
  expect(seen).toEqual([
    [dueUs, 7],
    [dueUs, 8],
  ]);
});
