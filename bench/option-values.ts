/** Reads the values of a bench's command line: what is wrong is refused with the name of the option and what it takes. */
import { type ParseArgsConfig, parseArgs } from "node:util";

/** The command line is wrong: the message says how. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** node:util's parseArgs. @throws {UsageError} */
export function optionValues<T extends NonNullable<ParseArgsConfig["options"]>>(args: readonly string[], options: T) {
  try {
    return parseArgs({ args: [...args], options }).values;
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error), { cause: error });
  }
}

export interface NumberRule {
  default: number;
  min: number;
  max: number;
  whole?: boolean;
}

/** @throws {UsageError} */
export function numberOption(name: string, text: string | undefined, rule: NumberRule): number {
  if (text === undefined) {
    return rule.default;
  }
  const value = /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
  // NaN is not in the range.
  if (!(value >= rule.min && value <= rule.max) || (rule.whole && !Number.isInteger(value))) {
    const kind = rule.whole ? "a whole number" : "a number";
    throw new UsageError(`--${name} is ${text}, it must be ${kind} from ${rule.min} to ${rule.max}`);
  }
  return value;
}

/** A time above 0, in ms; seconds where no unit is said. @throws {UsageError} */
export function durationOption(name: string, text: string | undefined, usual: number): number {
  if (text === undefined) {
    return usual;
  }
  const [, amount, unit = "s"] = /^(\d+(?:\.\d+)?)(ms|[smh])?$/.exec(text) ?? [];
  const durationMs = Number(amount) * { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 }[unit as "ms" | "s" | "m" | "h"];
  if (!(durationMs > 0)) {
    throw new UsageError(`--${name} is ${text}, it must be a time as 500ms, 90, 90s, 5m or 1h`);
  }
  return durationMs;
}

/** The origin of a server, without a slash at its end. @throws {UsageError} */
export function urlOption(name: string, text: string): string {
  if (!URL.canParse(text) || !/^https?:$/.test(new URL(text).protocol)) {
    throw new UsageError(`--${name} is ${text}, it must begin with http:// or https://`);
  }
  return text.replace(/\/+$/, "");
}

/** One of a few words. @throws {UsageError} */
export function choiceOption<T extends string>(name: string, text: string, choices: readonly T[]): T {
  const choice = choices.find((each) => each === text);
  if (choice === undefined) {
    throw new UsageError(`--${name} is ${text}, it must be ${choices.slice(0, -1).join(", ")} or ${choices.at(-1)}`);
  }
  return choice;
}

/** The id of a room. @throws {UsageError} */
export function roomOption(name: string, text: string): string {
  if (!/^[a-z0-9][a-z0-9_-]{0,63}$/.test(text)) {
    throw new UsageError(`--${name} is ${text}, it must be 1 to 64 of a-z 0-9 _ -, beginning with a letter or digit`);
  }
  return text;
}
