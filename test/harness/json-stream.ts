/**
 * JSON objects one after the other, as grpcurl and buf curl print them: over several lines or on one, with nothing
 * between them. Keeps what is not whole yet.
 */
export class JsonStream {
  readonly #onValue: (value: unknown) => void;
  readonly #decoder = new TextDecoder();
  #text = "";
  /** How far `#text` was looked at, and what that part left open. */
  #at = 0;
  #depth = 0;
  #inString = false;

  constructor(onValue: (value: unknown) => void) {
    this.#onValue = onValue;
  }

  /** @throws {SyntaxError} if a whole object is not JSON */
  push(chunk: Uint8Array): void {
    this.#text += this.#decoder.decode(chunk, { stream: true });
    while (this.#at < this.#text.length) {
      const character = this.#text[this.#at++];
      if (this.#inString) {
        if (character === "\\") {
          this.#at++;
        } else if (character === '"') {
          this.#inString = false;
        }
      } else if (character === '"') {
        this.#inString = true;
      } else if (character === "{") {
        this.#depth++;
      } else if (character === "}" && --this.#depth === 0) {
        const value: unknown = JSON.parse(this.#text.slice(0, this.#at));
        this.#text = this.#text.slice(this.#at);
        this.#at = 0;
        this.#onValue(value);
      }
    }
  }
}
