/** The rows of the fault table, in the order of the page. One line a row. */
import type { FaultRow } from "./fault-row.ts";
import { redisScriptFlush } from "./rows/redis-script-flush.ts";

export const faultRows: readonly FaultRow[] = [
  redisScriptFlush, //
];
