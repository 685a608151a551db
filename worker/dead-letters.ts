/**
 * `bun run dead-letters list` and `redrive`: for a person who looks after what could not be stored.
 *
 * It stands beside the persistence worker, on the same storage, and owns nothing but its run. `redrive` writes each entry
 * where the worker could not, and only then removes it from the dead; run it when what was wrong has been mended. With
 * embedded storage the gateway has to be stopped meanwhile, because one process has the data at a time.
 */
import pino from "pino";
import type { Event } from "../gen/chat/v1/event_pb.ts";
import { oneOf, SettingsTable, wholeNumber } from "../lib/settings.ts";
import type { DeadLetter, DeadLetters } from "../storage/dead-letters/dead-letters.ts";
import { type HistoryStore, HistoryUnavailableError } from "../storage/history/history-store.ts";
import { decodeEntry } from "../storage/log/log-event.ts";
import { formatPosition } from "../storage/position.ts";
import { checkStorageSettings, storageSettings } from "../storage/settings.ts";
import { openStorage } from "../storage/storage.ts";

export const deadLettersSettings = new SettingsTable(
  `streaming-chat dead letters: entries that could not be stored

  bun run dead-letters list      prints them, those that came first at the top
  bun run dead-letters redrive   writes them into the history, and forgets those that it took`,
  {
    lettersMax: { ...wholeNumber(1, 10_000), default: "1000", about: "How many of them, from the first." },
    ...storageSettings,
    logLevel: {
      ...oneOf("trace", "debug", "info", "warn", "error", "fatal", "silent"),
      default: "warn",
      about: "The least that is logged.",
    },
  },
  checkStorageSettings,
);

/** Where the dead letters are, and where they belong. */
export interface DeadLettersStorage {
  deadLetters: Pick<DeadLetters, "list" | "remove">;
  history: Pick<HistoryStore, "write">;
}

/** Prints up to `lettersMax` of them to `say`, several lines each, none of them longer than the error or the text. */
export async function listDeadLetters(
  { deadLetters }: Pick<DeadLettersStorage, "deadLetters">,
  lettersMax: number,
  say: (line: string) => void,
): Promise<void> {
  const letters = await deadLetters.list(lettersMax);
  for (const letter of letters) {
    say(`${nameOf(letter)}  ${letter.attempts} ${letter.attempts === 1 ? "try" : "tries"}`);
    say(`  error  ${quoted(letter.error)}`);
    say(`  event  ${describeEvent(letter)}`);
  }
  say(`${countOf(letters.length, lettersMax)}`);
}

/**
 * Writes up to `lettersMax` of them into the history, one by one, and removes those that it took.
 * @returns how many could still not be stored
 * @throws {HistoryUnavailableError} the history is out of reach; what was taken before is taken
 */
export async function redriveDeadLetters(
  { deadLetters, history }: DeadLettersStorage,
  lettersMax: number,
  say: (line: string) => void,
): Promise<number> {
  const letters = await deadLetters.list(lettersMax);
  let failed = 0;
  for (const letter of letters) {
    try {
      // As the worker: what is no event would break everyone who reads that page of the history.
      decodeEntry(letter.entry);
      await history.write([letter.entry]);
    } catch (error) {
      if (error instanceof HistoryUnavailableError) {
        throw error;
      }
      failed += 1;
      say(`${nameOf(letter)}  still fails: ${quoted(String(error))}`);
      continue;
    }
    await deadLetters.remove(letter.entry);
    say(`${nameOf(letter)}  stored`);
  }
  say(`${countOf(letters.length, lettersMax)}: ${letters.length - failed} stored, ${failed} still failing`);
  return failed;
}

function nameOf({ entry }: DeadLetter): string {
  return `${quoted(entry.roomId)} ${formatPosition(entry.position)}`;
}

function countOf(letters: number, lettersMax: number): string {
  const count = `${letters} dead ${letters === 1 ? "letter" : "letters"}`;
  return letters === lettersMax ? `${count}, maybe more (--letters-max)` : count;
}

function describeEvent({ entry }: DeadLetter): string {
  let event: Event;
  try {
    event = decodeEntry(entry);
  } catch {
    const head = Buffer.from(entry.event.subarray(0, 32)).toString("hex");
    return `no event: ${entry.event.length} bytes, ${head}${entry.event.length > 32 ? "…" : ""}`;
  }
  if (event.kind.case === "message") {
    const { author, text } = event.kind.value;
    return `message of ${quoted(author?.name ?? "")}: ${quoted(text)}`;
  }
  return event.kind.case ?? "an event of no known kind";
}

/** In quotes, and without a character that could steer a terminal: strangers wrote it. */
function quoted(text: string): string {
  return JSON.stringify(text).replace(
    /[\p{C}\p{Zl}\p{Zp}]/gu,
    (character) => `\\u{${character.codePointAt(0)?.toString(16)}}`,
  );
}

/** @returns the exit code: 0 done, 1 some still fail, 2 a wrong command line */
async function main([command = "", ...args]: readonly string[]): Promise<number> {
  if (command !== "list" && command !== "redrive" && command !== "--help") {
    process.stderr.write(`there is no command ${quoted(command)}\n${deadLettersSettings.help()}`);
    return 2;
  }
  const settings = deadLettersSettings.readOrExit(command === "--help" ? [command] : args, process.env);
  const say = (line: string) => process.stdout.write(`${line}\n`);
  const storage = await openStorage(settings, pino({ level: settings.logLevel }, pino.destination(2)));
  try {
    if (command === "list") {
      await listDeadLetters(storage, settings.lettersMax, say);
      return 0;
    }
    return (await redriveDeadLetters(storage, settings.lettersMax, say)) === 0 ? 0 : 1;
  } finally {
    await storage.close();
  }
}

if (import.meta.main) {
  try {
    process.exitCode = await main(process.argv.slice(2));
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  }
}
