import { expect, test } from "bun:test";
import fc from "fast-check";
import { noFlaws, SequenceCheck } from "./sequence-check.ts";

const epoch = 1_700_000_000_000;

/** A reader who is live after position 9 and then gets these. */
function sent(...seqs: number[]): SequenceCheck {
  const check = new SequenceCheck();
  check.begin({ epoch, seq: 9 });
  for (const seq of seqs) {
    check.take(epoch, seq);
  }
  return check;
}

test("what comes once, in order, from where the reader was live, is no flaw", () => {
  const check = sent(10, 11, 12);
  check.end({ epoch, seq: 12 });
  expect(check.counts).toEqual(noFlaws);
  expect(check.cursor).toEqual({ epoch, seq: 12 });
});

test("a loss is found at the beginning, in the middle and at the end", () => {
  expect(sent(11).counts).toEqual({ ...noFlaws, lost: 1 });
  expect(sent(10, 14).counts).toEqual({ ...noFlaws, lost: 3 });
  const check = sent(10);
  check.end({ epoch, seq: 12 });
  expect(check.counts).toEqual({ ...noFlaws, lost: 2 });
});

test("a repetition is found, at once or later", () => {
  expect(sent(10, 10).counts).toEqual({ ...noFlaws, doubled: 1 });
  expect(sent(10, 11, 12, 10).counts).toEqual({ ...noFlaws, doubled: 1 });
  expect(sent(9).counts).toEqual({ ...noFlaws, doubled: 1 });
});

test("what comes after a later one is out of order, and not lost", () => {
  expect(sent(11, 10, 12).counts).toEqual({ ...noFlaws, reordered: 1 });
});

test("a hole that the server told of is no loss", () => {
  const check = sent(10);
  check.gap({ epoch, seq: 14 });
  check.take(epoch, 15);
  expect(check.counts).toEqual({ ...noFlaws, skipped: 4 });
});

test("a gap without an end begins anew", () => {
  const check = sent(10);
  check.gap(undefined);
  check.take(epoch + 5, 7);
  check.take(epoch + 5, 8);
  expect(check.counts).toEqual(noFlaws);
});

test("a new epoch begins at 0", () => {
  const check = sent(10);
  check.take(epoch + 1, 0);
  expect(check.counts).toEqual(noFlaws);
  check.take(epoch + 2, 2);
  expect(check.counts).toEqual({ ...noFlaws, lost: 2 });
  check.take(epoch, 11);
  expect(check.counts).toEqual({ ...noFlaws, lost: 2, reordered: 1 });
});

test("an empty room owes everything from its first message on", () => {
  const check = new SequenceCheck();
  check.begin(undefined);
  check.take(epoch, 1);
  expect(check.counts).toEqual({ ...noFlaws, lost: 1 });
});

test("more holes than are remembered are lost all the same", () => {
  const check = sent(10, 30_000);
  expect(check.counts.lost).toBe(29_989);
});

test("as many losses, doubles and broken orders are found as were planted", () => {
  const plan = fc.array(fc.constantFrom("fine", "lost", "doubled", "late"), { minLength: 1, maxLength: 60 });
  fc.assert(
    fc.property(plan, (fates) => {
      const seqs: number[] = [];
      fates.forEach((fate, index) => {
        const seq = 10 + 2 * index;
        seqs.push(
          ...{ fine: [seq, seq + 1], lost: [seq + 1], doubled: [seq, seq, seq + 1], late: [seq + 1, seq] }[fate],
        );
      });
      const count = (wanted: string) => fates.filter((fate) => fate === wanted).length;
      const check = sent(...seqs);
      check.end({ epoch, seq: 10 + 2 * fates.length - 1 });
      expect(check.counts).toEqual({
        lost: count("lost"),
        doubled: count("doubled"),
        reordered: count("late"),
        skipped: 0,
      });
    }),
  );
});
