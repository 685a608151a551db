/** Redis forgets its scripts, again and again: a send that meets that is sent again in full, and nobody notices. */
import type { Fault } from "../../driver/faults/fault.ts";
import type { FaultRow } from "../fault-row.ts";
import { latencyFigure, redisOf, runPlanned, verdictFigures } from "../planned-row.ts";

const flushes = 100;
const everyMs = 100;

const fault: Fault = {
  name: "redis-script-flush",
  about: "SCRIPT FLUSH every 100 ms for 10 s",
  kind: "redis",
  async inject(redis) {
    for (let left = flushes; left > 0; left--) {
      await redis.command?.("SCRIPT", "FLUSH");
      await Bun.sleep(everyMs);
    }
  },
};

export const redisScriptFlush: FaultRow = {
  name: fault.name,
  fault: fault.about,
  holds: "nothing is lost or doubled, and no send is refused",
  async run(context) {
    const result = await runPlanned(context, {
      async plan({ deployment, load, strike }) {
        await strike(fault, redisOf(deployment));
        await load.allLive();
      },
    });
    const { figures } = result;
    if (figures.refused + figures.unknown > 0) {
      throw new Error(`${figures.refused} sends were refused, ${figures.unknown} had no answer`);
    }
    return [
      ...verdictFigures(result),
      ["sends refused or without an answer", "0"],
      ["send to answer", latencyFigure(figures.ackMs)],
    ];
  },
};
