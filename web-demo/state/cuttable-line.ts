/**
 * `fetch` with a pair of scissors: the page's "cut my line" button. While the line is cut, open responses break off as
 * they do when a network goes away, and new requests fail at once. Owns the set of open response bodies.
 */
import { signal } from "@preact/signals";

export class CuttableLine {
  readonly isCut = signal(false);
  readonly #open = new Set<() => void>();

  readonly fetch = async (input: RequestInfo | URL, init?: RequestInit): Promise<Response> => {
    if (this.isCut.value) throw new TypeError("the line is cut");
    const response = await fetch(input, init);
    if (!response.body) return response;
    const { status, statusText, headers } = response;
    return new Response(this.#breakable(response.body), { status, statusText, headers });
  };

  cut(forMs: number): void {
    if (this.isCut.value) return;
    this.isCut.value = true;
    for (const breakOff of this.#open) breakOff();
    this.#open.clear();
    setTimeout(() => {
      this.isCut.value = false;
    }, forMs);
  }

  #breakable(body: ReadableStream<Uint8Array>): ReadableStream<Uint8Array<ArrayBuffer>> {
    const reader = body.getReader();
    let breakOff = () => {};
    return new ReadableStream<Uint8Array<ArrayBuffer>>({
      start: (controller) => {
        breakOff = () => {
          controller.error(new TypeError("the line was cut"));
          // The server sees the connection close; how the read behind it ends is of no interest any more.
          reader.cancel().catch(() => {});
        };
        this.#open.add(breakOff);
      },
      pull: async (controller) => {
        try {
          const { done, value } = await reader.read();
          if (!this.#open.has(breakOff)) return;
          if (!done) return controller.enqueue(value as Uint8Array<ArrayBuffer>);
          this.#open.delete(breakOff);
          controller.close();
        } catch (error) {
          if (this.#open.delete(breakOff)) controller.error(error);
        }
      },
      cancel: (reason) => {
        this.#open.delete(breakOff);
        return reader.cancel(reason);
      },
    });
  }
}
