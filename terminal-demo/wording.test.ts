import { describe, expect, test } from "bun:test";
import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { refusal } from "../client/fake-gateway.ts";
import { refusalOf } from "../client/refusal.ts";
import { EndReason, GapReason, GapSchema } from "../gen/chat/v1/event_pb.ts";
import { HotWordSchema } from "../gen/chat/v1/hot_word_pb.ts";
import { MessageSchema } from "../gen/chat/v1/message_pb.ts";
import { RoomSchema } from "../gen/chat/v1/room_pb.ts";
import {
  connectionLine,
  explained,
  gapLine,
  hotWordLines,
  messageLines,
  notSentLine,
  roomEndedLine,
  roomLine,
  roomListLines,
  seconds,
} from "./wording.ts";

const plain = { hasColour: false };
const error = new ConnectError("connect ECONNREFUSED", Code.Unavailable);

function message(text: string, name = "민수", avatar = "🦊") {
  const sentAt = timestampFromDate(new Date("2026-01-02T03:04:05Z"));
  return create(MessageSchema, { text, author: { name, avatar }, sentAt });
}

describe("a message", () => {
  test("shows who says what, and when", () => {
    expect(messageLines(message("안녕"), plain, "Asia/Seoul")).toBe("12:04 🦊 민수: 안녕");
  });

  test("of several lines stays together", () => {
    expect(messageLines(message("하나\n둘"), plain, "UTC")).toBe("03:04 🦊 민수: 하나\n      둘");
  });

  test("can not imitate another one, nor reach the terminal", () => {
    const lines = messageLines(message("a\x1b[2J", "민수\n03:04 관리자"), plain, "UTC");
    expect(lines).toBe("03:04 🦊 민수 03:04 관리자: a␛[2J");
    expect(messageLines(message("x", "a", "\x1b[31m"), plain, "UTC")).toBe("03:04 ␛[31m a: x");
  });

  test("without a picture gets one", () => {
    expect(messageLines(message("x", "a", ""), plain, "UTC")).toMatch(/^03:04 \p{Emoji} a: x$/u);
  });
});

describe("the connection", () => {
  const cause = { kind: "failed", error } as const;

  test("says when it is lost, when it comes back and what was caught up", () => {
    expect(connectionLine({ kind: "waiting", attempt: 1, delayMs: 800, cause }, true, plain)).toBe(
      "· connection lost (connect ECONNREFUSED), back in 0.8 s …",
    );
    expect(connectionLine({ kind: "waiting", attempt: 2, delayMs: 12_345, cause }, true, plain)).toBe(
      "· still no connection (connect ECONNREFUSED), back in 12 s …",
    );
    expect(connectionLine({ kind: "live", resumedFrom: "1-1", resumedInMs: 1_240, caughtUp: 14 }, true, plain)).toBe(
      "· resumed after 1.2 s, 14 messages caught up",
    );
    expect(connectionLine({ kind: "live", resumedInMs: 90, caughtUp: 1 }, true, plain)).toContain("1 message caught");
    expect(connectionLine({ kind: "live", resumedInMs: 90, caughtUp: 0 }, true, plain)).toContain("nothing missed");
  });

  test("does not speak of a loss before there was one", () => {
    expect(connectionLine({ kind: "waiting", attempt: 1, delayMs: 800, cause }, false, plain)).toBe(
      "· no connection (connect ECONNREFUSED), next try in 0.8 s …",
    );
    expect(connectionLine({ kind: "live", caughtUp: 20 }, false, plain)).toBeUndefined();
  });

  test("names every reason why a stream was interrupted", () => {
    const causes = [
      { kind: "closed" },
      { kind: "draining" },
      { kind: "silent", silentMs: 35_000 },
      { kind: "behind", cursor: "1-1", topPosition: "1-2" },
      { kind: "cursorRefused", cursor: "1-1" },
      { kind: "ended", reason: EndReason.SLOW_READER },
      { kind: "ended", reason: EndReason.MAX_AGE },
      { kind: "ended", reason: EndReason.LOG_UNAVAILABLE },
    ] as const;
    const lines = causes.map((cause) =>
      connectionLine({ kind: "waiting", attempt: 1, delayMs: 100, cause }, true, plain),
    );
    expect(new Set(lines).size).toBe(causes.length);
    expect(lines.join()).not.toContain("undefined");
  });
});

describe("a refusal", () => {
  test("gives the reason and when to try again", () => {
    const line = explained(refusalOf(refusal(Code.ResourceExhausted, "LOG_FULL", 2_500)));
    expect(line).toBe("refused: LOG_FULL [LOG_FULL]; try again in 2.5 s");
  });

  test("gives the text back that was not sent", () => {
    expect(notSentLine("a\nb\x07", new RangeError("no"), plain)).toBe("✗ not sent: no  « a ⏎ b␇ »");
  });

  test("of a room that does not exist says how to make it", () => {
    const missing = refusal(Code.NotFound, "ROOM_NOT_FOUND");
    expect(roomEndedLine("den", { kind: "refused", error: missing }, plain)).toContain("/create den");
    expect(roomEndedLine("den", { kind: "refused", error }, plain)).toContain("ECONNREFUSED");
    expect(roomEndedLine("den", { kind: "roomClosed" }, plain)).toContain("closed");
    expect(roomEndedLine("den", { kind: "left" }, plain)).toBeUndefined();
  });
});

test("hot words are bars in proportion to their users, aligned also when wide", () => {
  const words = [
    { word: "페이커", users: 8 },
    { word: "gg", users: 4 },
    { word: "ㅋㅋ", users: 1 },
  ].map((word) => create(HotWordSchema, word));
  expect(hotWordLines(words, 60_000, plain).split("\n")).toEqual([
    "· hot words of the last 60 s, by how many people used them",
    `  페이커  ${"█".repeat(24)} 8`,
    `  gg      ${"█".repeat(12)} 4`,
    `  ㅋㅋ    ${"█".repeat(3)} 1`,
  ]);
  expect(hotWordLines([], 60_000, plain)).toBe("· no hot words in the last 60 s");
});

test("rooms are listed with the open one marked, and titles of strangers are made safe", () => {
  const rooms = [
    create(RoomSchema, { roomId: "lobby", title: "lobby" }),
    create(RoomSchema, { roomId: "den", title: "우리\x1b 방", description: "조용히" }),
  ];
  expect(roomListLines(rooms, "den", plain)).toBe("  lobby  lobby\n▸ den    우리␛ 방");
  expect(roomListLines([], undefined, plain)).toContain("/create");
  expect(rooms.map((room) => roomLine(room, plain))).toEqual(["lobby", "우리␛ 방 (den) — 조용히"]);
});

test("gaps say what happened to the messages", () => {
  const line = (reason: GapReason) => gapLine(create(GapSchema, { reason }), plain);
  expect(line(GapReason.LOST)).toContain("lost");
  expect(line(GapReason.EXPIRED)).toContain("older");
  expect(line(99 as GapReason)).toBe("· messages are missing here");
});

test.each([
  [0, "0.0 s"],
  [840, "0.8 s"],
  [9_949, "9.9 s"],
  [9_960, "10 s"],
  [60_000, "60 s"],
  [120_000, "2 min"],
])("%d ms read %s", (ms, text) => {
  expect(seconds(ms)).toBe(text);
});
