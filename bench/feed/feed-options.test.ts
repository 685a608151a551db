import { describe, expect, test } from "bun:test";
import { UsageError } from "../option-values.ts";
import { parseFeedOptions, usage } from "./feed-options.ts";

describe("parseFeedOptions", () => {
  test("no arguments play the sample into the lobby", () => {
    const options = parseFeedOptions([]);
    expect(options).toEqual({
      url: "http://127.0.0.1:8080",
      room: "lobby",
      file: expect.stringMatching(/bench\/feed\/sample-chat\.txt$/),
      rate: 5,
      users: 50,
      count: Number.POSITIVE_INFINITY,
      durationMs: Number.POSITIVE_INFINITY,
      loop: false,
      seed: 1,
      protocol: "connect",
      inFlight: 64,
    });
  });

  test("every option is taken", () => {
    const line =
      "--url https://chat.example/ --room final_1 --file x.csv --rate 0.5 --users 7 --count 9 --duration 1.5m --loop --seed 3 --protocol grpc --in-flight 2";
    expect(parseFeedOptions(line.split(" "))).toEqual({
      url: "https://chat.example",
      room: "final_1",
      file: "x.csv",
      rate: 0.5,
      users: 7,
      count: 9,
      durationMs: 90_000,
      loop: true,
      seed: 3,
      protocol: "grpc",
      inFlight: 2,
    });
  });

  test.each([
    [["--duration", "90"], 90_000],
    [["--duration", "90s"], 90_000],
    [["--duration", "1h"], 3_600_000],
  ])("%p is a time", (args, durationMs) => {
    expect(parseFeedOptions(args)).toMatchObject({ durationMs });
  });

  test.each([
    [["--rate", "fast"], "--rate is fast"],
    [["--rate", "0"], "from 0.01 to 100000"],
    [["--rate", "1e9"], "--rate"],
    [["--users", "1.5"], "a whole number"],
    [["--count", "-1"], "--count"],
    [["--duration", "soon"], "90s, 5m or 1h"],
    [["--duration", "0"], "--duration is 0"],
    [["--protocol", "http"], "connect, grpc or grpc-web"],
    [["--url", "127.0.0.1:8080"], "http:// or https://"],
    [["--room", "Lobby!"], "--room is Lobby!"],
    [["--speed", "5"], "--speed"],
    [["lobby"], "lobby"],
  ])("%p is refused and says why", (args, message) => {
    expect(() => parseFeedOptions(args)).toThrow(UsageError);
    expect(() => parseFeedOptions(args)).toThrow(message);
  });

  test("help tells of every option", () => {
    expect(parseFeedOptions(["--help"])).toBe("help");
    for (const name of "url room file rate users count duration loop seed protocol in-flight".split(" ")) {
      expect(usage).toContain(`--${name} `);
    }
  });
});
