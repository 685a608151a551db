/** A process of senders: told over IPC when to write what, says every second how it goes, and at last what became of it. */
import { type Client, ConnectError, createClient } from "@connectrpc/connect";
import { refusalOf } from "../../client/index.ts";
import { createNodeTransport } from "../../client/node-transports.ts";
import { ChatService } from "../../gen/chat/v1/chat_pb.ts";
import { comparePositions, formatPosition, type Position, parsePosition } from "../../storage/position.ts";
import { refusalReason } from "../feed/refusal-reason.ts";
import { stampedId } from "./due-stamp.ts";
import { Latency } from "./latency.ts";
import type { SendCommand, SendersAnswer, SendersCommand } from "./load-messages.ts";
import { everySecond } from "./second-cut.ts";
import { SelfWatch } from "./self-watch.ts";
import { nowUs } from "./shared-clock.ts";
import { Tally } from "./tally.ts";
import { dueTimes, runTimetable, untilUs } from "./timetable.ts";

const answerTimeoutMs = 30_000;
/** After the end of the timetable, for what was due and not sent. */
const catchUpMs = 10_000;

class Senders {
  readonly #command: SendCommand;
  readonly #clients: Client<typeof ChatService>[];
  readonly #text: string;
  readonly #answer = new Latency();
  readonly #failures = new Tally();
  readonly #tops = new Map<string, Position>();
  readonly #self = new SelfWatch();
  readonly #stop = new AbortController();
  #sent = 0;
  #sentTotal = 0;
  #accepted = 0;
  #acceptedTotal = 0;
  #unsent = 0;
  #lateMaxUs = 0;

  constructor(command: SendCommand) {
    this.#command = command;
    this.#text = "x".repeat(command.messageBytes);
    this.#clients = Array.from({ length: command.senders }, () =>
      createClient(
        ChatService,
        createNodeTransport({
          baseUrl: command.url,
          protocol: command.protocol,
          httpVersion: command.protocol === "grpc" ? "2" : "1.1",
        }),
      ),
    );
  }

  stop(): void {
    this.#stop.abort();
  }

  async run(): Promise<void> {
    const cancelSeconds = everySecond(this.#command.fromUs, (second) => {
      tell({
        did: "send",
        second,
        sent: this.#sent,
        accepted: this.#accepted,
        answer: this.#answer.take(),
        self: this.#self.take(),
      });
      this.#sent = 0;
      this.#accepted = 0;
    });
    await (this.#command.loop === "open" ? this.#openLoop() : this.#closedLoop());
    cancelSeconds();
    this.#self.stop();
    tell({
      did: "finish",
      sent: this.#sentTotal,
      accepted: this.#acceptedTotal,
      failures: this.#failures.toRecord(),
      unsent: this.#unsent,
      lateMaxMs: this.#lateMaxUs / 1_000,
      tops: Object.fromEntries([...this.#tops].map(([roomId, top]) => [roomId, formatPosition(top)])),
    });
  }

  async #openLoop(): Promise<void> {
    const { rate, startUs, endUs, inFlight } = this.#command;
    this.#unsent = await runTimetable({
      due: dueTimes(startUs, endUs, rate ?? 0),
      inFlightMax: inFlight,
      giveUpUs: endUs + catchUpMs * 1_000,
      stop: this.#stop.signal,
      send: (dueUs, index) => this.#send(dueUs, index % this.#clients.length),
    });
  }

  async #closedLoop(): Promise<void> {
    const { rate, startUs, endUs } = this.#command;
    const senders = this.#clients.map(async (_, sender) => {
      if (rate === undefined) {
        await untilUs(startUs);
        while (nowUs() < endUs && !this.#stop.signal.aborted) {
          await this.#send(nowUs(), sender);
        }
        return;
      }
      const offsetUs = (sender * 1e6) / Math.max(rate, 1e-9);
      this.#unsent += await runTimetable({
        due: dueTimes(startUs + offsetUs, endUs, rate / this.#clients.length),
        inFlightMax: 1,
        giveUpUs: endUs + catchUpMs * 1_000,
        stop: this.#stop.signal,
        send: (dueUs) => this.#send(dueUs, sender),
      });
    });
    await Promise.all(senders);
  }

  /** Never rejects. */
  async #send(dueUs: number, sender: number): Promise<void> {
    const { roomIds, process, runId, fromUs } = this.#command;
    const roomId = roomIds[this.#sentTotal % roomIds.length] as string;
    const client = this.#clients[sender] as Client<typeof ChatService>;
    const name = `${process}-${sender}`;
    this.#lateMaxUs = Math.max(this.#lateMaxUs, nowUs() - dueUs);
    this.#sent++;
    this.#sentTotal++;
    const message = {
      roomId,
      clientMessageId: stampedId(Math.round(dueUs), `${name}-${this.#sentTotal}`),
      author: { userId: `load-${runId}-${name}`, name: `load ${name}` },
      text: this.#text,
    };
    try {
      const { position } = await client.sendMessage(message, { timeoutMs: answerTimeoutMs });
      this.#accepted++;
      this.#acceptedTotal++;
      if (dueUs >= fromUs) {
        this.#answer.record(nowUs() - dueUs);
      }
      const reached = parsePosition(position);
      const top = this.#tops.get(roomId);
      if (!top || comparePositions(reached, top) > 0) {
        this.#tops.set(roomId, reached);
      }
    } catch (error) {
      this.#failures.add(refusalReason(refusalOf(ConnectError.from(error))));
    }
  }
}

function tell(answer: SendersAnswer): void {
  process.send?.(answer);
}

let senders: Senders | undefined;

process.on("message", (command: SendersCommand) => {
  if (command.do === "stop") {
    senders?.stop();
  } else {
    senders = new Senders(command);
    senders.run().catch((error) => tell({ did: "fail", why: (error as Error).message }));
  }
});
process.on("disconnect", () => process.exit());
