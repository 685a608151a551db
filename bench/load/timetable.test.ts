import { expect, test } from "bun:test";
import { nowUs } from "./shared-clock.ts";
import { dueTimes, runTimetable } from "./timetable.ts";

const never = new AbortController().signal;

test("an even rate fills its time and not more", () => {
  expect([...dueTimes(0, 1e6, 4)]).toEqual([0, 250_000, 500_000, 750_000]);
  expect([...dueTimes(0, 1e6, 0)]).toEqual([]);
});

test("messages that a stalled server held up keep the time they were due at", async () => {
  const startUs = nowUs();
  const due = [...dueTimes(startUs, startUs + 100_000, 100)];
  const sent: number[] = [];
  const unsent = await runTimetable({
    due,
    inFlightMax: 1,
    giveUpUs: Number.POSITIVE_INFINITY,
    stop: never,
    // The first answer comes when all the others are long due.
    send: async (dueUs, index) => {
      sent.push(dueUs);
      if (index === 0) {
        await Bun.sleep(150);
      }
    },
  });
  expect(unsent).toBe(0);
  expect(sent.length).toBe(due.length);
  expect(sent.slice(1)).toEqual(due.slice(1));
});

test("what could not be sent before it is given up is counted", async () => {
  const now = nowUs();
  const send = async () => {};
  expect(await runTimetable({ due: [now, now, now], inFlightMax: 9, giveUpUs: now - 1, stop: never, send })).toBe(3);
});

test("no more are under way than may be", async () => {
  let underWay = 0;
  let most = 0;
  const send = async () => {
    most = Math.max(most, ++underWay);
    await Promise.resolve();
    underWay--;
  };
  const now = nowUs();
  await runTimetable({
    due: Array<number>(20).fill(now),
    inFlightMax: 3,
    giveUpUs: Number.POSITIVE_INFINITY,
    stop: never,
    send,
  });
  expect(most).toBe(3);
});

test("once it is stopped nothing more is sent or owed, however late the next is due", async () => {
  const stop = new AbortController();
  let sent = 0;
  const unsent = await runTimetable({
    due: [nowUs(), nowUs() + 3_600e6],
    inFlightMax: 9,
    giveUpUs: Number.POSITIVE_INFINITY,
    stop: stop.signal,
    send: async () => {
      sent++;
      stop.abort();
    },
  });
  expect({ sent, unsent }).toEqual({ sent: 1, unsent: 0 });
});
