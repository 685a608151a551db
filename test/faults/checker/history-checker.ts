/**
 * Judges a recorded history: nothing lost, nothing twice, nothing out of order, nothing that nobody sent.
 *
 *     I1   a position names one text for ever
 *     I2   each reader sees rising positions, each once; what is missing was told as a gap, and what a slow reader was
 *          not given can be read from the store
 *     I3   acknowledged ⇒ exactly one equal row
 *     I4   not acknowledged ⇒ none or one message; a key has one position, however often it was tried
 *     I5   nothing is delivered or stored that nobody sent, or otherwise than it was sent
 *     I11  a send that began after another one's acknowledgement stands after it, whatever the clocks say
 *
 * That all readers see the same order follows from I1 and I2. Of a reader the checker demands every position between its
 * first and its last: seqs have no holes inside an epoch, and at the change of an epoch, at the begin and at the end it
 * goes by what anybody knows to be there (acknowledged, stored or seen). A history that proves nothing (rows not read, a
 * reader that never ended) is a violation, too.
 *
 * Takes the events one by one and keeps one record a message, one a reader; deliveries leave nothing behind.
 */
import { comparePositions, type Position } from "../../../storage/position.ts";
import {
  type CutEvent,
  type FailEvent,
  type FaultEvent,
  type GapEvent,
  type HistoryEvent,
  type InfoEvent,
  type InvokeEvent,
  type LiveEvent,
  type OkEvent,
  type RowEvent,
  readHistory,
  type SawEvent,
  type StartEvent,
} from "./history-event.ts";
import { type HistoryFigures, Latency } from "./history-figures.ts";
import { parseAnyPosition } from "./parse-position.ts";
import { ReaderRecord } from "./reader-record.ts";
import { type KeyRecord, RoomRecord } from "./room-record.ts";
import { type Violation, type ViolationKind, Violations } from "./violation.ts";

export interface Verdict {
  /** With particulars; of each kind the first ones. Empty: all invariants hold. */
  readonly violations: readonly Violation[];
  /** How many of each kind there are. */
  readonly counts: Readonly<Partial<Record<ViolationKind, number>>>;
  readonly figures: HistoryFigures;
}

/** Checks a whole history. @param events in the order of the recording */
export function checkHistory(events: Iterable<HistoryEvent>): Verdict {
  const checker = new HistoryChecker();
  for (const event of events) {
    checker.add(event);
  }
  return checker.verdict();
}

/** Checks a history that was recorded to a file of JSON lines. */
export async function checkHistoryFile(path: string): Promise<Verdict> {
  const checker = new HistoryChecker();
  for await (const event of readHistory(path)) {
    checker.add(event);
  }
  return checker.verdict();
}

interface Operation {
  readonly invoke: InvokeEvent;
  readonly key: KeyRecord;
  /** The latest fault when it was invoked. */
  readonly fault: FaultRecord | undefined;
}

interface FaultRecord {
  times: number;
  /** When its harm was undone for the last time; undefined while it is not. */
  healedAt: number | undefined;
  readonly afterHeal: Latency;
  readonly reconnect: Latency;
  readonly silent: Latency;
  readonly ack: Latency;
}

