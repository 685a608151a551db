/**
 * Faults to plant into good histories, each with the kind of finding that the checker must make of it. A plant changes a
 * copy and says whether it found a place.
 */
import type { HistoryEvent, InvokeEvent, OkEvent, RowEvent, SawEvent } from "./history-event.ts";
import type { ViolationKind } from "./violation.ts";

type Plant = (events: HistoryEvent[], random: () => number) => boolean;

export interface PlantedFault {
  readonly name: string;
  /** Must be found. */
  readonly finds: ViolationKind;
  /** May be found beside it. */
  readonly besides: readonly ViolationKind[];
  /** @returns the history with the fault in it; undefined where the history has no place for it */
  plant(events: readonly HistoryEvent[], random: () => number): HistoryEvent[] | undefined;
}

/** Two positions of one epoch, one after the other, as seen by one reader without anything between. */
function neighbours(events: readonly HistoryEvent[], index: number): number | undefined {
  const first = events[index] as SawEvent;
  const next = nextOfReader(events, index);
  const second = events[next];
  return second?.type === "saw" && followsOn(first.position, second.position) ? next : undefined;
}

/** The next event of the reader of an event; -1: none. */
function nextOfReader(events: readonly HistoryEvent[], index: number): number {
  const reader = readerOf(events[index]);
  for (let at = index + 1; at < events.length; at++) {
    if (readerOf(events[at]) === reader) {
      return at;
    }
  }
  return -1;
}

function previousOfReader(events: readonly HistoryEvent[], index: number): HistoryEvent | undefined {
  const reader = readerOf(events[index]);
  for (let at = index - 1; at >= 0; at--) {
    if (readerOf(events[at]) === reader) {
      return events[at];
    }
  }
  return undefined;
}

function readerOf(event: HistoryEvent | undefined): string | undefined {
  return event && "reader" in event ? event.reader : undefined;
}

function followsOn(first: string, second: string): boolean {
  const [epoch, seq] = first.split("-");
  return second === `${epoch}-${Number(seq) + 1}`;
}

function indicesOf(events: readonly HistoryEvent[], wanted: (event: HistoryEvent) => boolean): number[] {
  return events.flatMap((event, index) => (wanted(event) ? [index] : []));
}

/** Tries places in random order, at most 200, until one fits. */
function somewhere(
  wanted: (event: HistoryEvent) => boolean,
  change: (events: HistoryEvent[], index: number, random: () => number) => boolean,
): Plant {
  return (events, random) => {
    const places = indicesOf(events, wanted);
    for (let left = 200; left > 0 && places.length > 0; left--) {
      const [index] = places.splice(Math.floor(random() * places.length), 1);
      if (change(events, index as number, random)) {
        return true;
      }
    }
    return false;
  };
}

function fault(name: string, finds: ViolationKind, plant: Plant, besides: readonly ViolationKind[] = []): PlantedFault {
  return {
    name,
    finds,
    besides,
    plant(events, random) {
      const copy = [...events];
      return plant(copy, random) ? copy : undefined;
    },
  };
}

const isSaw = (event: HistoryEvent): event is SawEvent => event.type === "saw";
const isRow = (event: HistoryEvent): event is RowEvent => event.type === "row";
const isOk = (event: HistoryEvent): event is OkEvent => event.type === "ok";

function ackedPositions(events: readonly HistoryEvent[]): Set<string> {
  return new Set(events.filter(isOk).map(({ position }) => position));
}

/** Changes the count that the recording announces, so that the recording itself stays sound. */
function recount(events: HistoryEvent[], { room, source }: RowEvent, by: number): void {
  const index = events.findIndex((event) => event.type === "rows" && event.room === room && event.source === source);
  const rows = events[index];
  if (rows?.type === "rows") {
    events[index] = { ...rows, count: rows.count + by };
  }
}

function removeRow(events: HistoryEvent[], index: number): void {
  recount(events, events[index] as RowEvent, -1);
  events.splice(index, 1);
}

