/** What can happen to Redis: its process, its memory, its file, its connections. */
import { freeze, kill } from "./any-process.ts";
import type { Fault } from "./fault.ts";

export const redisFaults: readonly Fault[] = [
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
];
