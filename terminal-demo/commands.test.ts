import { expect, test } from "bun:test";
import { type Command, commandHelp, parseCommand } from "./commands.ts";

test.each<[string, Command]>([
  ["", { kind: "nothing" }],
  ["  \t", { kind: "nothing" }],
  ["안녕", { kind: "say", text: "안녕" }],
  ["  indented", { kind: "say", text: "  indented" }],
  ["//hot is a command", { kind: "say", text: "/hot is a command" }],
  ["/hot", { kind: "hot" }],
  ["/hot ", { kind: "hot" }],
  ["/quit", { kind: "quit" }],
  ["/join den", { kind: "join", roomId: "den" }],
  ["/create den", { kind: "create", roomId: "den", title: "den" }],
  ["/create den 우리 방", { kind: "create", roomId: "den", title: "우리 방" }],
])("%p is understood", (line, command) => {
  expect(parseCommand(line)).toEqual(command);
});

test.each([["/join"], ["/join Den"], ["/join ../x"], ["/create"], ["/hott"], ["/"]])("%p is explained", (line) => {
  expect(parseCommand(line)).toMatchObject({ kind: "unclear" });
});

test("every command that the help names is understood", () => {
  for (const [usage] of commandHelp) {
    const line = usage.replace("ROOM", "den").replace("[TITLE]", "Den").replace("TEXT", "text");
    expect(parseCommand(line).kind).not.toBe("unclear");
  }
});
