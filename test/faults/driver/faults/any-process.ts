/** What can happen to every process. */
import type { MemberKind } from "../deployment.ts";
import type { Fault } from "./fault.ts";

/** SIGKILL, and started again after a while. */
export function kill(kind: MemberKind, leastMs: number, mostMs: number): Fault {
  return {
    name: `${kind}-kill`,
    about: `SIGKILL, started again after ${leastMs / 1_000} to ${mostMs / 1_000} s`,
    kind,
    async inject(member, { pause, measure }) {
      const startedMs = performance.now();
      await member.end("SIGKILL");
      await pause(leastMs, mostMs);
      await member.start();
      measure("down ms", performance.now() - startedMs);
    },
  };
}

/** SIGSTOP for a while. */
export function freeze(kind: MemberKind, leastMs: number, mostMs: number): Fault {
  return {
    name: `${kind}-freeze`,
    about: `SIGSTOP for ${leastMs / 1_000} to ${mostMs / 1_000} s, then SIGCONT`,
    kind,
    async inject(member, { pause }) {
      member.freeze();
      try {
        await pause(leastMs, mostMs);
      } finally {
        member.thaw();
      }
    },
  };
}
