/** The faults that the driver can choose from. */
import type { Deployment } from "./deployment.ts";
import { cassandraFaults } from "./faults/cassandra-faults.ts";
import type { Fault } from "./faults/fault.ts";
import { gatewayFaults } from "./faults/gateway-faults.ts";
import { redisClusterFaults } from "./faults/redis-cluster-faults.ts";
import { redisFaults } from "./faults/redis-faults.ts";
import { workerFaults } from "./faults/worker-faults.ts";

export const faults: readonly Fault[] = [
  ...gatewayFaults,
  ...workerFaults,
  ...redisFaults,
  ...redisClusterFaults,
  ...cassandraFaults,
];

/** The faults that a deployment has members for. @throws {RangeError} a name that there is not */
export function selectFaults(deployment: Deployment, names: readonly string[] | undefined): readonly Fault[] {
  const unknown = names?.filter((name) => !faults.some((fault) => fault.name === name)) ?? [];
  if (unknown.length > 0) {
    throw new RangeError(
      `no such fault: ${unknown.join(", ")}; there are ${faults.map(({ name }) => name).join(", ")}`,
    );
  }
  return faults.filter(
    ({ name, kind, allows }) =>
      (names === undefined ? allows === undefined : names.includes(name)) &&
      deployment.members.some((member) => member.kind === kind),
  );
}
