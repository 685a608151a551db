/**
 * Where an entry stands in its room's log: `<epoch>-<seq>`, the form of a Redis Stream id.
 *
 * `epoch` is a time in Unix milliseconds, fixed when the room's log is created; a log that may have lost its tail gets a
 * new, later one, so that a position never names two texts. `seq` counts 0, 1, 2 … without holes inside an epoch. Clocks
 * choose the epoch but never decide the order: a new epoch is always greater than every earlier one of its room.
 */
export interface Position {
  readonly epoch: number;
  readonly seq: number;
}

/** Both halves fit a JavaScript number exactly: at most 15 digits, as in the pattern of the API's fields. */
export const positionForm = /^([0-9]{1,15})-([0-9]{1,15})$/;

/** @throws {RangeError} if `text` is not `<epoch>-<seq>` with 1 to 15 digits each */
export function parsePosition(text: string): Position {
  const match = positionForm.exec(text);
  if (!match) {
    throw new RangeError(`not a position: ${JSON.stringify(text)}; expected <epoch>-<seq>, 1 to 15 digits each`);
  }
  return { epoch: Number(match[1]), seq: Number(match[2]) };
}

export function formatPosition(position: Position): string {
  return `${position.epoch}-${position.seq}`;
}

/** Negative where `a` is before `b`, 0 where they are the same, positive where `a` is after `b`. */
export function comparePositions(a: Position, b: Position): number {
  return a.epoch - b.epoch || a.seq - b.seq;
}

/** The greatest seq that a position can have (15 digits). */
const seqMax = 999_999_999_999_999;

/** The least position after this one. */
export function positionAfter({ epoch, seq }: Position): Position {
  return seq === seqMax ? { epoch: epoch + 1, seq: 0 } : { epoch, seq: seq + 1 };
}

/** The greatest position before this one, whether or not anything stands there. */
export function positionBefore({ epoch, seq }: Position): Position {
  return seq === 0 ? { epoch: epoch - 1, seq: seqMax } : { epoch, seq: seq - 1 };
}
