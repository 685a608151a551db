/** Everything that can be set of the worker. */

import { hostname } from "node:os";
import { oneOf, SettingsTable, text } from "../lib/settings.ts";
import { checkStorageSettings, isDistributed, storageSettings } from "../storage/settings.ts";

/** Whoever gives a worker no name of its own: unique among the processes that run at the same time. */
export const madeUpWorkerName = `${hostname()}-${process.pid}`;

const table = {
  workerName: {
    ...text(),
    default: madeUpWorkerName,
    about: "Unique among the workers that run at the same time.",
  },
  ...storageSettings,
  logLevel: {
    ...oneOf("trace", "debug", "info", "warn", "error", "fatal", "silent"),
    default: "info",
    about: "The least that is logged.",
  },
} as const;

export const workerSettings = new SettingsTable(
  "streaming-chat worker: brings messages from Redis into Cassandra and counts hot words",
  table,
  (settings) => {
    const problems = checkStorageSettings(settings);
    if (!isDistributed(settings)) {
      problems.push("--redis-url or --redis-cluster-nodes: with embedded storage the gateway does the worker's work");
    }
    return problems;
  },
);
