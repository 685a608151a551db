/**
 * A worker of a benchmark: the real one (`worker/workers.ts`), which is told when to begin and says what it has stored and
 * how long after its acceptance.
 */
import pino from "pino";
import { openStorage, type Storage } from "../../storage/storage.ts";
import { type PersistObserver, PersistWorker } from "../../worker/persist.ts";
import { workerSettings } from "../../worker/settings.ts";
import { Workers } from "../../worker/workers.ts";
import { obeyParent } from "../measuring/asked-process.ts";
import { quantileOrNull } from "../measuring/quantile.ts";

export type WorkerCommand =
  | {
      do: "start";
      /** Settings of the worker, as flags. */
      args: string[];
      /** "persist": the persistence worker alone, without counting words and trimming. */
      what: "all" | "persist";
    }
  | { do: "report" }
  | { do: "stop" };

/** Since the last report. */
export interface StoredReport {
  rows: number;
  /** From the acceptance by the log to the answer of Cassandra; null where there were no rows. */
  p50Ms: number | null;
  p99Ms: number | null;
}

let running: { storage: Storage; workers: { stop(): Promise<void> } } | undefined;
let delaysMs: number[] = [];

obeyParent(async (command: WorkerCommand): Promise<StoredReport> => {
  if (command.do === "start") {
    await start(command.args, command.what);
  } else if (command.do === "stop") {
    await running?.workers.stop();
    await running?.storage.close();
    running = undefined;
  }
  const report = {
    rows: delaysMs.length,
    p50Ms: quantileOrNull(delaysMs, 0.5),
    p99Ms: quantileOrNull(delaysMs, 0.99),
  };
  delaysMs = [];
  return report;
});

async function start(args: readonly string[], what: "all" | "persist"): Promise<void> {
  const settings = workerSettings.read(args, {});
  if (settings === "help") {
    throw new Error("these are no words for help");
  }
  const logger = pino({ level: "warn" }, pino.destination(2));
  const storage = noticing(await openStorage(settings, logger));
  const { workerName: name } = settings;
  const failed: PersistObserver["failed"] = (step, error) =>
    logger.warn({ err: error, step }, "a worker's step failed");
  const workers =
    what === "all"
      ? new Workers(storage, name, logger, { written: () => {}, deadLettered: () => {} })
      : new PersistWorker({ ...storage, name, observer: { failed } });
  running = { storage, workers };
  workers.start();
}

/** The storage, with a history that notices how old entries are when it has them. */
function noticing(storage: Storage): Storage {
  const { history } = storage;
  const write: typeof history.write = async (entries) => {
    await history.write(entries);
    const nowMs = Date.now();
    for (const { acceptedMs } of entries) {
      delaysMs.push(nowMs - acceptedMs);
    }
  };
  return {
    ...storage,
    history: {
      write,
      page: history.page.bind(history),
      get: history.get.bind(history),
      close: history.close.bind(history),
    },
  };
}
