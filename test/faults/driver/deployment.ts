/**
 * What the driver breaks: gateways and the processes behind them, wherever and however they run. One implementation for
 * each way to deploy; faults and load know only this.
 */
import type { RedisCluster } from "../../harness/redis-cluster.ts";
import type { RowSource } from "../recorder/stored-rows.ts";

export type MemberKind = "gateway" | "worker" | "redis" | "redis-cluster" | "cassandra";

/** One process, that can be ended, frozen and started again with the same data at the same address. */
export interface Member {
  readonly kind: MemberKind;
  readonly name: string;
  /** False: it was ended, or has ended by itself. */
  readonly isRunning: boolean;
  /** Of the process that runs now, where the member is one of ours. */
  readonly pid?: number;
  /** Ends it and waits. @returns its exit code, or -1 where the signal ended it */
  end(signal: "SIGKILL" | "SIGTERM"): Promise<number>;
  /** Starts it again, and waits until it serves. */
  start(): Promise<void>;
  /** SIGSTOP: it keeps its connections and says nothing. */
  freeze(): void;
  /** SIGCONT. */
  thaw(): void;
  /** What it logged last, for the report of a failure. */
  readonly log: string;
  /** Sends one command of its own language, where it has one (Redis). */
  readonly command?: (...words: (string | Buffer)[]) => Promise<unknown>;
  /** Its nodes, where it has several. */
  readonly cluster?: RedisCluster;
  /** While it is ended: takes so many bytes from the end of what it keeps, as a loss of power does. Infinity: all of it. */
  readonly loseTail?: (bytes: number) => Promise<void>;
}

export interface Deployment {
  readonly name: string;
  /** Where clients reach the gateways, http://host:port; the same for the whole run. */
  readonly gatewayUrls: readonly string[];
  readonly members: readonly Member[];
  /** By which other programs find the storage, as environment variables. */
  readonly settings: Readonly<Record<string, string>>;
  /** Reads the store behind the gateways, while they run. */
  readonly stored: RowSource;
  /** Ends all members, and removes their data. */
  stop(): Promise<void>;
}
