/** The dead letters as a person meets them: the two commands on stores that fail as told, then as a process on real data. */
import { describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { RoomStateSchema } from "../gen/chat/v1/event_pb.ts";
import { MessageSchema } from "../gen/chat/v1/message_pb.ts";
import { RoomSchema, RoomStatus } from "../gen/chat/v1/room_pb.ts";
import type { DeadLetter } from "../storage/dead-letters/dead-letters.ts";
import { openEmbeddedStorage } from "../storage/embedded.ts";
import { HistoryUnavailableError } from "../storage/history/history-store.ts";
import { encodeMessage, encodeRoomState } from "../storage/log/log-event.ts";
import type { LogEntry } from "../storage/log/room-log.ts";
import { formatPosition } from "../storage/position.ts";
import { runCommand } from "../test/harness/command.ts";
import { listDeadLetters, redriveDeadLetters } from "./dead-letters.ts";

const noEvent = Uint8Array.from({ length: 40 }, () => 255);

function letter(seq: number, event: Uint8Array, attempts = 5): DeadLetter {
  return {
    entry: { roomId: "lobby", position: { epoch: 7, seq }, acceptedMs: 1, event },
    attempts,
    error: "Error: no",
  };
}

function message(text: string): Uint8Array {
  return encodeMessage(create(MessageSchema, { author: { name: "민수" }, text }));
}

/** Stores in memory; the history throws what `refuse` answers. */
function openStorage(letters: DeadLetter[], refuse: (entry: LogEntry) => Error | undefined = () => undefined) {
  const left = [...letters];
  const written: LogEntry[] = [];
  const lines: string[] = [];
  const storage = {
    deadLetters: {
      list: async (lettersMax: number) => left.slice(0, lettersMax),
      remove: async ({ position }: Pick<LogEntry, "position">) => {
        const index = left.findIndex(({ entry }) => formatPosition(entry.position) === formatPosition(position));
        left.splice(index, 1);
      },
    },
    history: {
      write: async (entries: readonly LogEntry[]) => {
        for (const entry of entries) {
          const error = refuse(entry);
          if (error) {
            throw error;
          }
          written.push(entry);
        }
      },
    },
  };
  const seqsLeft = () => left.map(({ entry }) => entry.position.seq);
  return { storage, seqsLeft, written, lines, say: (line: string) => lines.push(line) };
}

describe("list", () => {
  test("shows where each was, how often it was tried, why it failed and what it says", async () => {
    const room = create(RoomSchema, { roomId: "lobby", title: "t", status: RoomStatus.OPEN });
    const letters = [
      letter(1, message("안녕"), 1),
      letter(2, encodeRoomState(create(RoomStateSchema, { room }))),
      letter(3, noEvent),
    ];
    const { storage, lines, say, seqsLeft } = openStorage(letters);
    await listDeadLetters(storage, 10, say);
    expect(lines).toEqual([
      '"lobby" 7-1  1 try',
      '  error  "Error: no"',
      '  event  message of "민수": "안녕"',
      '"lobby" 7-2  5 tries',
      '  error  "Error: no"',
      "  event  roomState",
      '"lobby" 7-3  5 tries',
      '  error  "Error: no"',
      `  event  no event: 40 bytes, ${"ff".repeat(32)}…`,
      "3 dead letters",
    ]);
    expect(seqsLeft()).toEqual([1, 2, 3]);
  });

  test("says where there may be more than it shows", async () => {
    const { storage, lines, say } = openStorage([letter(1, noEvent), letter(2, noEvent)]);
    await listDeadLetters(storage, 1, say);
    expect(lines.at(-1)).toBe("1 dead letter, maybe more (--letters-max)");
  });

  test("prints no character that steers a terminal, whoever wrote it", async () => {
    const evil = "\u001b[2J\u009b31m\u202e\u2066\u0007\r\n\u2028end\u007f";
    const { storage, lines, say } = openStorage([{ ...letter(1, message(evil)), error: `Error: ${evil}` }]);
    await listDeadLetters(storage, 10, say);
    expect(lines.filter((line) => /[\p{C}\p{Zl}\p{Zp}]/u.test(line))).toEqual([]);
    expect(lines.filter((line) => line.includes("end"))).toHaveLength(2);
  });
});

describe("redrive", () => {
  test("writes what can be written with its bytes, forgets it, and says what still fails", async () => {
    const letters = [
      letter(1, message("안녕")),
      letter(2, noEvent),
      letter(3, message("refused")),
      letter(4, message("끝")),
    ];
    const refuse = (entry: LogEntry) => (entry.position.seq === 3 ? new RangeError("too large") : undefined);
    const { storage, seqsLeft, written, lines, say } = openStorage(letters, refuse);
    expect(await redriveDeadLetters(storage, 10, say)).toBe(2);
    expect(seqsLeft()).toEqual([2, 3]);
    expect(written).toEqual([letters[0]?.entry, letters[3]?.entry] as LogEntry[]);
    expect(lines).toEqual([
      '"lobby" 7-1  stored',
      expect.stringMatching(/^"lobby" 7-2 {2}still fails: "/),
      '"lobby" 7-3  still fails: "RangeError: too large"',
      '"lobby" 7-4  stored',
      "4 dead letters: 2 stored, 2 still failing",
    ]);
  });

  test("stops where the history is out of reach, and has forgotten nothing that it did not store", async () => {
    const letters = [letter(1, message("1")), letter(2, message("2")), letter(3, message("3"))];
    const away = new HistoryUnavailableError("away", 1_000);
    const refuse = (entry: LogEntry) => (entry.position.seq === 2 ? away : undefined);
    const { storage, seqsLeft, say } = openStorage(letters, refuse);
    const refused = await redriveDeadLetters(storage, 10, say).catch((error) => error);
    expect(refused).toBe(away);
    expect(seqsLeft()).toEqual([2, 3]);
  });
});

describe("bun run dead-letters", () => {
  const program = join(import.meta.dir, "dead-letters.ts");
  const run = (...args: string[]) => runCommand([process.execPath, program, ...args]);

  test("lists and redrives what an embedded gateway left, and what was stored is in the history", async () => {
    const directory = mkdtempSync(join(tmpdir(), "streaming-chat-dead-letters-"));
    try {
      const before = openEmbeddedStorage({ directory });
      for (const { entry, attempts } of [letter(1, message("안녕")), letter(2, noEvent)]) {
        await before.deadLetters.add({ id: "x", entry, attempts }, new Error("no"));
      }
      const inUse = await run("list", "--data-directory", directory);
      expect(inUse).toMatchObject({ code: 1, stdout: "", stderr: expect.stringContaining(directory) });
      await before.close();

      const listed = await run("list", "--data-directory", directory);
      expect(listed.stdout).toContain('message of "민수": "안녕"');
      expect(listed).toMatchObject({ code: 0, stdout: expect.stringContaining("2 dead letters\n"), stderr: "" });
      const redriven = await run("redrive", "--data-directory", directory);
      expect(redriven).toMatchObject({ code: 1, stdout: expect.stringContaining("1 stored, 1 still failing\n") });

      const after = openEmbeddedStorage({ directory });
      expect((await after.deadLetters.list(10)).map(({ entry }) => entry.position.seq)).toEqual([2]);
      const [stored] = await after.history.page("lobby", { entriesMax: 10, from: "oldest" });
      expect([...(stored?.event ?? [])]).toEqual([...message("안녕")]);
      await after.close();
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  }, 60_000);

  test("says what it can do, and refuses what it cannot", async () => {
    const help = await run("--help");
    expect(help).toMatchObject({ code: 0, stdout: expect.stringContaining("--letters-max"), stderr: "" });
    expect(await run("list", "--help")).toEqual(help);
    expect(await run("burn")).toMatchObject({
      code: 2,
      stdout: "",
      stderr: expect.stringContaining('no command "burn"'),
    });
    const bad = await run("list", "--letters-max", "0");
    expect(bad).toMatchObject({ code: 2, stdout: "", stderr: expect.stringContaining("--letters-max") });
  }, 60_000);
});
