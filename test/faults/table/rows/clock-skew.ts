/** Clocks that are wrong: gateways and workers live two hours apart. */
import { mustRunCommand } from "../../../harness/command.ts";
import type { FaultRow } from "../fault-row.ts";
import { latencyFigure, runPlanned, verdictFigures } from "../planned-row.ts";

/** How much the clock of a member is off; of the others it is right. */
const offsets: Readonly<Record<string, string>> = {
  "gateway-1": "-1h",
  "gateway-2": "+1h",
  "worker-1": "+1h",
  "worker-2": "-1h",
};

export const clockSkew: FaultRow = {
  name: "clock-skew",
  fault: "The clocks of two gateways and both workers are an hour slow or fast (libfaketime), for 10 s under load",
  holds: "nothing is lost, doubled or out of order; all readers see one order; times of messages are Redis'",
  async run(context) {
    const library = await preload();
    const result = await runPlanned(context, {
      deployment: {
        settingsOf: (member): Record<string, string> => {
          const offset = offsets[member];
          // Timers and measuring go by the monotonic clock, which no skew moves.
          return offset ? { LD_PRELOAD: library, FAKETIME: offset, FAKETIME_DONT_FAKE_MONOTONIC: "1" } : {};
        },
      },
      async plan({ load }) {
        await Bun.sleep(10_000);
        await load.allLive();
      },
    });
    return [
      ...verdictFigures(result),
      ["readers told of a loss", String(result.figures.gaps.lost)],
      ["send to delivery", latencyFigure(result.figures.deliveryMs)],
    ];
  },
};

/** Where libfaketime is: what its command sets for its child. */
async function preload(): Promise<string> {
  if (!Bun.which("faketime")) {
    throw new Error("faketime is missing on this machine (Debian's package faketime); install it");
  }
  return (await mustRunCommand(["faketime", "-m", "-f", "+0", "printenv", "LD_PRELOAD"])).trim();
}
