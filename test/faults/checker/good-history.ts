/**
 * Histories in which all is well, made by simulating a gateway, its clients and its store: what the checker must accept,
 * and what faults are planted into. The same seed, the same history.
 */
import { seededRandom } from "../../../lib/seeded-random.ts";
import type { HistoryEvent, StartEvent } from "./history-event.ts";

export interface GoodHistoryOptions {
  seed: number;
  /** How many steps the simulation takes; a step gives about one event, and each message one more a reader. */
  steps: number;
  rooms: number;
  readersPerRoom: number;
  /** Turns of the log into a new epoch, calls without an answer, gaps, cuts and so on. Default true. */
  withTrouble?: boolean;
}

interface Entry {
  position: string;
  key: string;
  hash: string;
  sentAtMs: number;
  /** No message. */
  other: boolean;
}

interface Room {
  id: string;
  epoch: number;
  seq: number;
  log: Entry[];
  byKey: Map<string, Entry>;
  readers: Reader[];
}

interface Reader {
  name: string;
  /** Index into the log. */
  next: number;
  live: boolean;
}

interface Operation {
  op: number;
  room: Room;
  key: string;
  hash: string;
  /** How many operations this key has had before. */
  repetition: boolean;
}

/** An operation runs at most beside so many others. */
const operationsMax = 8;

export function goodHistory(options: GoodHistoryOptions): HistoryEvent[] {
  return new Simulation(options).run();
}

class Simulation {
  readonly #random: () => number;
  readonly #steps: number;
  readonly #trouble: boolean;
  readonly #rooms: Room[];
  readonly #events: HistoryEvent[] = [];
  readonly #open: Operation[] = [];
  /** Keys whose fate the client does not know, or that it sends again though it does. */
  readonly #again: Operation[] = [];
  #at = 1_000;
  #ops = 0;

