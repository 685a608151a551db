/**
 * The people of a run: readers in every room on every protocol, senders who talk at a rate, senders who say the same
 * twice, and readers who come late, read back and leave. All of them write the history.
 *
 * Owns all clients of the run; `settle` brings them to the point at which everything must have arrived.
 */
import { comparePositions, formatPosition, type Position, parsePosition } from "../../../storage/position.ts";
import { waitFor } from "../../harness/wait-for.ts";
import { transportOf } from "../recorder/client-ways.ts";
import type { HistoryWriter } from "../recorder/history-writer.ts";
import { RecordedReader } from "../recorder/recorded-reader.ts";
import { RecordedSender } from "../recorder/recorded-sender.ts";
import { StallingTransport } from "../recorder/stalling-transport.ts";

export interface LoadOptions {
  readonly roomIds: readonly string[];
  readonly readersPerRoom: number;
  readonly people: number;
  /** New messages a second, over all rooms. */
  readonly messagesPerSecond: number;
}

interface Person {
  /** Two clients of one person, as a telephone and a computer: they may send the same message at the same time. */
  readonly devices: readonly [RecordedSender, RecordedSender];
}

/** Sends under way at most; beyond it no new ones begin, so that a gateway that is away does not pile them up. */
const underWayMax = 400;
/** How many late readers there are at once. */
const latecomersMax = 4;
/**
 * How often a message whose fate is unknown is sent again under its key, each time with all the library's own tries. All
 * of them together stay far below the five minutes for which the gateway knows a key.
 */
const repetitionsMax = 4;
/** After the last fault: until all that is under way has an answer, and until everyone has everything. */
const answersTimeoutMs = 200_000;
const upToDateTimeoutMs = 60_000;

export class Load {
  readonly #options: LoadOptions;
  readonly #urlsOf: (client: number) => readonly string[];
  readonly #history: HistoryWriter;
  readonly #random: () => number;
  readonly #readers: RecordedReader[] = [];
  /** The line of each reader, to leave it unread. */
  readonly #lines = new Map<RecordedReader, StallingTransport>();
  readonly #latecomers: RecordedReader[] = [];
  readonly #people: Person[];
  readonly #newest = new Map<string, Position>();
  readonly #acked = new Map<string, Set<string>>();
  #underWay = 0;
  #messages = 0;
  #clients = 0;
  #skipped = 0;
  #stopTalking: (() => void) | undefined;

  /** @param urlsOf where the n-th client finds the gateways; each client begins at another one */
  constructor(parts: {
    options: LoadOptions;
    urlsOf: (client: number) => readonly string[];
    history: HistoryWriter;
    random: () => number;
  }) {
    this.#options = parts.options;
    this.#urlsOf = parts.urlsOf;
    this.#history = parts.history;
    this.#random = parts.random;
    this.#people = Array.from({ length: parts.options.people }, (_, n) => this.#person(n));
  }

  /** Messages that were not sent because too many were under way. */
  get skipped(): number {
    return this.#skipped;
  }

  /** Sends that have no answer yet. */
  get underWay(): number {
    return this.#underWay;
  }

  /** The newest position that was acknowledged. */
  newestIn(roomId: string): string | undefined {
    const newest = this.#newest.get(roomId);
    return newest && formatPosition(newest);
  }

  /** Different messages that were acknowledged, by room. */
  ackedIn(roomId: string): number {
    return this.#acked.get(roomId)?.size ?? 0;
  }

  /** Opens the readers and resolves when all are live. */
  async openReaders(): Promise<void> {
    for (const room of this.#options.roomIds) {
      for (let n = 0; n < this.#options.readersPerRoom; n++) {
        this.#readers.push(this.#reader(`${room}-reader-${n}`, room, { tail: n % 3 === 0 ? 0 : 500 }));
      }
    }
    await this.allLive();
  }

  /** Resolves when all readers are live. @throws {Error} they are not in time */
  async allLive(): Promise<void> {
    const away = () => this.#readers.filter((reader) => !reader.isLive);
    try {
      await waitFor("every reader is live", () => away().length === 0, upToDateTimeoutMs);
    } catch (error) {
      this.checkAlive();
      throw new Error(`not live: ${away().map(({ name }) => name)}`, { cause: error });
    }
  }

  /** People begin to talk, and readers to come and go. */
  start(): void {
    const periodMs = 1_000 / this.#options.messagesPerSecond;
    const startedMs = performance.now();
    let due = 0;
    const talk = setInterval(
      () => {
        const now = Math.floor((performance.now() - startedMs) / periodMs);
        for (; due < now; due++) {
          this.#say();
        }
      },
      Math.max(5, periodMs),
    );
    const visit = setInterval(() => this.#visit(), 1_000);
    this.#stopTalking = () => {
      clearInterval(talk);
      clearInterval(visit);
    };
  }

