/**
 * One person who writes into a room all the time and never tries again: what a gateway says to a send, and after how long,
 * moment for moment. Its messages are in the history like everybody's.
 */
import type { PlannedRun } from "../driver/fault-run.ts";
import type { HistoryWriter } from "../recorder/history-writer.ts";
import { RecordedSender, type SendOutcome } from "../recorder/recorded-sender.ts";

export interface ProbeAnswer {
  /** When it was sent, performance.now. */
  readonly atMs: number;
  readonly tookMs: number;
  /** "ok", or the code of the refusal. */
  readonly code: string;
}

const everyMs = 50;
/** Sends under way at most: a server that says nothing must not pile them up. */
const underWayMax = 100;

export class SendProbe {
  readonly answers: ProbeAnswer[] = [];
  readonly #sender: RecordedSender;
  readonly #room: string;
  readonly #timer: ReturnType<typeof setInterval>;
  readonly #underWay = new Set<Promise<void>>();
  #sent = 0;

  constructor(parts: { baseUrl: string; room: string; history: HistoryWriter }) {
    this.#room = parts.room;
    this.#sender = new RecordedSender({
      // gRPC over one HTTP/2 connection.
      n: 0,
      author: { userId: "probe", name: "probe", avatar: "🩺" },
      baseUrls: [parts.baseUrl],
      history: parts.history,
      tries: 1,
    });
    this.#timer = setInterval(() => {
      if (this.#underWay.size < underWayMax) {
        const sending = this.#send().finally(() => this.#underWay.delete(sending));
        this.#underWay.add(sending);
      }
    }, everyMs);
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await Promise.all(this.#underWay);
  }

  /** Answers to what was sent from one moment to another. */
  between(fromMs: number, toMs: number): ProbeAnswer[] {
    return this.answers.filter(({ atMs }) => atMs >= fromMs && atMs < toMs);
  }

  /** From a moment until the first answer of this kind came. NaN: none did. */
  untilFirst(fromMs: number, isIt: (answer: ProbeAnswer) => boolean): number {
    const times = this.answers.filter((answer) => answer.atMs >= fromMs && isIt(answer)).map(endOf);
    return times.length === 0 ? Number.NaN : Math.min(...times) - fromMs;
  }

  async #send(): Promise<void> {
    const atMs = performance.now();
    const id = `probe-${this.#sent++}`;
    const outcome: SendOutcome = await this.#sender.send(this.#room, id, `${id} 🩺`);
    this.answers.push({
      atMs,
      tookMs: performance.now() - atMs,
      code: outcome.kind === "ok" ? "ok" : outcome.code,
    });
  }
}

function endOf({ atMs, tookMs }: ProbeAnswer): number {
  return atMs + tookMs;
}

/** Into the first room of a run, at the first gateway. */
export function startProbe({ deployment, load, history }: PlannedRun): SendProbe {
  return new SendProbe({ baseUrl: deployment.gatewayUrls[0] as string, room: load.roomIds[0] as string, history });
}

/** "p50 3.1 ms, p99 41 ms, longest 57 ms": how long answers took. */
export function tookMs(answers: readonly ProbeAnswer[], share: number): number {
  const sorted = answers.map((answer) => answer.tookMs).toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

/** "Unavailable 41, ok 3" */
export function codesOf(answers: readonly ProbeAnswer[]): string {
  const counts = new Map<string, number>();
  for (const { code } of answers) {
    counts.set(code, (counts.get(code) ?? 0) + 1);
  }
  return [...counts].map(([code, count]) => `${code} ${count}`).join(", ") || "none";
}
