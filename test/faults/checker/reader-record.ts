/**
 * What a history says of one reader of one room: where it stands, where its view has holes, and what it was told about
 * them. Decides order at once; holes wait until it is known what stood in them. Memory grows with holes, not with
 * messages.
 */
import { comparePositions, formatPosition, type Position } from "../../../storage/position.ts";
import type { GapReasonName, StartEvent } from "./history-event.ts";
import { parseAnyPosition } from "./parse-position.ts";
import type { RoomRecord } from "./room-record.ts";

/** A stretch without a hole that the reader saw: seqs from…to of an epoch. */
interface Stretch {
  readonly epoch: number;
  readonly from: number;
  to: number;
}

/** What the reader was told is missing: (after, through]. */
interface ToldGap {
  readonly after: Position | undefined;
  readonly through: Position | undefined;
  readonly reason: GapReasonName;
}

/** Two observations, one after the other, between which positions were left out; `to` undefined: the end. */
interface Hole {
  readonly from: Position;
  readonly to: Position | undefined;
  readonly gaps: readonly ToldGap[];
}

/** Seqs of an epoch, both ends included. */
interface SeqRange {
  readonly from: number;
  readonly to: number;
}

/** Before every position. */
const beginning: Position = { epoch: -1, seq: -1 };
/** A longer range is not searched for entries that are no messages. */
const searchedSeqsMax = 100_000;

export class ReaderRecord {
  readonly startedAt: number;
  readonly #reader: string;
  readonly #room: RoomRecord;
  readonly #tail: number;
  readonly #top: Position | undefined;
  #at: Position | undefined;
  /** Told since the last observation. */
  #gaps: ToldGap[] = [];
  /** All gaps that promise that the messages can be read elsewhere. */
  readonly #fillable: ToldGap[] = [];
  #toldLostButStored = 0;
  readonly #holes: Hole[] = [];
  readonly #stretches: Stretch[] = [];
  /** "<epoch>-<seq>" of what came after something newer. */
  readonly #late = new Set<string>();
  #gapsTold = 0;
  #sightsBeforeLive = 0;
  #wasLive = false;
  #hasEnded = false;
  /** For latencies: when anything was heard last, when it was when the stream broke, and when that was noticed. */
  #heardAt: number;
  #silentFrom: number | undefined;
  #cutAt: number | undefined;

  constructor(start: StartEvent, room: RoomRecord) {
    this.#reader = start.reader;
    this.#room = room;
    this.startedAt = start.at;
    this.#heardAt = start.at;
    this.#tail = start.tail ?? 0;
    this.#top = start.tail !== undefined && start.top ? parseAnyPosition(start.top) : undefined;
    if (start.anywhere) {
      this.#at = undefined;
    } else if (start.tail === undefined) {
      this.#at = start.after ? parseAnyPosition(start.after) : beginning;
    } else if (!this.#top) {
      this.#at = beginning;
    } else if (start.tail === 0) {
      this.#at = this.#top;
    }
  }

  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  saw(position: Position, at: number): void {
    this.#heardAt = at;
    if (!this.#wasLive) {
      this.#sightsBeforeLive += 1;
    }
    const last = this.#at;
    if (last && comparePositions(position, last) <= 0) {
      this.#sawOld(position, last);
      return;
    }
    this.#at = position;
    const stretch = this.#stretches.at(-1);
    if (last && last.epoch === position.epoch && last.seq + 1 === position.seq && stretch?.to === last.seq) {
      stretch.to = position.seq;
    } else {
      this.#stretches.push({ epoch: position.epoch, from: position.seq, to: position.seq });
      const from = last ?? (this.#top && comparePositions(position, this.#top) > 0 ? this.#top : undefined);
      if (from) {
        this.#holes.push({ from, to: position, gaps: this.#gaps });
      }
    }
    if (this.#gaps.length > 0) {
      this.#gaps = [];
    }
  }

  #sawOld(position: Position, last: Position): void {
    const text = formatPosition(position);
    const { epoch, seq } = position;
    const before = this.#stretches.some((each) => each.epoch === epoch && each.from <= seq && seq <= each.to);
    const kind = before || this.#late.has(text) ? "seen-twice" : "out-of-order";
    this.#late.add(text);
    this.#add(kind, text, `after ${formatPosition(last)}`);
  }

