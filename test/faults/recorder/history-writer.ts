/**
 * Writes a history to a file of JSON lines while clients and readers run. Owns the file and the numbering of operations;
 * one for a run, so that the order of the lines is the order of what happened.
 */
import type { FileSink } from "bun";
import type { HistoryEvent } from "../checker/history-event.ts";

/** Lines wait in memory up to here. */
const bufferBytes = 256 * 1024;

export class HistoryWriter {
  readonly #sink: FileSink;
  #operations = 0;
  #events = 0;
  /** Is told of every event as it is written. */
  onEvent: ((event: HistoryEvent) => void) | undefined;

  constructor(readonly path: string) {
    this.#sink = Bun.file(path).writer({ highWaterMark: bufferBytes });
  }

  get events(): number {
    return this.#events;
  }

  /** Monotonic, ns. */
  now(): number {
    return Bun.nanoseconds();
  }

  nextOperation(): number {
    this.#operations += 1;
    return this.#operations;
  }

  write(event: HistoryEvent): void {
    this.#events += 1;
    this.onEvent?.(event);
    this.#sink.write(`${JSON.stringify(event)}\n`);
  }

  /** Writes what is left and closes the file. */
  async close(): Promise<void> {
    await this.#sink.end();
  }
}
