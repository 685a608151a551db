/** grpc.health.v1.Health (grpc/proposal and the comments of health.proto): for load balancers, probes and grpcurl. */
import { Code, ConnectError, type ServiceImpl } from "@connectrpc/connect";
import { type Health, HealthCheckResponse_ServingStatus as ServingStatus } from "../../gen/grpc/health/v1/health_pb.ts";
import type { Readiness } from "../readiness.ts";
import { abortedError } from "./interceptors.ts";

/** @param services the full names of the services that health is told of; "" stands for the whole server */
export function healthService(readiness: Readiness, services: readonly string[]): ServiceImpl<typeof Health> {
  const names = new Set(["", ...services]);
  const status = (service: string) => {
    if (!names.has(service)) {
      return ServingStatus.SERVICE_UNKNOWN;
    }
    return readiness.isReady ? ServingStatus.SERVING : ServingStatus.NOT_SERVING;
  };
  return {
    check({ service }) {
      if (!names.has(service)) {
        throw new ConnectError(`there is no service ${service}`, Code.NotFound);
      }
      return { status: status(service) };
    },
    list() {
      return { statuses: Object.fromEntries([...names].map((name) => [name, { status: status(name) }])) };
    },
    async *watch({ service }, { signal }) {
      for (;;) {
        yield { status: status(service) };
        await readiness.changed(signal);
        if (signal.aborted) {
          throw abortedError(signal);
        }
      }
    },
  };
}