  gap(after: Position | undefined, through: Position | undefined, reason: GapReasonName, at: number): void {
    this.#heardAt = at;
    const gap = { after, through, reason };
    this.#gaps.push(gap);
    if (reason === "slow-reader") {
      this.#fillable.push(gap);
    }
    this.#gapsTold += 1;
  }

  /** The reader has lost its place: what it saw until now is judged, what comes is a new view. */
  end(): void {
    this.#hasEnded = true;
  }

  /** The reader had all the time there was: from here on there is nothing that it may have missed. */
  endSettled(): void {
    this.#hasEnded = true;
    const from = this.#at ?? this.#top;
    if (from) {
      this.#holes.push({ from, to: undefined, gaps: this.#gaps });
    }
  }

  /** @returns how long the reader was without a stream, if it was */
  live(at: number): { reconnectNs: number; silentNs: number } | undefined {
    this.#wasLive = true;
    this.#heardAt = at;
    if (this.#cutAt === undefined || this.#silentFrom === undefined) {
      return undefined;
    }
    const away = { reconnectNs: at - this.#cutAt, silentNs: at - this.#silentFrom };
    this.#cutAt = undefined;
    this.#silentFrom = undefined;
    return away;
  }

  cut(at: number): void {
    // Tries that fail in between belong to the same interruption.
    this.#cutAt ??= at;
    this.#silentFrom ??= this.#heardAt;
  }

  /** Once all events are in and the room is judged. @returns positions that the reader missed and was not told of */
  judge(): number {
    let missed = this.#judgeTail();
    for (const hole of this.#holes) {
      missed += this.#judgeHole(hole);
    }
    for (const gap of this.#fillable) {
      this.#judgeFillable(gap);
    }
    return missed;
  }

  /** Positions that the reader was told are lost although a row holds them. Known once judged. */
  get toldLostButStored(): number {
    return this.#toldLostButStored;
  }

  /** A reader who asked for the newest n has n, or all that there were, before the live part began. */
  #judgeTail(): number {
    if (!this.#top || this.#tail === 0 || !this.#wasLive || this.#gapsTold > 0) {
      return 0;
    }
    const wanted = Math.min(this.#tail - this.#room.otherCount(), this.#room.knownThrough(this.#top));
    const missed = wanted - this.#sightsBeforeLive;
    if (missed <= 0) {
      return 0;
    }
    const about = `asked for ${this.#tail}, got ${this.#sightsBeforeLive}, there were ${wanted}`;
    this.#add("tail-short", formatPosition(this.#top), about, missed);
    return missed;
  }

  #judgeHole({ from, to, gaps }: Hole): number {
    const room = this.#room;
    // Before a message that came, everything of its epoch is due: seqs have no holes. Elsewhere, what is known.
    const epochs = room.epochs.filter((each) => each >= from.epoch && (!to || each < to.epoch));
    let missed = 0;
    for (const epoch of epochs) {
      const first = epoch === from.epoch ? from.seq + 1 : 0;
      const missing = uncovered({ from: first, to: Number.POSITIVE_INFINITY }, gaps, epoch).flatMap((range) =>
        room.knownBetween(epoch, range.from, range.to).filter((seq) => !this.#late.has(`${epoch}-${seq}`)),
      );
      missed += this.#addMissing(to ? "silent-hole" : "ended-short", epoch, missing);
      this.#countToldLost(epoch, { from: first, to: Number.POSITIVE_INFINITY }, gaps);
    }
    if (to) {
      const first = to.epoch === from.epoch ? from.seq + 1 : 0;
      for (const range of uncovered({ from: first, to: to.seq - 1 }, gaps, to.epoch)) {
        missed += this.#judgeDense(to.epoch, range);
      }
      this.#countToldLost(to.epoch, { from: first, to: to.seq - 1 }, gaps);
    }
    return missed;
  }

  /** Counts what stands in a hole, is stored, and was told in no other way than as lost. */
  #countToldLost(epoch: number, range: SeqRange, gaps: readonly ToldGap[]): void {
    const lost = gaps.filter(({ reason }) => reason === "lost");
    if (lost.length === 0) {
      return;
    }
    const others = gaps.filter(({ reason }) => reason !== "lost");
    const room = this.#room;
    for (const { from, to } of uncovered(range, others, epoch)) {
      const stored = room.knownBetween(epoch, from, to).filter((seq) => room.isStored(epoch, seq));
      const left = uncovered({ from, to }, lost, epoch);
      this.#toldLostButStored += stored.filter(
        (seq) => !left.some((each) => each.from <= seq && seq <= each.to),
      ).length;
    }
  }

  #judgeDense(epoch: number, { from, to }: SeqRange): number {
    if (to - from >= searchedSeqsMax) {
      this.#add("silent-hole", `${epoch}-${from}…${to}`, "nothing came and no gap was told", to - from + 1);
      return to - from + 1;
    }
    const missing: number[] = [];
    for (let seq = from; seq <= to; seq++) {
      if (!this.#room.isOther(epoch, seq) && !this.#late.has(`${epoch}-${seq}`)) {
        missing.push(seq);
      }
    }
    return this.#addMissing("silent-hole", epoch, missing);
  }

  #addMissing(kind: "silent-hole" | "ended-short", epoch: number, missing: readonly number[]): number {
    const [first] = missing;
    if (first !== undefined) {
      const where = missing.length === 1 ? `${epoch}-${first}` : `${epoch}-${first}…${missing.at(-1)}`;
      this.#add(kind, where, `${missing.length} positions did not come and no gap was told`, missing.length);
    }
    return missing.length;
  }

  #judgeFillable(gap: ToldGap): void {
    const { after, through } = gap;
    const where = `(${after ? formatPosition(after) : ""}, ${through ? formatPosition(through) : ""}]`;
    if (!through) {
      this.#add("gap-cannot-be-filled", where, "a gap for slowness must say how far it goes");
      return;
    }
    const range = seqsOf(gap, through.epoch);
    if (!range || range.to - range.from >= searchedSeqsMax) {
      this.#add("gap-cannot-be-filled", where, "the range is empty or absurd");
      return;
    }
    let missing = 0;
    for (let seq = range.from; seq <= range.to; seq++) {
      missing += this.#room.isStored(through.epoch, seq) ? 0 : 1;
    }
    if (missing > 0) {
      this.#add("gap-cannot-be-filled", where, `${missing} of its positions are not stored`, missing);
    }
  }

  #add(kind: Parameters<RoomRecord["violations"]["add"]>[0], position: string, about: string, count = 1): void {
    this.#room.violations.add(kind, { room: this.#room.room, reader: this.#reader, position, about }, count);
  }
}

/** The seqs of an epoch that a gap names; undefined: none. */
function seqsOf({ after, through }: ToldGap, epoch: number): SeqRange | undefined {
  if ((after && after.epoch > epoch) || (through && through.epoch < epoch)) {
    return undefined;
  }
  const from = after?.epoch === epoch ? after.seq + 1 : 0;
  const to = through?.epoch === epoch ? through.seq : Number.POSITIVE_INFINITY;
  return from <= to ? { from, to } : undefined;
}

/** What is left of a range of an epoch without what gaps name. */
function uncovered(range: SeqRange, gaps: readonly ToldGap[], epoch: number): SeqRange[] {
  let left = [range];
  for (const gap of gaps) {
    const told = seqsOf(gap, epoch);
    if (told) {
      left = left.flatMap(({ from, to }) => [
        { from, to: Math.min(to, told.from - 1) },
        { from: Math.max(from, told.to + 1), to },
      ]);
    }
  }
  return left.filter(({ from, to }) => from <= to);
}
