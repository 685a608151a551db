import { expect, test } from "bun:test";
import { cheaperThanOurs, type PeersReport, peersTable } from "./peers-report.ts";

const circumstances = { measuredAt: "", bun: "", cores: 2, cpu: "", messageBytes: 1, rounds: 1, seconds: 1 };
const latencies = { p50Ms: 0.5, p99Ms: 12.4, p999Ms: 30, roundsUs: [] };
const report: PeersReport = {
  scenarios: {
    "500x100": {
      ...circumstances,
      readers: 500,
      rate: 100,
      rows: [
        { peer: "floor", cpuUs: 3, ...latencies },
        { peer: "gateway-connect", cpuUs: 5, ...latencies },
        { peer: "gateway-grpc", cpuUs: 6, ...latencies },
        { peer: "gateway-grpc-50", cpuUs: 1, ...latencies },
        { peer: "bun-websocket", cpuUs: 4, ...latencies },
        { peer: "ws", cpuUs: 5.5, ...latencies },
        { peer: "socket-io", failed: "no node on the PATH" },
      ],
    },
  },
  idle: { ...circumstances, readers: 9, rows: [{ peer: "floor", kB: 3.04 }] },
};

test("the table has a line for each server and a reason where one could not be measured", () => {
  expect(peersTable(report).split("\n").slice(2)).toEqual([
    "| floor | 3.00 · 0.5 / 12 / 30 | 3.0 |",
    "| gateway-connect | 5.00 · 0.5 / 12 / 30 |  |",
    "| gateway-grpc | 6.00 · 0.5 / 12 / 30 |  |",
    "| gateway-grpc-50 | 1.00 · 0.5 / 12 / 30 |  |",
    "| bun-websocket | 4.00 · 0.5 / 12 / 30 |  |",
    "| ws | 5.50 · 0.5 / 12 / 30 |  |",
    "| socket-io | no node on the PATH |  |",
  ]);
});

test("who is cheaper than the gateway, one reader a connection, is named by load", () => {
  expect(cheaperThanOurs(report)).toEqual([{ readers: 500, rate: 100, peers: ["bun-websocket"] }]);
});