  constructor({ seed, steps, rooms, readersPerRoom, withTrouble = true }: GoodHistoryOptions) {
    this.#random = seededRandom(seed);
    this.#steps = steps;
    this.#trouble = withTrouble;
    this.#rooms = Array.from({ length: rooms }, (_, r) => ({
      id: `room-${r}`,
      epoch: 1_700_000_000_000 + r,
      seq: 0,
      log: [],
      byKey: new Map(),
      readers: Array.from({ length: readersPerRoom }, (_, n) => ({ name: `reader-${r}-${n}`, next: -1, live: false })),
    }));
  }

  run(): HistoryEvent[] {
    for (let step = 0; step < this.#steps; step++) {
      this.#step();
    }
    for (const operation of this.#open.splice(0)) {
      this.#answer(operation);
    }
    for (const room of this.#rooms) {
      for (const reader of room.readers) {
        this.#settle(room, reader);
      }
    }
    for (const room of this.#rooms) {
      this.#rows(room);
    }
    return this.#events;
  }

  #step(): void {
    const room = this.#pick(this.#rooms);
    const dice = this.#random();
    if (dice < 0.35) {
      this.#invoke(room);
    } else if (dice < 0.7) {
      const index = Math.floor(this.#random() * this.#open.length);
      const [operation] = this.#open.splice(index, 1);
      if (operation) {
        this.#answer(operation);
      }
    } else if (dice < 0.97 || !this.#trouble) {
      const reader = this.#pick(room.readers);
      this.#read(room, reader, Math.ceil(this.#random() * 10));
    } else {
      this.#makeTrouble(room);
    }
  }

  #invoke(room: Room): void {
    if (this.#open.length >= operationsMax) {
      return;
    }
    const repeated = this.#random() < 0.3 ? this.#again.pop() : undefined;
    const op = this.#ops++;
    const operation = repeated
      ? { ...repeated, op, repetition: true }
      : { op, room, key: `user-${op % 7}/key-${op}`, hash: `hash-${op}`, repetition: false };
    this.#open.push(operation);
    const { key, hash } = operation;
    this.#record({ type: "invoke", at: this.#tick(), op, room: operation.room.id, key, hash });
  }

  #answer(operation: Operation): void {
    const { op, room, key, repetition } = operation;
    const dice = this.#trouble ? this.#random() : 1;
    if (dice < 0.03 && !repetition) {
      this.#record({ type: "fail", at: this.#tick(), op, tries: 1, code: "resource_exhausted" });
      return;
    }
    const before = room.byKey.get(key);
    if (dice < 0.1) {
      // The call got through, or it did not.
      if (!before && this.#random() < 0.5) {
        this.#append(operation);
      }
      this.#record({ type: "info", at: this.#tick(), op, tries: 1 + (op % 3), code: "unavailable" });
      if (this.#random() < 0.7) {
        this.#again.push(operation);
      }
      return;
    }
    const { position, sentAtMs } = before ?? this.#append(operation);
    const duplicate = before !== undefined;
    this.#record({ type: "ok", at: this.#tick(), op, position, sentAtMs, duplicate, tries: 1 });
    if (dice > 0.95) {
      this.#again.push(operation);
    }
  }

  #append({ room, key, hash }: Operation): Entry {
    const position = `${room.epoch}-${room.seq++}`;
    const entry = { position, key, hash, sentAtMs: 1_700_000_000_000 + this.#at, other: false };
    room.log.push(entry);
    room.byKey.set(key, entry);
    return entry;
  }

  #makeTrouble(room: Room): void {
    const dice = this.#random();
    const reader = this.#pick(room.readers);
    const { name } = reader;
    if (dice < 0.1) {
      room.epoch += 1 + Math.floor(this.#random() * 1_000);
      room.seq = 0;
    } else if (dice < 0.3) {
      const position = `${room.epoch}-${room.seq++}`;
      room.log.push({ position, key: "", hash: "", sentAtMs: 0, other: true });
    } else if (reader.next < 0) {
      return;
    } else if (dice < 0.6) {
      this.#record({ type: "cut", at: this.#tick(), reader: name, room: room.id, why: "failed" });
      reader.live = false;
    } else if (dice < 0.8) {
      this.#skip(room, reader);
    } else if (dice < 0.9) {
      // The log was restored and nothing was missing after all, which nobody could know.
      const after = room.log[reader.next - 1]?.position ?? "";
      this.#record({ type: "gap", at: this.#tick(), reader: name, room: room.id, after, through: "", reason: "lost" });
    }
  }

  /** The reader was slow: some messages of one epoch are left out and named. */
  #skip(room: Room, reader: Reader): void {
    const first = room.log[reader.next];
    const epoch = first?.position.split("-")[0];
    const skipped = room.log
      .slice(reader.next, reader.next + 1 + Math.floor(this.#random() * 5))
      .filter(({ position }) => position.startsWith(`${epoch}-`));
    const last = skipped.at(-1);
    if (!first || !last || !epoch) {
      return;
    }
    const seq = Number(first.position.split("-")[1]);
    const after = seq === 0 ? (room.log[reader.next - 1]?.position ?? "") : `${epoch}-${seq - 1}`;
    const through = last.position;
    const { name } = reader;
    this.#record({ type: "gap", at: this.#tick(), reader: name, room: room.id, after, through, reason: "slow-reader" });
    reader.next += skipped.length;
  }

  #read(room: Room, reader: Reader, entriesMax: number): void {
    if (reader.next < 0) {
      this.#start(room, reader);
    } else if (!reader.live) {
      reader.live = true;
      const resumedFrom = room.log[reader.next - 1]?.position ?? "";
      this.#record({ type: "live", at: this.#tick(), reader: reader.name, room: room.id, resumedFrom });
    }
    for (const entry of room.log.slice(reader.next, reader.next + entriesMax)) {
      this.#deliver(room, reader, entry);
    }
  }

  #start(room: Room, reader: Reader): void {
    const start: StartEvent = { type: "start", at: this.#tick(), reader: reader.name, room: room.id };
    const top = room.log.at(-1)?.position ?? "";
    const dice = this.#random();
    if (dice < 0.3) {
      this.#record({ ...start, after: "" });
      reader.next = 0;
    } else if (dice < 0.5) {
      reader.next = Math.floor(this.#random() * (room.log.length + 1));
      this.#record({ ...start, after: room.log[reader.next - 1]?.position ?? "" });
    } else {
      const tail = dice < 0.7 ? 0 : Math.floor(this.#random() * 20);
      this.#record({ ...start, tail, top });
      reader.next = Math.max(0, room.log.length - tail);
      for (const entry of room.log.slice(reader.next)) {
        this.#deliver(room, reader, entry);
      }
    }
    reader.live = true;
    this.#record({ type: "live", at: this.#tick(), reader: reader.name, room: room.id });
  }

  #deliver(room: Room, reader: Reader, { position, key, hash, sentAtMs, other }: Entry): void {
    reader.next += 1;
    if (!other) {
      const { name } = reader;
      this.#record({ type: "saw", at: this.#tick(), reader: name, room: room.id, position, key, hash, sentAtMs });
    }
  }

  #settle(room: Room, reader: Reader): void {
    this.#read(room, reader, Number.POSITIVE_INFINITY);
    this.#record({ type: "end", at: this.#tick(), reader: reader.name, room: room.id, settled: true });
  }

  #rows({ id, log }: Room): void {
    const messages = log.filter(({ other }) => !other);
    for (const { position } of log.filter(({ other }) => other)) {
      this.#record({ type: "other", room: id, position });
    }
    for (const source of ["storage", "api"] as const) {
      for (const { position, key, hash, sentAtMs } of messages) {
        this.#record({ type: "row", room: id, source, position, key, hash, sentAtMs });
      }
      this.#record({ type: "rows", room: id, source, count: messages.length });
    }
  }

  #record(event: HistoryEvent): void {
    this.#events.push(event);
  }

  #tick(): number {
    this.#at += 1 + Math.floor(this.#random() * 1_000_000);
    return this.#at;
  }

  #pick<T>(items: readonly T[]): T {
    return items[Math.floor(this.#random() * items.length)] as T;
  }
}
