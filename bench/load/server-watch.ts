/** Watches the server's process, and how busy the machine is: CPU and memory by the second. Owns what it read last. */
import { cpuMs, machineCpuMs, residentBytes } from "../measuring/process-stat.ts";

/** One second of it. */
export interface ServerSecond {
  /** CPU time of the server over time: 1 is a whole core. Undefined: no process is watched, or it is gone. */
  cpu: number | undefined;
  memoryBytes: number | undefined;
  /** Of all cores together, 0 to 1. */
  machineBusy: number | undefined;
}

export class ServerWatch {
  readonly #pid: number | undefined;
  #cpuMs: number | undefined;
  #machine: ReturnType<typeof machineCpuMs> | undefined;
  #atMs = performance.now();

  constructor(pid: number | undefined) {
    this.#pid = pid;
    this.take();
  }

  /** CPU time of the server so far, in ms. Undefined: no process is watched, or it is gone. */
  get cpuMs(): number | undefined {
    const pid = this.#pid;
    return pid === undefined ? undefined : orUndefined(() => cpuMs(pid));
  }

  /** Since the last call. */
  take(): ServerSecond {
    const pid = this.#pid;
    const spentMs = this.cpuMs;
    const machine = orUndefined(machineCpuMs);
    const atMs = performance.now();
    const second = {
      cpu:
        spentMs === undefined || this.#cpuMs === undefined
          ? undefined
          : (spentMs - this.#cpuMs) / Math.max(1, atMs - this.#atMs),
      memoryBytes: pid === undefined ? undefined : orUndefined(() => residentBytes(pid)),
      machineBusy:
        machine && this.#machine && machine.totalMs > this.#machine.totalMs
          ? (machine.busyMs - this.#machine.busyMs) / (machine.totalMs - this.#machine.totalMs)
          : undefined,
    };
    this.#cpuMs = spentMs;
    this.#machine = machine;
    this.#atMs = atMs;
    return second;
  }
}

/** The process may have ended, and elsewhere than on Linux there is no /proc: what is not known is not shown. */
function orUndefined<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}