export const plantedFaults: readonly PlantedFault[] = [
  fault(
    "a delivery is dropped",
    "silent-hole",
    somewhere(isSaw, (events, index) => {
      // What comes before and after it shows the hole.
      if (neighbours(events, index) === undefined || previousOfReader(events, index)?.type !== "saw") {
        return false;
      }
      events.splice(index, 1);
      return true;
    }),
    ["tail-short"],
  ),
  fault(
    "the last delivery is dropped",
    "ended-short",
    somewhere(isSaw, (events, index) => {
      if (events[nextOfReader(events, index)]?.type !== "end" || previousOfReader(events, index)?.type !== "saw") {
        return false;
      }
      events.splice(index, 1);
      return true;
    }),
    ["tail-short"],
  ),
  fault(
    "a delivery comes twice",
    "seen-twice",
    somewhere(isSaw, (events, index) => {
      events.splice(index + 1, 0, events[index] as SawEvent);
      return true;
    }),
  ),
  fault(
    "an old delivery comes again",
    "seen-twice",
    somewhere(isSaw, (events, index) => {
      const { reader } = events[index] as SawEvent;
      const later = events.findIndex((event, at) => at > index + 5 && isSaw(event) && event.reader === reader);
      if (later < 0) {
        return false;
      }
      events.splice(later + 1, 0, events[index] as SawEvent);
      return true;
    }),
  ),
  fault(
    "two deliveries are swapped",
    "out-of-order",
    somewhere(isSaw, (events, index) => {
      const next = neighbours(events, index);
      if (next === undefined) {
        return false;
      }
      const [first, second] = [events[index], events[next]] as [SawEvent, SawEvent];
      events[index] = { ...second, at: first.at };
      events[next] = { ...first, at: second.at };
      return true;
    }),
  ),
  fault(
    "a delivered text is changed",
    "altered",
    somewhere(isSaw, (events, index) => {
      events[index] = { ...(events[index] as SawEvent), hash: "changed" };
      return true;
    }),
  ),
  fault("a delivered time is changed", "position-names-two", (events, random) => {
    const acked = ackedPositions(events);
    return somewhere(
      (event) => isSaw(event) && acked.has(event.position),
      (copy, index) => {
        const saw = copy[index] as SawEvent;
        copy[index] = { ...saw, sentAtMs: saw.sentAtMs + 1 };
        return true;
      },
    )(events, random);
  }),
  fault(
    "a position is used for another message",
    "position-names-two",
    (events, random) => {
      const acked = new Set(events.filter(isOk).map(({ position }) => position));
      return somewhere(
        (event) => isSaw(event) && acked.has(event.position),
        (copy, index) => {
          const saw = copy[index] as SawEvent;
          // Sent, and found nowhere else.
          copy.splice(
            index,
            0,
            { type: "invoke", at: saw.at - 2, op: 1e9, room: saw.room, key: "late/key", hash: "late" },
            { type: "info", at: saw.at - 1, op: 1e9, tries: 1, code: "unavailable" },
          );
          copy[index + 2] = { ...saw, key: "late/key", hash: "late" };
          return true;
        },
      )(events, random);
    },
    ["seen-not-stored"],
  ),
  fault(
    "an acknowledgement names a position that another message has",
    "position-names-two",
    (events, random) => {
      const invoked = new Map(events.flatMap((event) => (event.type === "invoke" ? [[event.op, event.room]] : [])));
      return somewhere(isOk, (copy, index) => {
        const ok = copy[index] as OkEvent;
        const room = invoked.get(ok.op);
        const other = copy.find(
          (event): event is OkEvent =>
            isOk(event) && invoked.get(event.op) === room && event.position !== ok.position && !event.duplicate,
        );
        if (!other) {
          return false;
        }
        copy[index] = { ...ok, position: other.position, sentAtMs: other.sentAtMs };
        return true;
      })(events, random);
    },
    ["key-at-two-positions", "acked-not-stored", "later-send-stands-earlier", "stored-twice", "seen-not-stored"],
  ),
  fault(
    "a reader is given what nobody sent",
    "nobody-sent-it",
    somewhere(isSaw, (events, index) => {
      events[index] = { ...(events[index] as SawEvent), key: "ghost/key", hash: "ghost" };
      return true;
    }),
  ),
  fault(
    "a row holds what nobody sent",
    "nobody-sent-it",
    somewhere(isRow, (events, index) => {
      const row = events[index] as RowEvent;
      const last = events.findLastIndex(
        (event) => isRow(event) && event.room === row.room && event.source === row.source,
      );
      const [epoch, seq] = (events[last] as RowEvent).position.split("-");
      const position = `${epoch}-${Number(seq) + 1}`;
      events.splice(last + 1, 0, { ...row, position, key: "ghost/key", hash: "ghost" });
      recount(events, row, 1);
      return true;
    }),
  ),
  fault("an acknowledged message has no row", "acked-not-stored", (events, random) => {
    const acked = ackedPositions(events);
    return somewhere(
      (event) => isRow(event) && acked.has(event.position),
      (copy, index) => {
        removeRow(copy, index);
        return true;
      },
    )(events, random);
  }),
  fault("a delivered message without an acknowledgement has no row", "seen-not-stored", (events, random) => {
    const acked = ackedPositions(events);
    const seen = new Set(events.filter(isSaw).map(({ position }) => position));
    return somewhere(
      (event) => isRow(event) && !acked.has(event.position) && seen.has(event.position),
      (copy, index) => {
        removeRow(copy, index);
        return true;
      },
    )(events, random);
  }),
  fault(
    "a row comes twice",
    "stored-twice",
    somewhere(isRow, (events, index) => {
      const row = events[index] as RowEvent;
      events.splice(index, 0, row);
      recount(events, row, 1);
      return true;
    }),
  ),
  fault(
    "a message has a second row under another position",
    "key-at-two-positions",
    somewhere(isRow, (events, index) => {
      const row = events[index] as RowEvent;
      const last = events.findLastIndex(
        (event) => isRow(event) && event.room === row.room && event.source === row.source,
      );
      const [epoch, seq] = (events[last] as RowEvent).position.split("-");
      events.splice(last + 1, 0, { ...row, position: `${epoch}-${Number(seq) + 1_000}` });
      recount(events, row, 1);
      return true;
    }),
    // Of a message that was acknowledged it is also a second row of an acknowledged message, which has none in the other source.
    ["stored-twice", "seen-not-stored", "stored-in-part"],
  ),
  fault(
    "a row differs in its text",
    "row-differs",
    (events, random) => {
      const acked = ackedPositions(events);
      return somewhere(
        (event) => isRow(event) && acked.has(event.position),
        (copy, index) => {
          copy[index] = { ...(copy[index] as RowEvent), hash: "changed" };
          return true;
        },
      )(events, random);
    },
    ["acked-not-stored"],
  ),
  fault(
    "a row differs in its time",
    "row-differs",
    (events, random) => {
      const acked = ackedPositions(events);
      return somewhere(
        (event) => isRow(event) && acked.has(event.position),
        (copy, index) => {
          const row = copy[index] as RowEvent;
          copy[index] = { ...row, sentAtMs: row.sentAtMs - 1 };
          return true;
        },
      )(events, random);
    },
    ["acked-not-stored"],
  ),
  fault(
    "two rows are swapped",
    "rows-out-of-order",
    somewhere(isRow, (events, index) => {
      const [first, second] = [events[index], events[index + 1]] as [RowEvent, HistoryEvent | undefined];
      if (second?.type !== "row") {
        return false;
      }
      events.splice(index, 2, second, first);
      return true;
    }),
  ),
  fault(
    "a gap is not told",
    "silent-hole",
    somewhere(
      (event) => event.type === "gap" && event.reason === "slow-reader",
      (events, index) => {
        const gap = events[index] as HistoryEvent & { type: "gap" };
        const messages = new Set(events.filter(isRow).map(({ room, position }) => `${room} ${position}`));
        const next = events[nextOfReader(events, index)];
        const told = previousOfReader(events, index)?.type !== "saw";
        if (told || next?.type !== "saw" || !messages.has(`${gap.room} ${gap.through}`)) {
          return false;
        }
        events.splice(index, 1);
        return true;
      },
    ),
    ["tail-short"],
  ),
  fault(
    "a gap names less than what is missing",
    "silent-hole",
    somewhere(
      (event) => event.type === "gap" && event.reason === "slow-reader",
      (events, index) => {
        const gap = events[index] as HistoryEvent & { type: "gap" };
        const messages = new Set(events.filter(isRow).map(({ room, position }) => `${room} ${position}`));
        const next = events[nextOfReader(events, index)];
        const told = previousOfReader(events, index)?.type !== "saw";
        const [epoch, seq] = gap.through.split("-");
        const through = `${epoch}-${Number(seq) - 1}`;
        const isShorter = messages.has(`${gap.room} ${gap.through}`) && followsOn(gap.after, through);
        if (told || next?.type !== "saw" || !isShorter) {
          return false;
        }
        events[index] = { ...gap, through };
        return true;
      },
    ),
  ),
  fault(
    "a slow reader is told of messages that are nowhere",
    "gap-cannot-be-filled",
    somewhere(
      (event) => event.type === "end",
      (events, index) => {
        const end = events[index] as HistoryEvent & { type: "end" };
        const top = events.findLast((event): event is RowEvent => isRow(event) && event.room === end.room);
        if (!top) {
          return false;
        }
        const [epoch, seq] = top.position.split("-");
        events.splice(index, 0, {
          ...end,
          type: "gap",
          after: `${epoch}-${Number(seq) + 100}`,
          through: `${epoch}-${Number(seq) + 102}`,
          reason: "slow-reader",
        });
        return true;
      },
    ),
  ),
  fault(
    "a repetition is acknowledged with another position",
    "key-at-two-positions",
    somewhere(
      (event) => isOk(event) && event.duplicate,
      (events, index) => {
        const ok = events[index] as OkEvent;
        const [epoch, seq] = ok.position.split("-");
        events[index] = { ...ok, position: `${epoch}-${Number(seq) + 100_000}` };
        return true;
      },
    ),
    ["acked-not-stored", "seen-not-stored", "stored-twice", "later-send-stands-earlier"],
  ),
  fault("a repetition is acknowledged as new", "accepted-twice", (events, random) => {
    const keyOf = new Map(events.flatMap((event) => (event.type === "invoke" ? [[event.op, event.key]] : [])));
    const accepted = new Set(events.filter(isOk).flatMap((ok) => (ok.duplicate ? [] : [keyOf.get(ok.op)])));
    return somewhere(
      (event) => isOk(event) && event.duplicate && accepted.has(keyOf.get(event.op)),
      (copy, index) => {
        copy[index] = { ...(copy[index] as OkEvent), duplicate: false };
        return true;
      },
    )(events, random);
  }),
  fault("a first call is acknowledged as a repetition", "duplicate-of-nothing", (events, random) => {
    const keyOf = new Map(events.flatMap((event) => (event.type === "invoke" ? [[event.op, event.key]] : [])));
    const uses = new Map<string | undefined, number>();
    for (const key of keyOf.values()) {
      uses.set(key, (uses.get(key) ?? 0) + 1);
    }
    return somewhere(
      (event) => isOk(event) && uses.get(keyOf.get(event.op)) === 1,
      (copy, index) => {
        copy[index] = { ...(copy[index] as OkEvent), duplicate: true };
        return true;
      },
    )(events, random);
  }),
  fault("a refused message is there", "refused-yet-there", (events, random) => {
    const keyOf = new Map(events.flatMap((event) => (event.type === "invoke" ? [[event.op, event.key]] : [])));
    const uses = new Map<string | undefined, number>();
    for (const key of keyOf.values()) {
      uses.set(key, (uses.get(key) ?? 0) + 1);
    }
    return somewhere(
      (event) => isOk(event) && uses.get(keyOf.get(event.op)) === 1,
      (copy, index) => {
        const { at, op } = copy[index] as OkEvent;
        copy[index] = { type: "fail", at, op, tries: 1, code: "resource_exhausted" };
        return true;
      },
    )(events, random);
  }),
  fault(
    "a later send stands before an earlier one",
    "later-send-stands-earlier",
    (events) => {
      // Two sends of a room, one acknowledged before the other began, change their acknowledgements.
      const invokes = new Map(events.flatMap((event) => (event.type === "invoke" ? [[event.op, event]] : [])));
      const firstUse = new Map([...invokes.values()].reverse().map((invoke) => [invoke.key, invoke]));
      const acks = events.filter(isOk).filter(({ duplicate }) => !duplicate);
      for (const first of acks) {
        const { room } = invokes.get(first.op) as InvokeEvent;
        const second = acks.find((ack) => {
          const invoke = invokes.get(ack.op);
          return invoke?.room === room && (firstUse.get(invoke.key) as InvokeEvent).at > first.at;
        });
        if (second) {
          events[events.indexOf(first)] = { ...first, position: second.position, sentAtMs: second.sentAtMs };
          events[events.indexOf(second)] = { ...second, position: first.position, sentAtMs: first.sentAtMs };
          return true;
        }
      }
      return false;
    },
    ["position-names-two", "key-at-two-positions", "acked-not-stored", "seen-not-stored", "stored-twice"],
  ),
  fault("the rows were not all recorded", "malformed", (events) => {
    const index = events.findIndex((event) => event.type === "rows" && event.count > 0);
    if (index < 0) {
      return false;
    }
    events.splice(index, 1);
    return true;
  }),
  fault("a reader never ended", "malformed", (events) => {
    const index = events.findIndex((event) => event.type === "end");
    if (index < 0) {
      return false;
    }
    events.splice(index, 1);
    return true;
  }),
];
