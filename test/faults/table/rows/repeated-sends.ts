/** The same message is sent again: because the answer was lost, by many at once, and with another text. */

import type { Fault } from "../../driver/faults/fault.ts";
import { RecordedSender } from "../../recorder/recorded-sender.ts";
import type { FaultRow } from "../fault-row.ts";
import { latencyFigure, runPlanned, verdictFigures } from "../planned-row.ts";

const cuts = 40;
const rounds = 10;
const atOnce = 50;

/** The gateways have done what they were asked; what they say to it is gone, and then the connection. */
const answersCut: Fault = {
  name: "answers-cut",
  about: "",
  kind: "gateway",
  async inject(_gateway, { proxies, pause }) {
    for (let left = cuts; left > 0; left--) {
      for (const proxy of proxies) {
        proxy.swallow(() => true);
      }
      await pause(50, 200);
      for (const proxy of proxies) {
        proxy.cut();
        proxy.swallow(undefined);
      }
      await pause(100, 600);
    }
  },
};

export const repeatedSends: FaultRow = {
  name: "repeated-sends",
  fault: `Answers of all gateways are lost and then their connections, ${cuts} times, for half of the clients; ${rounds} messages are sent ${atOnce} times at once, over all gateways and protocols; each key comes again with another text`,
  holds: "a message has one position, however often and wherever it is sent; its key with another text is refused",
  async run(context) {
    let positionsMost = 0;
    let firsts = 0;
    const refusals = new Map<string, number>();
    const result = await runPlanned(context, {
      async plan(run) {
        const { deployment, load, history } = run;
        const [gateway] = deployment.members;
        await run.strike(answersCut, gateway as NonNullable<typeof gateway>);
        await load.allLive();
        const author = { userId: "repeater", name: "repeater", avatar: "🦜" };
        const senders = Array.from(
          { length: atOnce },
          (_, n) => new RecordedSender({ n, author, baseUrls: deployment.gatewayUrls, history }),
        );
        const room = load.roomIds[0] as string;
        for (let round = 0; round < rounds; round++) {
          const key = `again-${round}`;
          const outcomes = await Promise.all(senders.map((sender) => sender.send(room, key, `${key} 🦜`)));
          const accepted = outcomes.flatMap((outcome) => (outcome.kind === "ok" ? [outcome.sent] : []));
          positionsMost = Math.max(positionsMost, new Set(accepted.map(({ position }) => position)).size);
          firsts += accepted.filter(({ duplicate }) => !duplicate).length;
          if (accepted.length < atOnce) {
            throw new Error(`${atOnce - accepted.length} repetitions were refused: ${JSON.stringify(outcomes)}`);
          }
          const others = await Promise.all(senders.map((sender, n) => sender.send(room, key, `${key} other ${n}`)));
          for (const outcome of others) {
            const code = outcome.kind === "ok" ? "ok" : outcome.code;
            refusals.set(code, (refusals.get(code) ?? 0) + 1);
          }
        }
      },
    });
    if (positionsMost !== 1 || firsts !== rounds || [...refusals.keys()].join() !== "AlreadyExists") {
      throw new Error(`${positionsMost} positions a key, ${firsts} firsts; other texts: ${[...refusals].join("; ")}`);
    }
    const { retries, duplicateAcks, ackMs } = result.figures;
    return [
      ...verdictFigures(result),
      ["sends made again by the client", retries.toLocaleString("en-US")],
      ["repetitions that got the first position", duplicateAcks.toLocaleString("en-US")],
      ["positions a key, at most", String(positionsMost)],
      ["the key with another text", [...refusals].map(([code, count]) => `${code} ${count}`).join(", ")],
      ["send to answer, with the client's tries", latencyFigure(ackMs)],
    ];
  },
};
