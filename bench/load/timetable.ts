/**
 * Sends by a timetable: each message at its time, whatever became of the others, so that a slow server cannot make its own
 * load lighter (coordinated omission). Where too much is under way it waits, and what it then sends late keeps its time.
 */
import { nowUs } from "./shared-clock.ts";

/** Timers know whole milliseconds only: what is late by less was late by the tool's doing, and counts from when it was sent. */
const timerUs = 1_500;

/** A message that is due much later does not hold up the end of the run. */
const stopLookUs = 250_000;

/** The times of an even rate in [startUs, endUs), in order. @param rate messages a second */
export function* dueTimes(startUs: number, endUs: number, rate: number): Generator<number> {
  for (let index = 0; rate > 0; index++) {
    const dueUs = startUs + (index * 1e6) / rate;
    if (dueUs >= endUs) {
      return;
    }
    yield dueUs;
  }
}

export interface Timetable {
  /** In order, as `dueTimes` gives them. */
  readonly due: Iterable<number>;
  readonly inFlightMax: number;
  /** What has not been sent by then is left. */
  readonly giveUpUs: number;
  /** Aborted: nothing more is sent, and nothing more was due. */
  readonly stop: AbortSignal;
  /** Resolves when the message is answered, which must come at last; never rejects. */
  readonly send: (dueUs: number, index: number) => Promise<void>;
}

/** Resolves when everything sent is answered. @returns how many were due and never sent */
export async function runTimetable({ due, inFlightMax, giveUpUs, stop, send }: Timetable): Promise<number> {
  let underWay = 0;
  let index = 0;
  let unsent = 0;
  let answered: () => void = () => {};
  const anAnswer = () =>
    new Promise<void>((resolve) => {
      answered = resolve;
    });
  for (const dueUs of due) {
    while (nowUs() < dueUs && !stop.aborted) {
      await untilUs(Math.min(dueUs, nowUs() + stopLookUs));
    }
    if (stop.aborted) {
      break;
    }
    while (underWay >= inFlightMax) {
      await anAnswer();
    }
    if (nowUs() >= giveUpUs) {
      unsent++;
      continue;
    }
    underWay++;
    const now = nowUs();
    void send(now - dueUs < timerUs ? now : dueUs, index++).then(() => {
      underWay--;
      answered();
    });
  }
  while (underWay > 0) {
    await anAnswer();
  }
  return unsent;
}

/** Not before that time. */
export function untilUs(atUs: number): Promise<void> {
  return Bun.sleep(Math.max(0, Math.ceil((atUs - nowUs()) / 1_000)));
}
