/** Whether this gateway wants traffic: what health checks answer. Set by the server's start and drain alone. */
export class Readiness {
  readonly #listeners = new Set<() => void>();
  #isReady = false;

  get isReady(): boolean {
    return this.#isReady;
  }

  set(isReady: boolean): void {
    if (isReady !== this.#isReady) {
      this.#isReady = isReady;
      for (const listener of [...this.#listeners]) {
        listener();
      }
    }
  }

  /** Resolves at the next change, or when `signal` aborts. */
  async changed(signal: AbortSignal): Promise<void> {
    if (signal.aborted) {
      return;
    }
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#listeners.add(resolve);
    signal.addEventListener("abort", () => resolve(), { once: true });
    await promise;
    this.#listeners.delete(resolve);
  }
}
