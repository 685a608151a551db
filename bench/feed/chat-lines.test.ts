import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { parseChatLines } from "./chat-lines.ts";

describe("parseChatLines", () => {
  test("a plain file is its lines, trimmed", () => {
    expect(parseChatLines('안녕 ㅋㅋ\r\n  hello, "you" \n마지막')).toEqual({
      format: "plain",
      lines: ["안녕 ㅋㅋ", 'hello, "you"', "마지막"],
      skippedBlank: 0,
      skippedLong: 0,
      skippedLabels: 0,
    });
  });

  test("blank lines and lines over 500 code points are skipped and counted", () => {
    const longest = "🔥".repeat(500);
    const { lines, skippedBlank, skippedLong } = parseChatLines(`a\n\n \t\n${longest}\n${longest}x\nb\n`);
    expect(lines).toEqual(["a", longest, "b"]);
    expect(skippedBlank).toBe(2);
    expect(skippedLong).toBe(1);
  });

  test("a table gives question and answer of each row, without the header and the labels", () => {
    const { format, lines } = parseChatLines(
      "\ufeffQ,A,label\n12시 땡!,하루가 또 가네요.,0\n위로해 줘,위로해 드립니다.,0\n",
    );
    expect(format).toBe("csv");
    expect(lines).toEqual(["12시 땡!", "하루가 또 가네요.", "위로해 줘", "위로해 드립니다."]);
  });

  test.each<[about: string, row: string, expected: string[]]>([
    ["commas in quotes", '"하나, 둘",셋,1', ["하나, 둘", "셋"]],
    ["doubled quotes", '"그가 ""응"" 했다",A,1', ['그가 "응" 했다', "A"]],
    ["a line break in quotes becomes a space", '"위\n아래",A,1', ["위 아래", "A"]],
    ["a quote inside a bare field", '3" 화면,A,1', ['3" 화면', "A"]],
    ["a row that ends early", "Q only", ["Q only"]],
    ["a row with an empty answer", "Q,,1", ["Q"]],
    ["a comma at the very end", "Q,A,", ["Q", "A"]],
    ["a quote that never ends", 'Q,"A, no end', ["Q", "A, no end"]],
    ["text behind a closing quote", '"Q" x,A,1', ["Q x", "A"]],
    ["blank lines between rows", "Q,A,1\n\nQ2,A2,0", ["Q", "A", "Q2", "A2"]],
  ])("a table may hold %s", (_about, row, expected) => {
    expect(parseChatLines(`Q,A,label\n${row}`).lines).toEqual(expected);
  });

  test("a table with one field a line gives its fields, joins quoted ones and leaves labels out", () => {
    const content = [
      ..."Q\nA\nlabel\n12시 땡!\n하루가 또 가네요.\n0".split("\n"),
      '"섬유유연제나 바디워시',
      " 바디로션",
      ' 향수 등을 사용해보세요."',
      "가족 있어?",
      '"한 줄"',
      "2",
    ].join("\n");
    expect(parseChatLines(content)).toEqual({
      format: "fields",
      lines: [
        "12시 땡!",
        "하루가 또 가네요.",
        "섬유유연제나 바디워시, 바디로션, 향수 등을 사용해보세요.",
        "가족 있어?",
        "한 줄",
      ],
      skippedBlank: 0,
      skippedLong: 0,
      skippedLabels: 2,
    });
  });

  test("a quote that does not end within ten lines is text", () => {
    const rest = Array.from({ length: 20 }, (_, at) => `line ${at}`);
    const { lines } = parseChatLines(["Q", "A", "label", '"열렸다', ...rest].join("\n"));
    expect(lines).toEqual(['"열렸다', ...rest]);
  });

  test("an empty file has no lines", () => {
    expect(parseChatLines("").lines).toEqual([]);
    expect(parseChatLines("Q,A,label").lines).toEqual([]);
    expect(parseChatLines("Q\nA\nlabel\n").lines).toEqual([]);
  });

  test("the sample that comes with it is fit to be sent, in Korean and English", async () => {
    const sample = parseChatLines(await Bun.file(join(import.meta.dir, "sample-chat.txt")).text());
    expect(sample.format).toBe("plain");
    expect(sample.skippedBlank + sample.skippedLong).toBe(0);
    expect(sample.lines.length).toBeGreaterThan(240);
    expect(sample.lines.filter((line) => /[가-힣]/.test(line)).length).toBeGreaterThan(100);
    expect(sample.lines.filter((line) => /^[\p{Script=Latin}\p{P}\p{Emoji} ]+$/u.test(line)).length).toBeGreaterThan(
      30,
    );
  });
});
