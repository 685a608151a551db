import { expect, test } from "bun:test";
import type { PeersReport } from "./peers/peers-report.ts";
import { type Results, regressions } from "./regressions.ts";

const circumstances = { measuredAt: "", bun: "", cores: 2, cpu: "", messageBytes: 1, readers: 500, rate: 100 };
const latencies = { p50Ms: 1, p99Ms: 1, p999Ms: 1, roundsUs: [] };

function results(fanOut: number, floorUs: number, gatewayUs: number, peerUs: number, kB: number): Results {
  const rows = [
    { peer: "floor", cpuUs: floorUs, ...latencies },
    { peer: "gateway-grpc", cpuUs: gatewayUs, ...latencies },
    { peer: "grpc-go", cpuUs: peerUs, ...latencies },
    { peer: "ws", failed: "no node" },
  ];
  const peers: PeersReport = {
    scenarios: { "500x100": { ...circumstances, rounds: 3, seconds: 5, rows } },
    idle: { ...circumstances, rows: [{ peer: "gateway-grpc", kB }] },
  };
  return { fanOut: { results: [{ way: "http2-1", timesFloor: fanOut }] }, peers };
}

test("what got worse by over a tenth is said, in ratios to the floor of its own run", () => {
  const before = results(1, 5, 10, 20, 40);
  expect(regressions(before, results(1.09, 5, 10.9, 20, 43))).toEqual([]);
  // A slower machine, and a peer that got worse, are not our doing.
  expect(regressions(before, results(1, 50, 100, 900, 40))).toEqual([]);
  expect(regressions(before, results(1.2, 5, 12, 20, 50))).toEqual([
    "fan-out, http2-1, times the floor: 1.00 → 1.20 (+20 %)",
    "500x100, gateway-grpc, times the floor: 2.00 → 2.40 (+20 %)",
    "idle, gateway-grpc, kB: 40.00 → 50.00 (+25 %)",
  ]);
});

test("what was not measured before or is not now is no regression", () => {
  const nothing: Results = { fanOut: undefined, peers: undefined };
  expect(regressions(nothing, results(1, 5, 10, 20, 40))).toEqual([]);
  expect(regressions(results(1, 5, 10, 20, 40), nothing)).toEqual([]);
});
