/** What all dead letters must do, as tests. A file of tests calls `deadLettersContract` with a way to open empty ones. */
import { describe, expect, test } from "bun:test";
import { formatPosition } from "../position.ts";
import type { DeadLetter, DeadLetters } from "./dead-letters.ts";

export interface DeadLettersFixture {
  /** Empty. */
  deadLetters: DeadLetters;
  cleanup(): Promise<void>;
}

/** Registers the suite. `open` is called for each test, with the clock to use, Unix ms. */
export function deadLettersContract(name: string, open: (now: () => number) => Promise<DeadLettersFixture>): void {
  let nowMs = 0;
  const within = async (work: (deadLetters: DeadLetters) => Promise<void>) => {
    nowMs = 1_700_000_000_000;
    const { deadLetters, cleanup } = await open(() => nowMs);
    try {
      await work(deadLetters);
    } finally {
      await cleanup();
    }
  };

  describe(`dead letters: ${name}`, () => {
    test("an entry is kept as it was: bytes, position and time unchanged, with its tries and why", () =>
      within(async (deadLetters) => {
        // Bytes that are no text, among them those that formats like to use for themselves.
        const everyByte = Uint8Array.from({ length: 256 }, (_, index) => index);
        const entries = [
          { ...letter("a", 1).entry, event: everyByte },
          { ...letter("a", 2).entry, event: new Uint8Array() },
          { ...letter("방", 3).entry, position: { epoch: 999_999_999_999_999, seq: 999_999_999_999_999 } },
        ];
        for (const [index, entry] of entries.entries()) {
          nowMs += 1;
          await deadLetters.add({ id: "x", entry, attempts: index + 1 }, new RangeError("못 쓰는 값\nin two lines"));
        }
        expect((await deadLetters.list(10)).map(plain)).toEqual(
          entries.map((entry, index) =>
            plain({ entry, attempts: index + 1, error: "RangeError: 못 쓰는 값\nin two lines" }),
          ),
        );
      }));

    test("adding an entry again changes nothing", () =>
      within(async (deadLetters) => {
        const { entry } = letter("a", 1);
        await deadLetters.add({ id: "x", entry, attempts: 5 }, new Error("first"));
        nowMs += 1;
        await deadLetters.add(letter("a", 2), new Error("other"));
        nowMs += 1;
        await deadLetters.add({ id: "y", entry: { ...entry, event: new Uint8Array([9]) }, attempts: 6 }, "second");
        expect((await deadLetters.list(10)).map(plain)).toEqual([
          plain({ entry, attempts: 5, error: "Error: first" }),
          plain({ entry: letter("a", 2).entry, attempts: 1, error: "Error: other" }),
        ]);
      }));

    test("those that came first are listed first, and no more than asked for", () =>
      within(async (deadLetters) => {
        expect(await deadLetters.list(10)).toEqual([]);
        for (const [roomId, seq] of [
          ["b", 10],
          ["a", 9],
          ["c", 100],
          ["a", 8],
        ] as const) {
          nowMs += 1;
          await deadLetters.add(letter(roomId, seq), "no");
        }
        expect(names(await deadLetters.list(10))).toEqual(["b 1-10", "a 1-9", "c 1-100", "a 1-8"]);
        expect(names(await deadLetters.list(2))).toEqual(["b 1-10", "a 1-9"]);
      }));

    test("one that is removed is gone, the others stay, and removing what is not there is no error", () =>
      within(async (deadLetters) => {
        for (const seq of [1, 2, 11]) {
          nowMs += 1;
          await deadLetters.add(letter("a", seq), "no");
        }
        await deadLetters.remove(letter("a", 1).entry);
        await deadLetters.remove(letter("a", 1).entry);
        await deadLetters.remove(letter("b", 2).entry);
        expect(names(await deadLetters.list(10))).toEqual(["a 1-2", "a 1-11"]);
        // What comes back comes last.
        nowMs += 1;
        await deadLetters.add(letter("a", 1), "again");
        expect(names(await deadLetters.list(10))).toEqual(["a 1-2", "a 1-11", "a 1-1"]);
      }));

    test("of an error too long to keep the beginning is kept, and the bytes of the entry are not touched", () =>
      within(async (deadLetters) => {
        const why = "가".repeat(50_000);
        await deadLetters.add(letter("a", 1), why);
        const [kept] = await deadLetters.list(1);
        expect(kept?.error).toStartWith("가".repeat(400));
        expect(why).toStartWith(kept?.error ?? "?");
        expect(kept && plain(kept).event).toEqual(plain({ ...letter("a", 1), error: "" }).event);
      }));
  });
}

function letter(roomId: string, seq: number) {
  const event = new TextEncoder().encode(`${roomId} ${seq}`);
  return { id: "x", entry: { roomId, position: { epoch: 1, seq }, acceptedMs: 1_699_999_999_999, event }, attempts: 1 };
}

function names(letters: readonly DeadLetter[]): string[] {
  return letters.map(({ entry }) => `${entry.roomId} ${formatPosition(entry.position)}`);
}

/** Buffers and arrays of bytes are compared by what is in them. */
function plain({ entry, attempts, error }: DeadLetter) {
  return { ...entry, event: [...entry.event], attempts, error };
}
