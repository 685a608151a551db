/**
 * Where the lines appear. On a terminal: above an input line that stays at the bottom and that incoming lines never tear.
 * Without one: one line after the other, input read as it comes.
 *
 * The terminal screen owns the lines that wait to be printed: at most `waitingLinesMax`, then the oldest are left out.
 */
import { clearScreenDown, createInterface, cursorTo, type Interface, moveCursor } from "node:readline";
import { rowsOf } from "./terminal-text.ts";

export interface Screen {
  /** Prints whole lines. */
  print(lines: string): void;
  /** Prints whole lines that a script should find apart from the chat. */
  complain(lines: string): void;
  setPrompt(prompt: string): void;
  /** What is typed, line by line, until the input ends or the screen is closed. */
  lines(): AsyncIterable<string>;
  close(): void;
}

/** No terminal: what is printed goes to `output`, complaints to `errors`. */
export class LineScreen implements Screen {
  readonly #input: Interface;
  readonly #output: NodeJS.WritableStream;
  readonly #errors: NodeJS.WritableStream;

  constructor(input: NodeJS.ReadableStream, output: NodeJS.WritableStream, errors: NodeJS.WritableStream) {
    this.#input = createInterface({ input, terminal: false, crlfDelay: Number.POSITIVE_INFINITY });
    this.#output = output;
    this.#errors = errors;
  }

  print(lines: string): void {
    this.#output.write(`${lines}\n`);
  }

  complain(lines: string): void {
    this.#errors.write(`${lines}\n`);
  }

  setPrompt(): void {
    // Nobody is asked.
  }

  lines(): AsyncIterable<string> {
    return this.#input;
  }

  close(): void {
    this.#input.close();
  }
}

/** A person reads no faster; a room with thousands of messages a second must not fill the memory behind a slow terminal. */
const waitingLinesMax = 500;

/** Lines that come within so short a time are printed in one go, with one redrawing of the input line. */
const printEveryMs = 15;

export class TerminalScreen implements Screen {
  readonly #output: NodeJS.WriteStream;
  readonly #readline: Interface;
  #waiting: string[] = [];
  #leftOut = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(input: NodeJS.ReadStream, output: NodeJS.WriteStream) {
    this.#output = output;
    this.#readline = createInterface({ input, output, terminal: true, historySize: 200, prompt: "> " });
    input.on("keypress", () => this.#noteCursorRow(this.#readline.getCursorPos().rows));
  }

  print(lines: string): void {
    if (this.#waiting.length >= waitingLinesMax) {
      this.#waiting.shift();
      this.#leftOut += 1;
    }
    this.#waiting.push(lines);
    this.#timer ??= setTimeout(() => this.#flush(), printEveryMs);
  }

  complain(lines: string): void {
    this.print(lines);
  }

  setPrompt(prompt: string): void {
    this.#flush();
    this.#eraseInput(() => this.#readline.setPrompt(prompt));
  }

  async *lines(): AsyncGenerator<string> {
    this.#readline.on("SIGINT", () => this.#readline.close());
    this.#readline.prompt();
    for await (const line of this.#readline) {
      this.#eraseEntered(line);
      yield line;
      this.#readline.prompt();
    }
  }

  close(): void {
    this.#flush();
    this.#readline.close();
    this.#output.write("\n");
  }

  #flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#waiting.length === 0) {
      return;
    }
    const skipped = this.#leftOut > 0 ? `… ${this.#leftOut} lines left out\n` : "";
    const text = `${skipped}${this.#waiting.join("\n")}\n`;
    this.#waiting = [];
    this.#leftOut = 0;
    this.#eraseInput(() => this.#output.write(text));
  }

  /** Takes the input line away, does something in its place, and brings it back with the cursor where it was. */
  #eraseInput(act: () => void): void {
    const { rows } = this.#readline.getCursorPos();
    moveCursor(this.#output, 0, -rows);
    cursorTo(this.#output, 0);
    clearScreenDown(this.#output);
    act();
    this.#noteCursorRow(0);
    this.#readline.prompt(true);
  }

  /**
   * readline draws its line anew by going up as many rows as it believes the cursor to be below the prompt. It does not
   * see what we print, and on Bun 1.4.5 forgets to count when a wide character wraps: both tear the screen. So the count,
   * a field without documentation in Node and Bun alike, is set right from outside.
   */
  #noteCursorRow(row: number): void {
    (this.#readline as Interface & { prevRows?: number }).prevRows = row;
  }

  /** What was entered comes back as a message of the room; the typed copy of it goes. */
  #eraseEntered(line: string): void {
    const columns = Math.max(1, this.#output.columns ?? 80);
    moveCursor(this.#output, 0, -rowsOf(this.#readline.getPrompt() + line, columns));
    cursorTo(this.#output, 0);
    clearScreenDown(this.#output);
  }
}
