import { describe, expect, test } from "bun:test";
import { Latency } from "./latency.ts";
import type { ReadersEnd, SendersEnd } from "./load-messages.ts";
import { type LoadOptions, parseLoadOptions } from "./load-options.ts";
import { loadResult, summaryText } from "./load-result.ts";
import { reportPage } from "./report-page.ts";
import { noFlaws } from "./sequence-check.ts";
import { Timeline } from "./timeline.ts";

const seconds = 10;
const calm = { cpu: 0.2, loopLagMaxMs: 5 };

interface Planted {
  options?: string[];
  /** What the reader's process says of itself. */
  self?: { cpu: number; loopLagMaxMs: number };
  machineBusy?: number;
  readers?: Partial<ReadersEnd>;
  senders?: Partial<SendersEnd>;
}

/** A run of ten good seconds with a latency of 5 ms, and what a test plants into it. */
function result({ options = [], self = calm, machineBusy = 0.5, readers = {}, senders = {} }: Planted = {}) {
  const timeline = new Timeline();
  for (let second = 0; second < seconds; second++) {
    const latency = new Latency();
    latency.record(5_000);
    const delivery = latency.take();
    timeline.takeReaders({ did: "read", second, received: 1, live: 1, delivery, opening: undefined, self });
    timeline.takeSenders({ did: "send", second, sent: 1, accepted: 1, answer: delivery, self: calm });
    timeline.takeServer(second, { cpu: 0.5, memoryBytes: 1e8, machineBusy });
  }
  const readersEnd: ReadersEnd = {
    did: "finish",
    quick: noFlaws,
    slow: noFlaws,
    receivedQuick: seconds,
    receivedSlow: 0,
    notLive: 0,
    reconnects: 0,
    failedOpens: {},
    errors: {},
    endings: {},
    ...readers,
  };
  const sendersEnd: SendersEnd = {
    did: "finish",
    sent: seconds,
    accepted: seconds,
    failures: {},
    unsent: 0,
    lateMaxMs: 1,
    tops: {},
    ...senders,
  };
  return loadResult({
    options: parseLoadOptions(options) as LoadOptions,
    timeline,
    measuredMs: seconds * 1_000,
    serverCpuMs: 5,
    readers: [readersEnd],
    senders: [sendersEnd],
  });
}

test("a good run breaks nothing and leaves no doubt", () => {
  const { broken, doubts, delivery, server } = result();
  expect({ broken, doubts }).toEqual({ broken: [], doubts: [] });
  expect(delivery).toMatchObject({ count: 10, p50Ms: expect.closeTo(5, 1), maxMs: expect.closeTo(5, 1) });
  expect(server).toEqual({ cpuMs: 5, cpuUsPerDelivery: 500, memoryMaxBytes: 1e8 });
});

describe("a limit is broken by", () => {
  test.each<[string, Planted, string]>([
    ["a late delivery", { options: ["--max-p99", "2ms"] }, "p99 of deliveries is 5 ms, the limit is 2 ms"],
    ["a late answer", { options: ["--max-send-p99", "2ms"] }, "p99 of answers is 5 ms, the limit is 2 ms"],
    ["a loss", { readers: { quick: { ...noFlaws, lost: 1 } } }, "lost messages is 1, the limit is 0"],
    ["a loss of a slow reader", { readers: { slow: { ...noFlaws, lost: 1 } } }, "lost messages is 1, the limit is 0"],
    ["a double", { readers: { quick: { ...noFlaws, doubled: 2 } } }, "doubled messages is 2, the limit is 0"],
    [
      "another order",
      { readers: { quick: { ...noFlaws, reordered: 3 } } },
      "messages out of order is 3, the limit is 0",
    ],
    ["a refused send", { senders: { failures: { LOG_FULL: 4 } } }, "errors is 4, the limit is 0"],
    ["a reader ended out of turn", { readers: { errors: { ECONNRESET: 1 } } }, "errors is 1, the limit is 0"],
    ["a reader who did not come back", { readers: { notLive: 1 } }, "errors is 1, the limit is 0"],
  ])("%s", (_, planted, said) => {
    expect(result(planted).broken).toEqual([said]);
  });

  test("not by what is allowed", () => {
    const readers = { quick: { ...noFlaws, lost: 2, skipped: 9 }, errors: { ECONNRESET: 1 } };
    expect(result({ options: ["--max-lost", "2", "--max-errors", "1"], readers }).broken).toEqual([]);
  });
});

describe("the figures are doubted where", () => {
  test.each<[string, Planted, string]>([
    ["a process of the tool used its core up", { self: { cpu: 0.97, loopLagMaxMs: 5 } }, "more than 90 % of a core"],
    [
      "the tool's own event loop was late",
      { self: { cpu: 0.2, loopLagMaxMs: 300 } },
      "event loop was up to 300 ms late",
    ],
    ["the machine had nothing left", { machineBusy: 0.99 }, "all cores of this machine were busy"],
    ["not everything due was sent", { senders: { unsent: 7 } }, "7 messages were due and not sent"],
  ])("%s", (_, planted, said) => {
    const found = result(planted);
    expect(found.doubts).toEqual([expect.stringContaining(said)]);
    expect(summaryText(found)).toContain(said);
    expect(reportPage(found)).toContain(said);
  });
});

test("the page shows what a server said and runs none of it", () => {
  const page = reportPage(result({ readers: { errors: { "<script>alert(1)</script>": 1 } } }));
  expect(page).toContain("&#60;script&#62;");
  expect(page).not.toContain("<script");
});
