/** The channels of Redis fail without a word: the connection is cut, or it is up and brings nothing. */
import { CuttingProxy } from "../../../browser/cutting-proxy.ts";
import type { FaultRow } from "../fault-row.ts";
import { latencyFigure, redisOf, runPlanned, verdictFigures } from "../planned-row.ts";

const cuts = 10;

export const redisChannelsCut: FaultRow = {
  name: "redis-channels-cut",
  fault: `The connections for channels are cut (CLIENT KILL TYPE pubsub) ${cuts} times, once a second`,
  holds: "nothing is missed, doubled or out of order; no reader's stream is cut",
  async run(context) {
    const result = await runPlanned(context, {
      async plan({ deployment, load, strike }) {
        await strike(
          {
            name: "redis-channels-cut",
            about: "",
            kind: "redis",
            async inject(redis) {
              for (let left = cuts; left > 0; left--) {
                await redis.command?.("CLIENT", "KILL", "TYPE", "pubsub");
                await Bun.sleep(1_000);
              }
            },
          },
          redisOf(deployment),
        );
        await load.allLive();
      },
    });
    return [...verdictFigures(result), ["send to delivery", latencyFigure(result.figures.deliveryMs)]];
  },
};

const deafForMs = 15_000;
/** How a message of a sharded channel begins, in RESP 3 and in RESP 2. */
const messageForm = /^[>*]3\r\n\$8\r\nsmessage\r\n/;

export const redisChannelsDeaf: FaultRow = {
  name: "redis-channels-deaf",
  fault: "The connections for channels stay up and answer pings, but for 15 s bring no message",
  holds: "nothing is missed, doubled or out of order: comparing positions finds what the channel did not bring",
  async run(context) {
    let front: CuttingProxy | undefined;
    let swallowed = 0;
    const result = await runPlanned(context, {
      deployment: {
        async redisBehind(port) {
          front = await CuttingProxy.start(port);
          return front;
        },
      },
      async plan({ deployment, load, strike }) {
        await Bun.sleep(2_000);
        await strike(
          {
            name: "redis-channels-deaf",
            about: "",
            kind: "redis",
            async inject() {
              front?.swallow((answer) => {
                const isMessage = messageForm.test(answer.toString("latin1", 0, 32));
                swallowed += isMessage ? 1 : 0;
                return isMessage;
              });
              await Bun.sleep(deafForMs);
              front?.swallow(undefined);
            },
          },
          redisOf(deployment),
        );
        await load.allLive();
      },
    });
    if (swallowed === 0) {
      throw new Error("no message was swallowed");
    }
    return [
      ...verdictFigures(result),
      ["pieces swallowed", String(swallowed)],
      ["send to delivery, all of the run", latencyFigure(result.figures.deliveryMs)],
    ];
  },
};
