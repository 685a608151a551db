/** What can happen to a worker. */
import { freeze, kill } from "./any-process.ts";
import type { Fault } from "./fault.ts";

export const workerFaults: readonly Fault[] = [
  kill("worker", 0, 2_000),
  freeze("worker", 1_000, 8_000),
  {
    name: "worker-term",
    about: "SIGTERM: it finishes what it has in hand",
    kind: "worker",
    async inject(worker, { measure }) {
      const startedMs = performance.now();
      const code = await worker.end("SIGTERM");
      measure("exit ms", performance.now() - startedMs);
      if (code !== 0) {
        throw new Error(`${worker.name} ended with ${code}\n${worker.log}`);
      }
      await worker.start();
    },
  },
];