class HistoryChecker {
  readonly #violations = new Violations();
  readonly #rooms = new Map<string, RoomRecord>();
  /** By reader, then by room. */
  readonly #readers = new Map<string, Map<string, ReaderRecord>>();
  /** Readers that began anew: their first view. */
  readonly #formerReaders: ReaderRecord[] = [];
  /** Operations without an answer. */
  readonly #operations = new Map<number, Operation>();
  readonly #faults = new Map<string, FaultRecord>();
  #currentFault: FaultRecord | undefined;
  /** The latest fault when the reader noticed that its stream is gone. */
  readonly #cutBy = new Map<ReaderRecord, FaultRecord>();
  readonly #ack = new Latency();
  readonly #delivery = new Latency();
  readonly #reconnect = new Latency();
  readonly #silent = new Latency();
  readonly #figures = {
    events: 0,
    acked: 0,
    unknown: 0,
    refused: 0,
    duplicateAcks: 0,
    retries: 0,
    deliveries: 0,
    rows: 0,
    resets: 0,
    gaps: { "slow-reader": 0, lost: 0, expired: 0, unspecified: 0 },
  };

  /** @param event undefined: a line of the recording that could not be read */
  add(event: HistoryEvent | undefined): void {
    this.#figures.events += 1;
    switch (event?.type) {
      case "saw":
        this.#saw(event);
        break;
      case "invoke":
        this.#invoke(event);
        break;
      case "ok":
        this.#ok(event);
        break;
      case "fail":
      case "info":
        this.#noAck(event);
        break;
      case "start":
        this.#start(event);
        break;
      case "live":
        this.#live(event);
        break;
      case "gap":
        this.#gap(event);
        break;
      case "cut":
        this.#cut(event);
        break;
      case "end": {
        const reader = this.#reader(event);
        if (event.settled) {
          reader?.endSettled();
        } else {
          reader?.end();
        }
        break;
      }
      case "row":
        this.#row(event);
        break;
      case "other": {
        const position = this.#position(event.position, event);
        if (position) {
          this.#room(event.room).other(position);
        }
        break;
      }
      case "rows":
        this.#room(event.room).rowsRead.set(event.source, event.count);
        break;
      case "fault":
        this.#fault(event);
        break;
      default:
        this.#malformed("a line is not an event", event);
    }
  }

  /** Call it once, after the last event. */
  verdict(): Verdict {
    for (const { key } of this.#operations.values()) {
      // The client died before its answer.
      key.unknowns += 1;
      this.#figures.unknown += 1;
    }
    const sources = new Set([...this.#rooms.values()].flatMap(({ rowsRead }) => [...rowsRead.keys()]));
    for (const room of this.#rooms.values()) {
      room.judge(sources);
    }
    const readers = [...this.#readers.values()].flatMap((rooms) => [...rooms.values()]);
    let silentlyMissed = 0;
    let toldLostButStored = 0;
    for (const reader of readers) {
      if (!reader.hasEnded) {
        this.#violations.add("malformed", { about: "a reader began and never ended" });
      }
    }
    for (const reader of [...this.#formerReaders, ...readers]) {
      silentlyMissed += reader.judge();
      toldLostButStored += reader.toldLostButStored;
    }
    const violations = this.#violations;
    const doubled = (["stored-twice", "key-at-two-positions", "seen-twice", "accepted-twice"] as const)
      .map((kind) => violations.count(kind))
      .reduce((sum, count) => sum + count, 0);
    const keys = [...this.#rooms.values()].flatMap((room) => [...room.keys.values()]);
    return {
      violations: violations.kept,
      counts: violations.counts,
      figures: {
        ...this.#figures,
        rooms: this.#rooms.size,
        readers: readers.length,
        messages: keys.length,
        unackedThere: keys.filter((key) => key.acks === 0 && key.position).length,
        lost: violations.count("acked-not-stored"),
        doubled,
        outOfOrder: violations.count("out-of-order") + violations.count("later-send-stands-earlier"),
        silentlyMissed,
        toldLostButStored,
        ackMs: this.#ack.figures(),
        deliveryMs: this.#delivery.figures(),
        reconnectMs: this.#reconnect.figures(),
        silentMs: this.#silent.figures(),
        faults: Object.fromEntries(
          [...this.#faults].map(([name, { times, afterHeal, reconnect, silent, ack }]) => [
            name,
            {
              times,
              reconnectMs: reconnect.figures(),
              afterHealMs: afterHeal.figures(),
              silentMs: silent.figures(),
              ackMs: ack.figures(),
            },
          ]),
        ),
      },
    };
  }

  #invoke(event: InvokeEvent): void {
    const room = this.#room(event.room);
    let key = room.keys.get(event.key);
    if (!key) {
      key = {
        hash: event.hash,
        otherHashes: undefined,
        firstInvokedAt: event.at,
        floor: room.newestAcked,
        operations: 0,
        tries: 0,
        acks: 0,
        firstAcks: 0,
        unknowns: 0,
        position: undefined,
      };
      room.keys.set(event.key, key);
    } else if (key.hash !== event.hash) {
      key.otherHashes = (key.otherHashes ?? new Set()).add(event.hash);
    }
    key.operations += 1;
    if (this.#operations.has(event.op)) {
      this.#malformed("two operations have the same number", event);
    }
    this.#operations.set(event.op, { invoke: event, key, fault: this.#currentFault });
  }

  #ok(event: OkEvent): void {
    const operation = this.#answered(event);
    const position = this.#position(event.position, event);
    if (!operation || !position) {
      return;
    }
    const { invoke, key } = operation;
    const room = this.#room(invoke.room);
    room.claim(position, invoke.key, invoke.hash, event.sentAtMs).acks += 1;
    key.acks += 1;
    key.firstAcks += event.duplicate ? 0 : 1;
    this.#figures.acked += 1;
    this.#figures.duplicateAcks += event.duplicate ? 1 : 0;
    this.#ack.recordNs(event.at - invoke.at);
    operation.fault?.ack.recordNs(event.at - invoke.at);
    if (key.floor && comparePositions(position, key.floor) <= 0) {
      this.#violations.add("later-send-stands-earlier", {
        room: invoke.room,
        position: event.position,
        key: invoke.key,
        about: `${key.floor.epoch}-${key.floor.seq} was acknowledged before it was sent`,
      });
    }
    if (!room.newestAcked || comparePositions(position, room.newestAcked) > 0) {
      room.newestAcked = position;
    }
  }

  #noAck(event: FailEvent | InfoEvent): void {
    const operation = this.#answered(event);
    if (!operation) {
      return;
    }
    if (event.type === "info") {
      operation.key.unknowns += 1;
      this.#figures.unknown += 1;
    } else {
      this.#figures.refused += 1;
    }
  }

  #answered(event: OkEvent | FailEvent | InfoEvent): Operation | undefined {
    const operation = this.#operations.get(event.op);
    if (!operation) {
      this.#malformed("an answer to an operation that does not run", event);
      return undefined;
    }
    this.#operations.delete(event.op);
    operation.key.tries += event.tries;
    this.#figures.retries += event.tries - 1;
    return operation;
  }

  #start(event: StartEvent): void {
    const rooms = this.#readers.get(event.reader) ?? new Map<string, ReaderRecord>();
    this.#readers.set(event.reader, rooms);
    if (rooms.has(event.room)) {
      this.#malformed("a reader begins twice", event);
      return;
    }
    rooms.set(event.room, new ReaderRecord(event, this.#room(event.room)));
  }

  #cut(event: CutEvent): void {
    const reader = this.#reader(event);
    reader?.cut(event.at);
    if (reader && this.#currentFault && !this.#cutBy.has(reader)) {
      this.#cutBy.set(reader, this.#currentFault);
    }
  }

  #live(event: LiveEvent): void {
    const reader = this.#reader(event);
    const away = reader?.live(event.at);
    if (!reader || !away) {
      return;
    }
    this.#reconnect.recordNs(away.reconnectNs);
    this.#silent.recordNs(away.silentNs);
    const fault = this.#cutBy.get(reader);
    if (fault) {
      this.#cutBy.delete(reader);
      fault.reconnect.recordNs(away.reconnectNs);
      fault.silent.recordNs(away.silentNs);
      if (fault.healedAt !== undefined) {
        fault.afterHeal.recordNs(Math.min(away.reconnectNs, event.at - fault.healedAt));
      }
    }
  }

  #saw(event: SawEvent): void {
    const position = this.#position(event.position, event);
    const reader = this.#reader(event);
    if (!position || !reader) {
      return;
    }
    const room = this.#room(event.room);
    room.claim(position, event.key, event.hash, event.sentAtMs).sights += 1;
    reader.saw(position, event.at);
    this.#figures.deliveries += 1;
    const key = room.keys.get(event.key);
    if (key && key.firstInvokedAt >= reader.startedAt) {
      this.#delivery.recordNs(event.at - key.firstInvokedAt);
    }
  }

  #gap(event: GapEvent): void {
    const reader = this.#reader(event);
    if (!reader) {
      return;
    }
    this.#figures.gaps[event.reason] += 1;
    if (event.reset) {
      this.#figures.resets += 1;
      this.#formerReaders.push(reader);
      const { at, reader: name, room } = event;
      const start: StartEvent = { type: "start", at, reader: name, room, anywhere: true };
      this.#readers.get(name)?.set(room, new ReaderRecord(start, this.#room(room)));
      return;
    }
    reader.gap(parseAnyPosition(event.after), parseAnyPosition(event.through), event.reason, event.at);
  }

  #row(event: RowEvent): void {
    const position = this.#position(event.position, event);
    if (position) {
      const room = this.#room(event.room);
      room.row(event.source, position, room.claim(position, event.key, event.hash, event.sentAtMs));
      this.#figures.rows += 1;
    }
  }

  #fault({ name, phase, at }: FaultEvent): void {
    const fault = this.#faults.get(name) ?? {
      times: 0,
      healedAt: undefined,
      afterHeal: new Latency(),
      reconnect: new Latency(),
      silent: new Latency(),
      ack: new Latency(),
    };
    this.#faults.set(name, fault);
    if (phase === "end") {
      fault.healedAt = at;
      return;
    }
    fault.times += 1;
    fault.healedAt = undefined;
    this.#currentFault = fault;
  }

  #room(room: string): RoomRecord {
    let record = this.#rooms.get(room);
    if (!record) {
      record = new RoomRecord(room, this.#violations);
      this.#rooms.set(room, record);
    }
    return record;
  }

  #reader(event: { reader: string; room: string; type: string }): ReaderRecord | undefined {
    const reader = this.#readers.get(event.reader)?.get(event.room);
    if (!reader) {
      this.#malformed("an event of a reader that did not begin", event);
    }
    return reader;
  }

  #position(text: string, event: { type: string }): Position | undefined {
    const position = parseAnyPosition(text);
    if (!position) {
      this.#malformed("a position is not one", event);
    }
    return position;
  }

  #malformed(what: string, event: { type: string } | undefined): void {
    this.#violations.add("malformed", { about: `${what}: ${JSON.stringify(event)}` });
  }
}
