/**
 * Runs other people's programs to their end: the set-up's installers, and the clients of the end-to-end tests.
 *
 * Every run has a bound in time, and keeps at most `outputBytesMax` of what it printed, the end of it.
 */

/** How to run a program. */
export interface CommandOptions {
  cwd?: string;
  /** Added to this process's environment. */
  env?: Record<string, string>;
  /** Written to the program's standard input, which then ends. Undefined: it has none. */
  stdin?: string;
  /** The program is killed after this. */
  timeoutMs?: number;
}

/** How a program ended. */
export interface CommandResult {
  /** The exit code; -1 where it was killed. */
  code: number;
  stdout: string;
  stderr: string;
}

/** A program that ended badly, with what it printed. */
class CommandFailedError extends Error {
  override readonly name = "CommandFailedError";
  constructor(
    readonly argv: readonly string[],
    readonly result: CommandResult,
  ) {
    const output = `${result.stdout}\n${result.stderr}`.trim().slice(-outputBytesMax);
    super(`exit ${result.code}: ${argv.join(" ")}\n${output}`);
  }
}

/** Enough for the last screens of a failing build. */
const outputBytesMax = 20_000;

/** Runs a program and resolves with what it printed, whatever its exit code. */
export async function runCommand(argv: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
  const child = Bun.spawn([...argv], {
    ...(options.cwd !== undefined && { cwd: options.cwd }),
    env: { ...process.env, ...options.env },
    stdin: options.stdin === undefined ? "ignore" : new Blob([options.stdin]),
    stdout: "pipe",
    stderr: "pipe",
    timeout: options.timeoutMs ?? 60_000,
    killSignal: "SIGKILL",
  });
  const [stdout, stderr] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
  await child.exited;
  return { code: child.signalCode === null ? (child.exitCode ?? -1) : -1, stdout, stderr };
}

/** Runs a program. @returns what it printed to standard output @throws {CommandFailedError} if it does not exit 0 */
export async function mustRunCommand(argv: readonly string[], options: CommandOptions = {}): Promise<string> {
  const result = await runCommand(argv, options);
  if (result.code !== 0) {
    throw new CommandFailedError(argv, result);
  }
  return result.stdout;
}
