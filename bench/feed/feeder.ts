/**
 * The feeder's engine: says one line after the other, each when it is due.
 *
 * Open loop: message n is due n/rate seconds after the start, and a slow answer delays nobody else's message, as in a
 * room of people who do not wait for each other. Only when `inFlightMax` messages are under way does it wait; then it
 * falls behind its timetable, says so in the report, and catches up when it can. Owns the place in the lines and the
 * messages under way.
 */
import type { AuthorInit, ChatClient, Clock } from "../../client/index.ts";
import { refusalOf } from "../../client/index.ts";
import type { FeedReport } from "./feed-report.ts";
import { refusalReason } from "./refusal-reason.ts";

export interface FeederOptions {
  chat: Pick<ChatClient, "send">;
  roomId: string;
  /** At least one. */
  lines: readonly string[];
  /** Who says them; at least one. */
  people: readonly AuthorInit[];
  ratePerSecond: number;
  /** Infinity: all lines, with `loop` for ever. */
  messagesMax: number;
  durationMs: number;
  loop: boolean;
  inFlightMax: number;
  random: () => number;
  clock: Clock;
  report: FeedReport;
}

/** After a stop, messages under way have so long to be answered. */
const graceMs = 5_000;

export class Feeder {
  readonly #options: FeederOptions;
  readonly #total: number;
  /** Aborts what is under way, at the end of the grace time. */
  readonly #giveUp = new AbortController();
  readonly #done = Promise.withResolvers<void>();
  #startedMs = 0;
  #stopped = false;
  #cancelWake: (() => void) | undefined;
  #cancelGrace: (() => void) | undefined;
  #lastSpeaker: AuthorInit | undefined;

  constructor(options: FeederOptions) {
    this.#options = options;
    this.#total = Math.min(options.messagesMax, options.loop ? Number.POSITIVE_INFINITY : options.lines.length);
  }

  /** Sends everything. Resolves when each message sent was accepted or given up. Call once. */
  run(): Promise<void> {
    this.#startedMs = this.#options.clock.now();
    this.#sendWhatIsDue();
    return this.#done.promise;
  }

  /** Sends no more; what is under way has 5 s. */
  stop(): void {
    if (this.#stopped) {
      return;
    }
    this.#stopped = true;
    this.#cancelWake?.();
    this.#cancelGrace = this.#options.clock.after(graceMs, () => this.#giveUp.abort());
    this.#finishIfIdle();
  }

  get elapsedMs(): number {
    return this.#options.clock.now() - this.#startedMs;
  }

  #sendWhatIsDue(): void {
    const { clock, report, durationMs, inFlightMax } = this.#options;
    this.#cancelWake?.();
    this.#cancelWake = undefined;
    while (!this.#stopped) {
      const dueMs = this.#dueMs(report.sent);
      if (report.sent >= this.#total || dueMs - this.#startedMs >= durationMs || this.elapsedMs >= durationMs) {
        this.#stopped = true;
        break;
      }
      const waitMs = dueMs - clock.now();
      if (waitMs > 0) {
        report.countBehind(0);
        this.#cancelWake = clock.after(waitMs, () => this.#sendWhatIsDue());
        return;
      }
      report.countBehind(clock.now() - dueMs);
      if (report.inFlight >= inFlightMax) {
        // The next answer goes on, or the end of the duration.
        this.#cancelWake = clock.after(this.#startedMs + durationMs - clock.now(), () => this.#sendWhatIsDue());
        return;
      }
      this.#send(dueMs);
    }
    this.#finishIfIdle();
  }

  #dueMs(message: number): number {
    return this.#startedMs + (message * 1_000) / this.#options.ratePerSecond;
  }

  async #send(dueMs: number): Promise<void> {
    const { chat, roomId, lines, report, clock } = this.#options;
    const text = lines[report.sent % lines.length] as string;
    report.sent += 1;
    try {
      const { duplicate } = await chat.send({ roomId, text, author: this.#speaker() }, { signal: this.#giveUp.signal });
      report.countAccepted(clock.now() - dueMs, duplicate);
    } catch (error) {
      report.countFailure(this.#giveUp.signal.aborted ? "unanswered" : refusalReason(refusalOf(error)));
    }
    if (this.#stopped) {
      this.#finishIfIdle();
    } else {
      this.#sendWhatIsDue();
    }
  }

  /** Somebody else than the one who spoke last, where there is one. */
  #speaker(): AuthorInit {
    const { people, random } = this.#options;
    let at = Math.floor(random() * people.length);
    if (people[at] === this.#lastSpeaker) {
      at = (at + 1) % people.length;
    }
    this.#lastSpeaker = people[at];
    return people[at] as AuthorInit;
  }

  #finishIfIdle(): void {
    if (this.#stopped && this.#options.report.inFlight === 0) {
      this.#cancelGrace?.();
      this.#done.resolve();
    }
  }
}
