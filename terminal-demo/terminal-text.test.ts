import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  avatarFor,
  columnsOf,
  inAuthorColour,
  padded,
  rowsOf,
  safeLine,
  safeLines,
  styleFor,
} from "./terminal-text.ts";

describe("other people's text", () => {
  test.each([
    ["a colour", "\x1b[31mred\x1b[0m", "␛[31mred␛[0m"],
    ["a window title", "\x1b]0;title\x07", "␛]0;title␇"],
    ["the cursor", "\x1b[2J\x1b[H", "␛[2J␛[H"],
    ["an 8-bit CSI", "\u009b31m", "\ufffd31m"],
    ["a carriage return", "ten\rsix", "ten six"],
    ["backspaces", "abc\b\b", "abc␈␈"],
    ["DEL", "a\x7f", "a␡"],
    ["a line break, of whatever kind", "a\nb\r\nc\u2028d\u0085e", "a b c d e"],
    ["an override", "\u202egnp.exe", "\ufffdgnp.exe"],
    ["an isolate", "\u2066a\u2069", "\ufffda\ufffd"],
    ["tag characters", "a\u{e0041}", "a\ufffd"],
  ])("is shown without obeying %s", (_, text, shown) => {
    expect(safeLine(text)).toBe(shown);
  });

  test("keeps what people really write", () => {
    for (const text of ["안녕하세요 ㅋㅋㅋ", "👩‍👩‍👧‍👦 🏳️‍🌈 👍🏽", "naïve é ä", "नमस्ते", "שלום", "한글"]) {
      expect(safeLine(text)).toBe(text);
    }
  });

  test("never holds a control or bidi character, whatever came in", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 40 }), (text) => {
        for (const line of safeLines(text)) {
          expect(line).not.toMatch(/[\p{Cc}\p{Bidi_Control}\p{Zl}\p{Zp}]/u);
        }
      }),
      { numRuns: 2_000 },
    );
  });

  test("does not grow over other lines by piled-up marks", () => {
    expect(safeLine(`a${"\u0301".repeat(50)}b`)).toBe(`a${"\u0301".repeat(4)}b`);
  });
});

test("wide characters take two columns, and begin a new row where only one is left", () => {
  expect(columnsOf("한글🎉a")).toBe(7);
  expect(padded("한글", 6)).toBe("한글  ");
  expect(padded("한글", 2)).toBe("한글");
  expect(rowsOf("", 10)).toBe(1);
  expect(rowsOf("가나다라마", 10)).toBe(1);
  expect(rowsOf("a가나다라마", 10)).toBe(2);
  expect(rowsOf(`${"a".repeat(9)}가`, 10)).toBe(2);
  expect(rowsOf(`${"a".repeat(9)}가${"a".repeat(8)}`, 10)).toBe(2);
});

test("a person has one colour and one avatar; without colour there are no sequences at all", () => {
  const style = { hasColour: true };
  expect(inAuthorColour("민수", "u1", style)).toBe(inAuthorColour("민수", "u1", style));
  const colours = new Set(Array.from({ length: 50 }, (_, i) => inAuthorColour("x", `u${i}`, style)));
  expect(colours.size).toBeGreaterThan(5);
  expect(avatarFor("민수")).toBe(avatarFor("민수"));
  expect(inAuthorColour("민수", "u1", { hasColour: false })).toBe("민수");
});

test("colour is for terminals, unless NO_COLOR says otherwise", () => {
  expect(styleFor(true, { TERM: "xterm" })).toEqual({ hasColour: true });
  expect(styleFor(true, { NO_COLOR: "1" })).toEqual({ hasColour: false });
  expect(styleFor(true, { NO_COLOR: "" })).toEqual({ hasColour: true });
  expect(styleFor(true, { TERM: "dumb" })).toEqual({ hasColour: false });
  expect(styleFor(false, {})).toEqual({ hasColour: false });
});
