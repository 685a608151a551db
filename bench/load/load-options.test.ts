import { describe, expect, test } from "bun:test";
import { UsageError } from "../option-values.ts";
import { parseLoadOptions, usage } from "./load-options.ts";

describe("parseLoadOptions", () => {
  test("the line of the manual is taken", () => {
    const line =
      "--url https://chat.example/ --subscribers 5000 --senders 50 --rate 200 --protocol grpc-web --duration 30s --slow 50@1KB/s --slow 5@2MB/s --storm 10s --max-p99 200ms --max-lost 3 --pid 7 --report out.html --json out.json";
    expect(parseLoadOptions(line.split(" "))).toMatchObject({
      url: "https://chat.example",
      subscribers: 5_000,
      senders: 50,
      rate: 200,
      protocol: "grpc-web",
      durationMs: 30_000,
      slow: [
        { readers: 50, bytesPerSecond: 1_000 },
        { readers: 5, bytesPerSecond: 2_000_000 },
      ],
      stormMs: 10_000,
      pid: 7,
      report: "out.html",
      json: "out.json",
      limits: { p99Ms: 200, p999Ms: undefined, lost: 3, errors: 0 },
    });
  });

  test("as fast as answers come is a closed loop without a rate", () => {
    expect(parseLoadOptions(["--rate", "max", "--loop", "closed"])).toMatchObject({ rate: undefined, loop: "closed" });
  });

  test.each([
    [["--rate", "max"], "--loop closed"],
    [["--slow", "5@fast"], "50@1KB/s"],
    [["--slow", "0@1KB/s"], "50@1KB/s"],
    [["--subscribers", "5", "--slow", "6@1KB/s"], "6 readers slow"],
    [["--protocol", "http"], "connect, grpc-web or grpc"],
    [["--loop", "round"], "open or closed"],
    [["--max-p99", "quick"], "--max-p99 is quick"],
    [["--message-bytes", "501"], "--message-bytes"],
    [["--room-prefix", "A"], "--room-prefix is A"],
    [["--frobnicate"], "--frobnicate"],
  ])("%p is refused and says why", (args, message) => {
    expect(() => parseLoadOptions(args)).toThrow(UsageError);
    expect(() => parseLoadOptions(args)).toThrow(message);
  });

  test("help tells of every option", () => {
    expect(parseLoadOptions(["--help"])).toBe("help");
    const names =
      "url protocol subscribers slow streams-per-connection senders rate loop in-flight message-bytes rooms room-prefix room ramp warm-up duration drain storm processes pid json report max-p99 max-p999 max-send-p99 max-lost max-errors";
    for (const name of names.split(" ")) {
      expect(usage).toContain(`--${name} `);
    }
  });
});
