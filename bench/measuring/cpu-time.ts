/** CPU time of processes, all their threads: what a benchmark charges to them, whoever else is on the machine. */
import { waitFor } from "../../test/harness/wait-for.ts";
import { cpuMs, ticksPerSecond } from "./process-stat.ts";

/** What each of several processes has spent since. */
export class CpuMeter<Name extends string> {
  readonly #pids: Readonly<Record<Name, number>>;
  readonly #before: Record<Name, number>;

  /** Begins to count. */
  constructor(pids: Readonly<Record<Name, number>>) {
    this.#pids = pids;
    this.#before = this.#read();
  }

  /** CPU time since it was made, ms. */
  spent(): Record<Name, number> {
    const now = this.#read();
    const names = Object.keys(now) as Name[];
    return Object.fromEntries(names.map((name) => [name, now[name] - this.#before[name]])) as Record<Name, number>;
  }

  #read(): Record<Name, number> {
    const pids = Object.entries<number>(this.#pids);
    return Object.fromEntries(pids.map(([name, pid]) => [name, cpuMs(pid)])) as Record<Name, number>;
  }
}

/** Over which a process must have done nothing. */
const idleWindowMs = 200;

/** Resolves once a process has done next to nothing for a moment: what it still had to do is done. */
export async function whenIdle(pid: number): Promise<void> {
  let before = cpuMs(pid);
  await waitFor(
    `process ${pid} has nothing to do`,
    async () => {
      await Bun.sleep(idleWindowMs);
      const now = cpuMs(pid);
      const spent = now - before;
      before = now;
      return spent <= 1_000 / ticksPerSecond;
    },
    30_000,
  );
}
