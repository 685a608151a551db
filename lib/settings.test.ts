/** Settings from flags and variables: which wins, and what is said of those that cannot be used. */
import { describe, expect, test } from "bun:test";
import { flag, list, oneOf, optionalText, SettingsError, SettingsTable, text, wholeNumber } from "./settings.ts";

const table = new SettingsTable(
  "a program",
  {
    queueBytesMax: { ...wholeNumber(10, 100), default: "50", about: "What may wait." },
    dataDirectory: { ...text(), default: "./data", about: "Where it lies." },
    certFile: { ...optionalText(), default: "", about: "Its certificate." },
    contactPoints: { ...list(), default: "", about: "Whom to ask." },
    logLevel: { ...oneOf("info", "warn"), default: "info", about: "What is said." },
    demo: { ...flag(), default: "true", about: "Show it." },
  },
  ({ certFile, demo }) => (certFile && !demo ? ["--cert-file: only with --demo"] : []),
);

function problemsOf(args: string[], environment: Record<string, string> = {}): readonly string[] {
  try {
    table.read(args, environment);
    return [];
  } catch (error) {
    expect(error).toBeInstanceOf(SettingsError);
    return (error as SettingsError).problems;
  }
}

describe("settings", () => {
  test("have their defaults where nothing is given", () => {
    expect(table.read([], {})).toEqual({
      queueBytesMax: 50,
      dataDirectory: "./data",
      certFile: undefined,
      contactPoints: [],
      logLevel: "info",
      demo: true,
    });
  });

  test("come from flags and variables, and the flag beats the variable", () => {
    const environment = { QUEUE_BYTES_MAX: "20", LOG_LEVEL: "warn", CONTACT_POINTS: " a, b:9042 ,,c" };
    expect(table.read(["--queue-bytes-max", "30", "--demo=false"], environment)).toMatchObject({
      queueBytesMax: 30,
      logLevel: "warn",
      contactPoints: ["a", "b:9042", "c"],
      demo: false,
    });
  });

  test("stand on their limits", () => {
    expect(table.read(["--queue-bytes-max", "10"], {})).toMatchObject({ queueBytesMax: 10 });
    expect(table.read(["--queue-bytes-max", "100"], {})).toMatchObject({ queueBytesMax: 100 });
  });

  test("that cannot be used are named all at once, each with its flag, value and limit, wherever it came from", () => {
    const args = ["--queue-bytes-max", "101", "--data-directory", "", "--demo", "yes"];
    expect(problemsOf(args, { LOG_LEVEL: "loud" })).toEqual([
      '--queue-bytes-max "101": must be at most 100',
      '--data-directory "": must not be empty',
      '--log-level "loud": must be one of info, warn',
      '--demo "yes": must be true or false',
    ]);
  });

  test.each([
    ["9", "must be at least 10"],
    ["-20", "must be a whole number"],
    ["20.5", "must be a whole number"],
    ["0x20", "must be a whole number"],
    ["", "must be a whole number"],
    ["9007199254740993", "must be a whole number"],
  ])("take %j for no number that fits", (value, why) => {
    expect(problemsOf([`--queue-bytes-max=${value}`])).toEqual([`--queue-bytes-max ${JSON.stringify(value)}: ${why}`]);
  });

  test("that fit one by one and not together are refused", () => {
    expect(problemsOf(["--cert-file", "a.pem", "--demo", "false"])).toEqual(["--cert-file: only with --demo"]);
  });

  test("that nobody knows are refused, and not guessed at", () => {
    expect(problemsOf(["--queue-bytes", "20"]).join()).toContain("--queue-bytes");
    expect(problemsOf(["serve"]).join()).toContain("serve");
  });
});

test("--help is answered whatever else is given, and lists every setting with variable, default and meaning", () => {
  expect(table.read(["--help", "--queue-bytes-max", "9"], {})).toBe("help");
  expect(table.help()).toBe(`a program

Settings, as flags or environment variables:

  --queue-bytes-max <10…100>  (QUEUE_BYTES_MAX, default 50)
      What may wait.
  --data-directory <text>  (DATA_DIRECTORY, default ./data)
      Where it lies.
  --cert-file <text>  (CERT_FILE, default none)
      Its certificate.
  --contact-points <a,b,…>  (CONTACT_POINTS, default none)
      Whom to ask.
  --log-level <info | warn>  (LOG_LEVEL, default info)
      What is said.
  --demo <true | false>  (DEMO, default true)
      Show it.
`);
});
