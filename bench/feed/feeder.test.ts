import { describe, expect, test } from "bun:test";
import { create } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { FakeClock, until } from "../../client/fake-clock.ts";
import type { OutgoingMessage, SentMessage } from "../../client/index.ts";
import { ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import { seededRandom } from "../../lib/seeded-random.ts";
import { FeedReport } from "./feed-report.ts";
import { Feeder, type FeederOptions } from "./feeder.ts";
import { makePeople } from "./people.ts";

/** A room that answers when it is told to. */
class FakeRoom {
  readonly heard: { text: string; userId: string | undefined; atMs: number }[] = [];
  readonly waiting: PromiseWithResolvers<SentMessage>[] = [];
  /** Answers at once. */
  isQuick = true;

  constructor(readonly clock: FakeClock) {}

  send({ text, author }: OutgoingMessage, options: { signal?: AbortSignal } = {}): Promise<SentMessage> {
    this.heard.push({ text, userId: author.userId, atMs: this.clock.now() });
    const answer = Promise.withResolvers<SentMessage>();
    options.signal?.addEventListener("abort", () => answer.reject(new ConnectError("aborted", Code.Canceled)));
    this.waiting.push(answer);
    if (this.isQuick) {
      this.answer();
    }
    return answer.promise;
  }

  answer(refusal?: ConnectError): void {
    const answer = this.waiting.shift();
    if (refusal) {
      answer?.reject(refusal);
    } else {
      answer?.resolve({ position: "1-0", sentAtMs: 0, duplicate: false, clientMessageId: "" });
    }
  }
}

function setUp(options: Partial<FeederOptions> = {}) {
  const clock = new FakeClock();
  const room = new FakeRoom(clock);
  const report = new FeedReport();
  const feeder = new Feeder({
    chat: room,
    roomId: "lobby",
    lines: ["a", "b", "c"],
    people: makePeople(5, 1, seededRandom(1)),
    ratePerSecond: 10,
    messagesMax: Number.POSITIVE_INFINITY,
    durationMs: Number.POSITIVE_INFINITY,
    loop: false,
    inFlightMax: 4,
    random: seededRandom(1),
    clock,
    report,
    ...options,
  });
  return { clock, room, report, feeder };
}

describe("Feeder", () => {
  test("each line goes out when it is due, and the end of the lines is the end", async () => {
    const { clock, room, report, feeder } = setUp();
    const running = feeder.run();
    clock.advance(1_000);
    await running;
    expect(room.heard.map(({ text, atMs }) => [text, atMs])).toEqual([
      ["a", 0],
      ["b", 100],
      ["c", 200],
    ]);
    expect(report).toMatchObject({ sent: 3, accepted: 3, failed: 0, behindMaxMs: 0 });
  });

  test("with loop the lines begin again until the count is reached", async () => {
    const { clock, room, feeder } = setUp({ loop: true, messagesMax: 7, inFlightMax: 100 });
    const running = feeder.run();
    clock.advance(10_000);
    await running;
    expect(room.heard.map(({ text }) => text).join("")).toBe("abcabca");
  });

  test("the duration ends the sending", async () => {
    const { clock, room, feeder } = setUp({ loop: true, durationMs: 500, inFlightMax: 100 });
    const running = feeder.run();
    clock.advance(10_000);
    await running;
    expect(room.heard.map(({ atMs }) => atMs)).toEqual([0, 100, 200, 300, 400]);
  });

  test("nobody speaks twice in a row", async () => {
    const { clock, room, feeder } = setUp({
      loop: true,
      messagesMax: 200,
      inFlightMax: 200,
      people: makePeople(2, 1, seededRandom(1)),
    });
    const running = feeder.run();
    clock.advance(60_000);
    await running;
    const speakers = room.heard.map(({ userId }) => userId);
    expect(speakers.filter((userId, at) => userId === speakers[at - 1])).toEqual([]);
  });

  test("slow answers delay nobody until too many messages are under way; then it is behind, and catches up", async () => {
    const { clock, room, report, feeder } = setUp({ loop: true, messagesMax: 10 });
    room.isQuick = false;
    const running = feeder.run();
    clock.advance(900);
    expect(room.heard.map(({ atMs }) => atMs)).toEqual([0, 100, 200, 300]);
    room.answer();
    await until(() => report.sent === 5);
    expect(report.behindMs).toBe(500 - 100);
    expect(report.progressLine(900)).toContain("cannot keep the rate, 0.4 s behind");
    room.isQuick = true;
    for (let answers = 0; answers < 4; answers += 1) {
      room.answer();
    }
    await running;
    expect(room.heard.slice(4).map(({ atMs }) => atMs)).toEqual(Array(6).fill(900));
    expect(report).toMatchObject({ sent: 10, accepted: 10, behindMs: 0, behindMaxMs: 500 });
    expect(report.summary(900, 10)).toContain("up to 0.5 s behind");
  });

  test("latency counts from when a message was due", async () => {
    const { clock, room, report, feeder } = setUp({ messagesMax: 2, inFlightMax: 1 });
    room.isQuick = false;
    const running = feeder.run();
    clock.advance(700);
    room.answer();
    await until(() => report.sent === 2);
    room.answer();
    await running;
    // Due at 0 and 100, both answered at 700.
    expect(report.summary(700, 10)).toMatch(/p50 60\d\.\d ms {2}p99 70\d\.\d ms/);
  });

  test("a message refused for good fails under the gateway's reason, and the rest goes on", async () => {
    const { clock, room, report, feeder } = setUp();
    room.isQuick = false;
    const running = feeder.run();
    clock.advance(1_000);
    room.answer(closedRoom());
    room.answer();
    room.answer(new ConnectError("nobody there", Code.DeadlineExceeded));
    await running;
    expect(report).toMatchObject({ sent: 3, accepted: 1, failed: 2, inFlight: 0 });
    expect(Object.fromEntries(report.failures)).toEqual({ ROOM_CLOSED: 1, deadline_exceeded: 1 });
  });

  test("a stop sends no more and waits for the answers", async () => {
    const { clock, room, report, feeder } = setUp({ loop: true });
    room.isQuick = false;
    const running = feeder.run();
    clock.advance(150);
    feeder.stop();
    feeder.stop();
    clock.advance(4_000);
    room.answer();
    room.answer();
    await running;
    expect(report).toMatchObject({ sent: 2, accepted: 2, failed: 0 });
    expect(clock.waiting).toBe(0);
  });

  test("what is not answered within the grace time after a stop has failed", async () => {
    const { clock, room, report, feeder } = setUp();
    room.isQuick = false;
    const running = feeder.run();
    feeder.stop();
    clock.advance(5_000);
    await running;
    expect(Object.fromEntries(report.failures)).toEqual({ unanswered: 1 });
  });
});

function closedRoom(): ConnectError {
  return new ConnectError("the room is closed", Code.FailedPrecondition, undefined, [
    { desc: ErrorInfoSchema, value: create(ErrorInfoSchema, { reason: "ROOM_CLOSED" }) },
  ]);
}
