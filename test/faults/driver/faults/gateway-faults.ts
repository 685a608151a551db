/** What can happen to a gateway, and to the connections of its clients. */
import { freeze, kill } from "./any-process.ts";
import type { Fault } from "./fault.ts";

/** The grace that a gateway of these runs has for its drain, with some time for a busy machine. */
const drainMsMax = 15_000;

export const gatewayFaults: readonly Fault[] = [
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
];
