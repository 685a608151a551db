/** What can happen to Cassandra. */
import { freeze, kill } from "./any-process.ts";
import type { Fault } from "./fault.ts";

export const cassandraFaults: readonly Fault[] = [kill("cassandra", 0, 3_000), freeze("cassandra", 2_000, 10_000)];
