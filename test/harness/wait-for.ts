/** Waiting for a condition, with a bound: what tests do instead of sleeping. */

/** How often the condition is looked at. */
const pollMs = 10;

/**
 * Waits until `condition` gives something other than false, null or undefined, and resolves with it.
 * @param what for the error: "the second reader has 3 messages"
 * @throws {Error} after `timeoutMs`, naming what was waited for
 */
export async function waitFor<T>(
  what: string,
  condition: () => T | Promise<T>,
  timeoutMs = 10_000,
): Promise<NonNullable<Exclude<T, false>>> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const value = await condition();
    if (value !== false && value !== null && value !== undefined) {
      return value as NonNullable<Exclude<T, false>>;
    }
    if (performance.now() > deadline) {
      throw new Error(`waited ${timeoutMs} ms in vain: ${what}`);
    }
    await Bun.sleep(pollMs);
  }
}
