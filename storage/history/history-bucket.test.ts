import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { comparePositions, type Position } from "../position.ts";
import { bucketAt, bucketOf } from "./history-bucket.ts";

/** Around every border that the rule has, and anywhere. */
const seq = fc.oneof(
  fc.constantFrom(0, 1, 1_023, 1_024, 1_025, 32_767, 32_768, 32_769, 65_535, 65_536, 999_999_999_999_999),
  fc.integer({ min: 0, max: 999_999_999_999_999 }),
);
const epoch = fc.oneof(
  fc.constantFrom(0, 1, 2 ** 35 - 1, 2 ** 35, 1_700_000_000_000, 1_700_000_000_001, 999_999_999_999_999),
  fc.integer({ min: 0, max: 999_999_999_999_999 }),
);
const position: fc.Arbitrary<Position> = fc.record({ epoch, seq });

describe("the bucket of a position", () => {
  test("is in a walk over (epoch, bucket) where the position is in a walk over positions", () => {
    fc.assert(
      fc.property(position, position, (a, b) => {
        const order = a.epoch - b.epoch || bucketOf(a).bucket - bucketOf(b).bucket;
        if (order !== 0) {
          expect(Math.sign(order)).toBe(Math.sign(comparePositions(a, b)));
        }
      }),
    );
  });

  test("is found by epoch and number", () => {
    fc.assert(
      fc.property(position, (at) => {
        expect(bucketAt(at.epoch, bucketOf(at).bucket)).toEqual(bucketOf(at));
      }),
    );
  });

  test("is never that of another epoch, but for the beginnings of epochs of one era", () => {
    fc.assert(
      fc.property(position, position, (a, b) => {
        if (a.epoch !== b.epoch && (a.seq >= 1_024 || b.seq >= 1_024)) {
          expect(bucketOf(a)).not.toEqual(bucketOf(b));
        }
      }),
    );
    const lateInOneEra = 1_700_000_000_000 - (1_700_000_000_000 % 2 ** 35) + 2 ** 35 - 1;
    expect(bucketOf({ epoch: lateInOneEra, seq: 1_023 })).toEqual(bucketOf({ epoch: 1_700_000_000_000, seq: 0 }));
    expect(bucketOf({ epoch: lateInOneEra + 1, seq: 0 })).not.toEqual(bucketOf({ epoch: lateInOneEra, seq: 0 }));
  });

  test("has less than 100 MB, whatever the rate: with the largest events that the API admits, and row overhead", () => {
    const entries = new Map<number, number>();
    for (let seq = 0; seq < 100_000; seq += 1) {
      const { bucket } = bucketOf({ epoch: 1_700_000_000_000, seq });
      entries.set(bucket, (entries.get(bucket) ?? 0) + 1);
    }
    // A text of 500 and a name of 40 characters of 4 bytes, ids, and what Cassandra adds to a row.
    const rowBytesMax = 500 * 4 + 40 * 4 + 300 + 50;
    for (const count of entries.values()) {
      expect(count * rowBytesMax).toBeLessThan(100_000_000);
    }
  });
});
