/**
 * Shows one line that changes: rewritten in place on a terminal, a new line every few seconds elsewhere (a log file, CI).
 * Owns the timer and what stands on the terminal's last line.
 */
import type { Clock } from "../client/index.ts";

/** The part of process.stdout that is used. */
export interface ProgressOutput {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

const terminalEveryMs = 200;
const logEveryMs = 5_000;

export class ProgressLine {
  readonly #output: ProgressOutput;
  readonly #clock: Clock;
  readonly #line: () => string;
  #cancel: (() => void) | undefined;

  constructor(output: ProgressOutput, clock: Clock, line: () => string) {
    this.#output = output;
    this.#clock = clock;
    this.#line = line;
  }

  start(): void {
    const everyMs = this.#output.isTTY ? terminalEveryMs : logEveryMs;
    const tick = () => {
      this.#show();
      this.#cancel = this.#clock.after(everyMs, tick);
    };
    this.#cancel = this.#clock.after(everyMs, tick);
  }

  /** Leaves the terminal at the beginning of an empty line. */
  end(): void {
    this.#cancel?.();
    if (this.#output.isTTY) {
      this.#output.write("\r\x1b[2K");
    }
  }

  #show(): void {
    const line = this.#line();
    if (this.#output.isTTY) {
      // A line that wraps cannot be rewritten. ECMA-48: EL 2 clears it.
      this.#output.write(`\r\x1b[2K${line.slice(0, (this.#output.columns ?? 80) - 1)}`);
    } else {
      this.#output.write(`${line}\n`);
    }
  }
}
