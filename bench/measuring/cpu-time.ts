/** CPU time of a process, all its threads: what a benchmark charges to it, whoever else is on the machine. Linux only. */
import { readFileSync } from "node:fs";
import { waitFor } from "../../test/harness/wait-for.ts";

/** Clock ticks per second in /proc: fixed at 100 for programs on every Linux. */
const ticksPerSecond = 100;

/** User and system time so far, ms, in steps of 10 (proc(5): fields 14 and 15, counted after the name in brackets). */
export function cpuMs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return ((Number(fields[11]) + Number(fields[12])) * 1000) / ticksPerSecond;
}

/** CPU time that was spent on the whole machine so far, by whomever, ms (proc(5), /proc/stat: all but idle and waiting for disks). */
export function machineCpuMs(): number {
  const [first = ""] = readFileSync("/proc/stat", "latin1").split("\n");
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] = first
    .trim()
    .split(/\s+/)
    .slice(1)
    .map(Number);
  return ((user + nice + system + irq + softirq + steal) * 1_000) / ticksPerSecond;
}

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
