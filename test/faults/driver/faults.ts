/**
 * The faults that the driver can choose from. Each does its harm to one member, for a time that the seed decides, and
 * heals it again.
 */
import type { CuttingProxy } from "../../browser/cutting-proxy.ts";
import type { ViolationKind } from "../checker/violation.ts";
import type { Deployment, Member, MemberKind } from "./deployment.ts";
import type { Load } from "./load.ts";

export interface FaultContext {
  /** Answers [0, 1). */
  readonly random: () => number;
  /** Waits; a time between the two, by the seed. */
  pause(leastMs: number, mostMs: number): Promise<void>;
  /** What stands in front of the gateways, one for each. */
  readonly proxies: readonly CuttingProxy[];
  readonly load: Load;
  /** Remembers a figure of this fault, as how long a drain took. */
  measure(figure: string, value: number): void;
}

export interface Fault {
  readonly name: string;
  readonly about: string;
  readonly kind: MemberKind;
  /** What cannot but happen, as after a loss of data. A fault with such consequences happens only where it is asked for by name. */
  readonly allows?: readonly ViolationKind[];
  inject(member: Member, context: FaultContext): Promise<void>;
}

/** The grace that a gateway of these runs has for its drain, with some time for a busy machine. */
const drainMsMax = 15_000;

export const faults: readonly Fault[] = [
  kill("gateway", 0, 1_500),
  {
    name: "gateway-kill-twice",
    about: "SIGKILL, and again as soon as it serves",
    kind: "gateway",
    async inject(gateway, { pause }) {
      await gateway.end("SIGKILL");
      await gateway.start();
      await pause(0, 300);
      await gateway.end("SIGKILL");
      await gateway.start();
    },
  },
  {
    name: "gateway-term",
    about: "SIGTERM: it drains and ends by itself, started again after 0 to 1 s",
    kind: "gateway",
    async inject(gateway, { pause, measure }) {
      const startedMs = performance.now();
      const code = await gateway.end("SIGTERM");
      const exitMs = performance.now() - startedMs;
      measure("exit ms", exitMs);
      if (code !== 0 || exitMs > drainMsMax) {
        throw new Error(`${gateway.name} ended with ${code} after ${Math.round(exitMs)} ms\n${gateway.log}`);
      }
      await pause(0, 1_000);
      await gateway.start();
    },
  },
  freeze("gateway", 500, 4_000),
  {
    name: "gateway-freeze-kill",
    about: "SIGSTOP for 0.2 to 2 s, then SIGKILL: what it had accepted and not answered is unknown to everyone",
    kind: "gateway",
    async inject(gateway, { pause }) {
      gateway.freeze();
      await pause(200, 2_000);
      await gateway.end("SIGKILL");
      await gateway.start();
    },
  },
  {
    name: "gateway-starve",
    about: "it runs a tenth of the time for 2 to 6 s, in slices of 20 ms",
    kind: "gateway",
    async inject(gateway, { random }) {
      const untilMs = performance.now() + 2_000 + random() * 4_000;
      while (performance.now() < untilMs) {
        gateway.freeze();
        await Bun.sleep(180);
        gateway.thaw();
        await Bun.sleep(20);
      }
    },
  },
  {
    name: "connections-cut",
    about: "every connection of half the clients is reset, in the midst of whatever it carries, one to five times",
    kind: "gateway",
    async inject(_gateway, { proxies, pause, random }) {
      for (let left = 1 + Math.floor(random() * 5); left > 0; left--) {
        for (const proxy of proxies) {
          proxy.cut();
        }
        await pause(50, 500);
      }
    },
  },
  {
    name: "readers-stall",
    about: "half the readers of a room read nothing for 2 to 5 s while it is flooded with long messages",
    kind: "gateway",
    async inject(_gateway, { load, pause, random }) {
      const roomId = load.roomIds[Math.floor(random() * load.roomIds.length)] as string;
      const goOn = load.stallReaders(roomId);
      try {
        await Promise.all([load.flood(roomId, 30), pause(2_000, 5_000)]);
      } finally {
        goOn();
      }
    },
  },
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
  kill("redis", 0, 2_000),
  freeze("redis", 500, 5_000),
  {
    name: "redis-script-flush",
    about: "SCRIPT FLUSH every 100 ms for 2 s",
    kind: "redis",
    async inject(redis) {
      for (let left = 20; left > 0; left--) {
        await redis.command?.("SCRIPT", "FLUSH");
        await Bun.sleep(100);
      }
    },
  },
  {
    name: "redis-channels-cut",
    about: "CLIENT KILL TYPE pubsub, one to five times: gateways lose what is published until they are back",
    kind: "redis",
    async inject(redis, { pause, random }) {
      for (let left = 1 + Math.floor(random() * 5); left > 0; left--) {
        await redis.command?.("CLIENT", "KILL", "TYPE", "pubsub");
        await pause(20, 300);
      }
    },
  },
  {
    name: "redis-connections-cut",
    about: "CLIENT KILL TYPE normal: whatever gateways and workers have under way is without an answer",
    kind: "redis",
    async inject(redis, { pause, random }) {
      for (let left = 1 + Math.floor(random() * 5); left > 0; left--) {
        await redis.command?.("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
        await pause(20, 300);
      }
    },
  },
  {
    name: "redis-full",
    about: "no memory left for 1 to 4 s: writes are refused, reading goes on",
    kind: "redis",
    async inject(redis, { pause }) {
      await redis.command?.("CONFIG", "SET", "maxmemory", "1");
      try {
        await pause(1_000, 4_000);
      } finally {
        await redis.command?.("CONFIG", "SET", "maxmemory", "0");
      }
    },
  },
  {
    name: "redis-power-loss",
    about: "SIGKILL, and 1 to 64 KiB of the end of its file are gone: it comes back without its last moments",
    kind: "redis",
    // What was acknowledged in those moments, what readers saw of it, and the memory of its keys.
    allows: ["acked-not-stored", "seen-not-stored", "key-at-two-positions", "accepted-twice", "stored-twice"],
    async inject(redis, { pause, random }) {
      await redis.end("SIGKILL");
      await redis.loseTail?.(1_024 + Math.floor(random() * 64 * 1_024));
      await pause(0, 1_000);
      await redis.start();
    },
  },
  kill("cassandra", 0, 3_000),
  freeze("cassandra", 2_000, 10_000),
];

/** SIGKILL, and started again after a while. */
function kill(kind: MemberKind, leastMs: number, mostMs: number): Fault {
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

function freeze(kind: MemberKind, leastMs: number, mostMs: number): Fault {
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
