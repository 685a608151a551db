/** What the kernel says of a process and of the machine, from /proc. Linux only. */
import { readFileSync } from "node:fs";

/** Clock ticks per second in /proc: fixed at 100 for programs on every Linux. */
export const ticksPerSecond = 100;

/**
 * User and system time of all the threads of a process, in ms (proc(5): fields 14 and 15, counted after the name in brackets).
 * @throws {Error} where there is no such process
 */
export function cpuMs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return ((Number(fields[11]) + Number(fields[12])) * 1000) / ticksPerSecond;
}

/** Memory of a process that is in RAM, in bytes (proc(5): VmRSS). @throws {Error} where there is no such process */
export function residentBytes(pid: number): number {
  const [, kilobytes] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "latin1")) ?? [];
  return Number(kilobytes ?? 0) * 1024;
}

/** Time that all cores together have worked and could have worked, in ms (proc(5): /proc/stat). */
export function machineCpuMs(): { busyMs: number; totalMs: number } {
  const [line = ""] = readFileSync("/proc/stat", "latin1").split("\n", 1);
  const [user = 0, nice = 0, system = 0, idle = 0, wait = 0, irq = 0, softirq = 0, steal = 0] = line
    .split(/\s+/)
    .slice(1)
    .map((ticks) => (Number(ticks) * 1000) / ticksPerSecond);
  const busyMs = user + nice + system + irq + softirq + steal;
  return { busyMs, totalMs: busyMs + idle + wait };
}

/** Files and sockets that this process, and those it starts, may have open (proc(5): limits). */
export function openFilesMax(): number {
  const [, soft] = /^Max open files\s+(\d+)/m.exec(readFileSync("/proc/self/limits", "latin1")) ?? [];
  return Number(soft ?? Number.POSITIVE_INFINITY);
}
