/** Reads a position without a regular expression: a history has millions. */
import type { Position } from "../../../storage/position.ts";

/** @returns undefined where `text` is not "<epoch>-<seq>" */
export function parseAnyPosition(text: string): Position | undefined {
  const dash = text.indexOf("-");
  const epoch = Number(text.slice(0, dash));
  const seq = Number(text.slice(dash + 1));
  return dash > 0 && dash < text.length - 1 && Number.isSafeInteger(epoch) && Number.isSafeInteger(seq)
    ? { epoch, seq }
    : undefined;
}
