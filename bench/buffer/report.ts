/** What bench/results/buffer.json holds: the steps of `run.ts`, for it and for the page made from them. */
import type { Machine } from "../measuring/result-file.ts";
import type { ArrivalsCommand, ArrivalsReport } from "./arrivals.ts";

/** What comes in a step. */
export interface Task {
  ratePerSecond: number;
  seconds: number;
  /** For how long Cassandra stands still, from the middle of the step; 0: not at all. */
  stallSeconds: number;
}

/** What came of one rate in one way. */
export interface Step extends Task, ArrivalsReport {
  /** "periodic": Cassandra's default, it syncs its commit log every 10 s. "batch": before it answers. */
  commitlogSync: "periodic" | "batch";
  way: ArrivalsCommand["way"];
  /** Rows in Cassandra at the end. */
  stored: number;
  /** From acceptance to the answer of Cassandra; directly that is the same as the sender's. */
  storedP99Ms: number | null;
  /** The most entries that were in the log and not yet stored. */
  backlogMost: number;
  /** From the last message's answer until the log was empty. */
  catchUpSeconds: number;
  /** Cores used, on average until everything is stored; others: what has nothing to do with the experiment. */
  busy: { cassandra: number; arrivals: number; redis: number; worker: number; others: number };
  /** CPU of all processes of the experiment together, for each row that is stored, µs; null: none is. */
  cpuUs: number | null;
}

export interface BufferReport extends Machine {
  rooms: number;
  inFlightMax: number;
  heapMegabytes: number;
  /** As taskset takes them. */
  cassandraCores: string;
  steps: Step[];
}
