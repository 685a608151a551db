import { describe, expect, test } from "bun:test";
import { FakeClock } from "../client/fake-clock.ts";
import { ProgressLine } from "./progress-line.ts";

function show(terminal: { isTTY?: boolean; columns?: number }, ms: number): string {
  const clock = new FakeClock();
  let written = "";
  let shown = 0;
  const output = { ...terminal, write: (text: string) => (written += text) };
  const progress = new ProgressLine(output, clock, () => `line ${++shown}`);
  progress.start();
  clock.advance(ms);
  progress.end();
  clock.advance(60_000);
  return written;
}

describe("ProgressLine", () => {
  test("a terminal has one line that is rewritten, cut to its width, and cleared at the end", () => {
    expect(show({ isTTY: true, columns: 80 }, 400)).toBe("\r\x1b[2Kline 1\r\x1b[2Kline 2\r\x1b[2K");
    expect(show({ isTTY: true, columns: 5 }, 200)).toBe("\r\x1b[2Kline\r\x1b[2K");
  });

  test("a file gets a line every five seconds and no control characters", () => {
    expect(show({}, 10_000)).toBe("line 1\nline 2\n");
  });
});
