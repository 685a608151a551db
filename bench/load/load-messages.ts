/** What the processes of a run say to each other over IPC. */
import type { NodeProtocol } from "../../client/node-transports.ts";
import type { SelfReport } from "./self-watch.ts";
import type { SequenceCounts } from "./sequence-check.ts";

/** To a process of readers. */
export type ReadersCommand =
  | {
      do: "open";
      url: string;
      protocol: NodeProtocol;
      streamsPerConnection: number;
      /** Readers take the rooms in turn. */
      roomIds: string[];
      readers: number;
      /** Speed of each of the first readers, in bytes per second; the rest is quick. */
      slowBytesPerSecond: number[];
      /** All are opened over this time. */
      rampMs: number;
    }
  /** Latencies count for what is due from then on; intervals are cut at whole seconds from there. */
  | { do: "measure"; fromUs: number }
  | { do: "storm" }
  /** Every quick reader waits until it has come to its room's newest position, at most so long, then all close. */
  | { do: "finish"; tops: Record<string, string>; drainMs: number };

/** To a process of senders: what to write and when; and, before its time, to write no more. */
export type SendersCommand = SendCommand | { do: "stop" };

export interface SendCommand {
  do: "send";
  url: string;
  protocol: NodeProtocol;
  roomIds: string[];
  /** The senders of this process, and its number: both are in names and ids. */
  senders: number;
  process: number;
  /** Unique to the run. */
  runId: string;
  /** Messages a second of this process; undefined: as fast as answers come. */
  rate: number | undefined;
  loop: "open" | "closed";
  inFlight: number;
  messageBytes: number;
  /** The timetable: from `startUs`, in this process a little later, to before `endUs`. */
  startUs: number;
  /** Latencies count from here on. */
  fromUs: number;
  endUs: number;
}

/** What happened in one second, which began so many seconds after the measured part (negative: warm-up). */
export interface ReadersInterval {
  did: "read";
  second: number;
  received: number;
  /** Readers that are live at its end. */
  live: number;
  delivery: string | undefined;
  /** From the request to the first heartbeat. */
  opening: string | undefined;
  self: SelfReport;
}

export interface SendersInterval {
  did: "send";
  second: number;
  sent: number;
  accepted: number;
  answer: string | undefined;
  self: SelfReport;
}

/** The end of a process of readers. */
export interface ReadersEnd {
  did: "finish";
  quick: SequenceCounts;
  slow: SequenceCounts;
  receivedQuick: number;
  receivedSlow: number;
  /** Quick readers that were not live at the end. */
  notLive: number;
  reconnects: number;
  /** Tries to open a stream that failed, by what was said. */
  failedOpens: Record<string, number>;
  /** Live streams that ended otherwise than by us or as the API says they do from time to time. */
  errors: Record<string, number>;
  /** Ends that the server announced, by reason. */
  endings: Record<string, number>;
}

/** The end of a process of senders. */
export interface SendersEnd {
  did: "finish";
  sent: number;
  accepted: number;
  failures: Record<string, number>;
  /** Were due and never sent, as what was under way was too much. */
  unsent: number;
  /** How late the latest was sent. */
  lateMaxMs: number;
  /** The newest position of each room that a send was answered with. */
  tops: Record<string, string>;
}

export type ReadersAnswer = { did: "open" } | ReadersInterval | ReadersEnd | { did: "fail"; why: string };
export type SendersAnswer = SendersInterval | SendersEnd | { did: "fail"; why: string };
