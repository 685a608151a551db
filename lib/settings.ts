/**
 * Settings of a program, in one table: name with unit, default, range, meaning.
 *
 * A setting is read from its flag (--send-queue-bytes-max 65536) or its environment variable (SEND_QUEUE_BYTES_MAX); the
 * flag wins. `--help` prints the table. What is wrong is refused at start, all of it at once.
 */
import { parseArgs } from "node:util";
import * as v from "valibot";

/** One line of a table. */
export interface Setting<Value> {
  /** The values it takes, for people. */
  kind: string;
  schema: v.GenericSchema<string, Value>;
  default: string;
  /** What it is for, and what it bounds. */
  about: string;
}

export const wholeNumber = (least: number, most: number) => ({
  kind: `${least}…${most}`,
  schema: v.pipe(
    v.string(),
    v.regex(/^[0-9]{1,15}$/, "must be a whole number"),
    v.transform(Number),
    v.minValue(least, `must be at least ${least}`),
    v.maxValue(most, `must be at most ${most}`),
  ),
});
export const text = () => ({ kind: "text", schema: v.pipe(v.string(), v.minLength(1, "must not be empty")) });
export const optionalText = () => ({
  kind: "text",
  schema: v.pipe(
    v.string(),
    v.transform((value) => value || undefined),
  ),
});
export const list = () => ({
  kind: "a,b,…",
  schema: v.pipe(
    v.string(),
    v.transform((value) =>
      value
        .split(",")
        .map((item) => item.trim())
        .filter((item) => item !== ""),
    ),
  ),
});
export const oneOf = <const Values extends readonly string[]>(...values: Values) => ({
  kind: values.join(" | "),
  schema: v.picklist(values, `must be one of ${values.join(", ")}`),
});
export const flag = () => ({
  kind: "true | false",
  schema: v.pipe(
    v.picklist(["true", "false"], "must be true or false"),
    v.transform((value) => value === "true"),
  ),
});

type Table = Readonly<Record<string, Setting<unknown>>>;

/** What was read: a value of the right type for every name of the table. */
export type SettingsOf<T> = {
  [Name in keyof T]: T[Name] extends { schema: infer S extends v.GenericSchema } ? v.InferOutput<S> : never;
};

/** All that is wrong with the settings given, a line each. */
export class SettingsError extends Error {
  override readonly name = "SettingsError";
  constructor(readonly problems: readonly string[]) {
    super(`these settings cannot be used:\n  ${problems.join("\n  ")}`);
  }
}

export class SettingsTable<T extends Table> {
  readonly #title: string;
  readonly #table: T;
  readonly #check: (settings: SettingsOf<T>) => string[];

  /**
   * @param title the program, for `--help`
   * @param table the name gives the flag (kebab-case) and the variable (UPPER_CASE)
   * @param check what is wrong with settings that are right one by one; a line each
   */
  constructor(title: string, table: T, check: (settings: SettingsOf<T>) => string[]) {
    this.#title = title;
    this.#table = table;
    this.#check = check;
  }

  /** @returns "help" where it was asked for @throws {SettingsError} */
  read(args: readonly string[], environment: Readonly<Record<string, string | undefined>>): SettingsOf<T> | "help" {
    const names = Object.keys(this.#table);
    const options = Object.fromEntries(names.map((name) => [flagOf(name), { type: "string" as const }]));
    let flags: Record<string, string | boolean | undefined>;
    try {
      flags = parseArgs({ args: [...args], options: { ...options, help: { type: "boolean" } }, strict: true }).values;
    } catch (error) {
      throw new SettingsError([error instanceof Error ? error.message : String(error)]);
    }
    if (flags.help) {
      return "help";
    }
    const problems: string[] = [];
    const settings: Record<string, unknown> = {};
    for (const [name, setting] of Object.entries(this.#table)) {
      const given = flags[flagOf(name)] ?? environment[variableOf(name)] ?? setting.default;
      const parsed = v.safeParse(setting.schema, given);
      if (parsed.success) {
        settings[name] = parsed.output;
      } else {
        problems.push(`--${flagOf(name)} ${JSON.stringify(given)}: ${parsed.issues[0].message}`);
      }
    }
    if (problems.length === 0) {
      problems.push(...this.#check(settings as SettingsOf<T>));
    }
    if (problems.length > 0) {
      throw new SettingsError(problems);
    }
    return settings as SettingsOf<T>;
  }

  help(): string {
    const lines = Object.entries(this.#table).map(([name, { kind, default: usual, about }]) => {
      const variable = `(${variableOf(name)}, default ${usual === "" ? "none" : usual})`;
      return `  --${flagOf(name)} <${kind}>  ${variable}\n      ${about}`;
    });
    return `${this.#title}\n\nSettings, as flags or environment variables:\n\n${lines.join("\n")}\n`;
  }

  /** For a program's start: the settings, or the end of the process after `--help` or what is wrong was printed. */
  readOrExit(args: readonly string[], environment: Readonly<Record<string, string | undefined>>): SettingsOf<T> {
    try {
      const settings = this.read(args, environment);
      if (settings !== "help") {
        return settings;
      }
      process.stdout.write(this.help());
      process.exit(0);
    } catch (error) {
      if (!(error instanceof SettingsError)) {
        throw error;
      }
      process.stderr.write(`${error.message}\nTry --help.\n`);
      process.exit(2);
    }
  }
}

function flagOf(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

function variableOf(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase();
}
