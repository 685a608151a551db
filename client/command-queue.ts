/**
 * The commands on their way into one two-way stream: pushed by the client, pulled by the transport. Owns what was pushed
 * and not yet pulled; `ChatStream` bounds it (pending sends and rooms). One for each link, read once.
 */
export class CommandQueue<T> implements AsyncIterable<T> {
  readonly #waiting: T[] = [];
  #ended = false;
  #wake: (() => void) | undefined;

  /** What is pushed after the end is dropped: its stream is gone. */
  push(command: T): void {
    if (!this.#ended) {
      this.#waiting.push(command);
      this.#wake?.();
    }
  }

  /** No more commands: what was pushed is still pulled, then the iteration ends. */
  end(): void {
    this.#ended = true;
    this.#wake?.();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T> {
    for (;;) {
      const command = this.#waiting.shift();
      if (command !== undefined) {
        yield command;
      } else if (this.#ended) {
        return;
      } else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    }
  }
}