  /** Some readers of a room, at random, read nothing for a while. @returns lets them go on */
  stallReaders(roomId: string): () => void {
    const stalled = this.#readers
      .filter((reader) => reader.room === roomId && this.#random() < 0.5)
      .map((reader) => this.#lines.get(reader));
    for (const line of stalled) {
      line?.stall();
    }
    return () => {
      for (const line of stalled) {
        line?.goOn();
      }
    };
  }

  /** Many long messages in one room, one after the other from each device. Resolves when all have an answer. */
  async flood(roomId: string, messagesPerDevice: number): Promise<void> {
    const filler = "긴 글 ".repeat(120);
    const devices = this.#people.flatMap((person) => person.devices);
    await Promise.all(
      devices.map(async (device) => {
        for (let left = messagesPerDevice; left > 0; left--) {
          const key = `m-${this.#messages++}`;
          await this.#send(device, roomId, key, `${key} ${filler}`.trimEnd());
        }
      }),
    );
  }

  get roomIds(): readonly string[] {
    return this.#options.roomIds;
  }

  /** No new messages and no new readers from here on. */
  stop(): void {
    this.#stopTalking?.();
    this.#stopTalking = undefined;
  }

  /** @throws what ended a reader before its time */
  checkAlive(): void {
    for (const reader of [...this.#readers, ...this.#latecomers]) {
      reader.checkAlive();
    }
  }

  /**
   * Waits until every send has an answer and every reader has everything; then all readers are stopped. One that has
   * not got there in time is stopped all the same: the checker then says what it missed.
   */
  async settle(): Promise<void> {
    this.stop();
    await waitFor("every send has an answer", () => this.#underWay === 0, answersTimeoutMs);
    await waitFor(
      "every reader is up to date",
      () => this.#options.roomIds.every((room) => this.#areUpToDate(room)),
      upToDateTimeoutMs,
    ).catch(() => {});
    for (const reader of this.#readers) {
      reader.stop(true);
    }
    this.close();
  }

  /** Ends every client. */
  close(): void {
    this.stop();
    for (const reader of [...this.#readers, ...this.#latecomers.splice(0)]) {
      reader.stop(false);
    }
  }

  /** All readers of the room stand where the newest acknowledged message is, or together after it. */
  #areUpToDate(room: string): boolean {
    const readers = this.#readers.filter((reader) => reader.room === room);
    const newest = this.#newest.get(room);
    const cursors = new Set(readers.map(({ cursor }) => cursor));
    return newest === undefined || (cursors.size === 1 && readers.every((reader) => reader.hasReached(newest)));
  }

  #person(n: number): Person {
    const author = { userId: `user-${n}`, name: `사람 ${n}`, avatar: "🦊" };
    const device = () => {
      const client = this.#clients++;
      return new RecordedSender({ n: client, author, baseUrls: this.#urlsOf(client), history: this.#history });
    };
    return { devices: [device(), device()] };
  }

  #reader(name: string, room: string, start: { tail: number } | { after: string }): RecordedReader {
    const client = this.#clients++;
    const transport = new StallingTransport(transportOf(client, this.#urlsOf(client)));
    const reader = new RecordedReader({ name, room, transport, start, history: this.#history });
    this.#lines.set(reader, transport);
    return reader;
  }

  #say(): void {
    if (this.#underWay >= underWayMax) {
      this.#skipped += 1;
      return;
    }
    const person = this.#pick(this.#people);
    const room = this.#pick(this.#options.roomIds);
    const key = `m-${this.#messages++}`;
    const text = this.#text(key);
    if (this.#random() < 0.1) {
      void this.#sayTwice(person, room, key, text);
    } else {
      void this.#send(this.#pick(person.devices), room, key, text);
    }
  }

  /** Both devices say the same at the same time, and one of them again after the answer: one message. */
  async #sayTwice({ devices: [one, other] }: Person, room: string, key: string, text: string): Promise<void> {
    await Promise.all([this.#send(one, room, key, text), this.#send(other, room, key, text)]);
    await this.#send(one, room, key, text);
  }

  async #send(device: RecordedSender, room: string, key: string, text: string): Promise<void> {
    this.#underWay += 1;
    for (let repetition = 0; repetition <= repetitionsMax; repetition++) {
      const outcome = await device.send(room, key, text);
      if (outcome.kind === "ok") {
        this.#noteAck(room, outcome.sent.position);
      }
      if (outcome.kind !== "info") {
        break;
      }
    }
    this.#underWay -= 1;
  }

  #noteAck(room: string, text: string): void {
    const position = parsePosition(text);
    const newest = this.#newest.get(room);
    if (!newest || comparePositions(position, newest) > 0) {
      this.#newest.set(room, position);
    }
    const acked = this.#acked.get(room) ?? new Set();
    this.#acked.set(room, acked.add(text));
  }

  /** A reader comes with a tail or an old cursor, stays a while and goes. */
  #visit(): void {
    if (this.#latecomers.length >= latecomersMax) {
      const [oldest] = this.#latecomers.splice(0, 1);
      oldest?.stop(false);
      this.#lines.delete(oldest as RecordedReader);
    }
    const room = this.#pick(this.#options.roomIds);
    const known = [...(this.#acked.get(room) ?? [])];
    const after = known.length > 0 && this.#random() < 0.5 ? this.#pick(known) : undefined;
    const start = after ? { after } : { tail: Math.floor(this.#random() * 100) };
    this.#latecomers.push(this.#reader(`${room}-latecomer-${this.#clients}`, room, start));
  }

  /** 1 to 300 characters, of several scripts; no two the same. */
  #text(key: string): string {
    const words = ["안녕하세요", "stream", "🎉🎉", "ㅋㅋㅋ", "“quoted”", "naïve", "\n", "\t", "ه", "\\u0000"];
    const length = Math.floor(this.#random() ** 3 * 40);
    const text = [key, ...Array.from({ length }, () => this.#pick(words))].join(" ");
    // By code points: half an emoji would not be text.
    return [...text].slice(0, 300).join("").trimEnd();
  }

  #pick<T>(items: readonly T[]): T {
    return items[Math.floor(this.#random() * items.length)] as T;
  }
}
