/** The figures of a history: counts and latencies, all of fixed size however long the run was. */
import { createHistogram, type RecordableHistogram } from "node:perf_hooks";
import type { GapReasonName } from "./history-event.ts";

/** Of one kind of latency, in ms. All 0 where nothing was measured. */
export interface LatencyFigures {
  count: number;
  p50: number;
  p99: number;
  max: number;
}

/** What readers that were cut, and sends that began, between one kind of fault and the next fault felt. */
export interface FaultFigures {
  times: number;
  /** From when a reader noticed that its stream is gone until it was live again. */
  reconnectMs: LatencyFigures;
  /** The part of it after the harm was undone, as when the process served again; of readers that were not back before. */
  afterHealMs: LatencyFigures;
  /** From the last thing that a reader heard before it noticed until it was live again. */
  silentMs: LatencyFigures;
  /** Of sends that were invoked after the fault began. */
  ackMs: LatencyFigures;
}

export interface HistoryFigures {
  events: number;
  rooms: number;
  readers: number;
  /** Different messages that clients tried to send. */
  messages: number;
  acked: number;
  /** Operations with no answer to rely on. */
  unknown: number;
  refused: number;
  /** Acknowledgements that said "it was there before". */
  duplicateAcks: number;
  /** Calls beyond the first of their operation. */
  retries: number;
  /** Never acknowledged, and yet in the room: allowed. */
  unackedThere: number;
  deliveries: number;
  rows: number;
  /** Acknowledged and not stored. */
  lost: number;
  /** Messages that are in the room, in the store or in a reader's view more than once. */
  doubled: number;
  /** Observations that went back. */
  outOfOrder: number;
  /** Positions that a reader missed without being told. */
  silentlyMissed: number;
  gaps: Record<GapReasonName, number>;
  /** Readers that had to begin anew because their cursor's history was gone. */
  resets: number;
  /** Positions that a reader was told are lost and that are stored. */
  toldLostButStored: number;
  ackMs: LatencyFigures;
  /** From the first call of a send until a reader that was there had the message, over however many streams. */
  deliveryMs: LatencyFigures;
  reconnectMs: LatencyFigures;
  silentMs: LatencyFigures;
  faults: Record<string, FaultFigures>;
}

const nsPerMs = 1e6;

/** Latencies in a histogram of fixed size, 3 digits exact. */
export class Latency {
  readonly #us: RecordableHistogram = createHistogram();

  recordNs(ns: number): void {
    this.#us.record(Math.max(1, Math.round(ns / 1_000)));
  }

  figures(): LatencyFigures {
    const { count } = this.#us;
    if (count === 0) {
      return { count: 0, p50: 0, p99: 0, max: 0 };
    }
    const ms = (us: number) => (us * 1_000) / nsPerMs;
    return { count, p50: ms(this.#us.percentile(50)), p99: ms(this.#us.percentile(99)), max: ms(this.#us.max) };
  }
}
