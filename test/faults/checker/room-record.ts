/**
 * What a history says of one room: at each position, the texts that anybody (an acknowledgement, a reader, a row) said
 * stand there; for each key, what its senders did. Owns both; memory grows with messages and not with deliveries.
 */
import { formatPosition, type Position } from "../../../storage/position.ts";
import type { RowSourceName } from "./history-event.ts";
import type { Violations } from "./violation.ts";

/** One thing said to stand at a position. Where all is well there is one a position. */
export interface Claim {
  readonly key: string;
  readonly hash: string;
  readonly sentAtMs: number;
  acks: number;
  sights: number;
  rows: Record<RowSourceName, number>;
  /** Another thing said of the same position. */
  next: Claim | undefined;
}

/** What senders did under one key. */
export interface KeyRecord {
  readonly hash: string;
  /** Further texts sent under the same key: all but one of them should have been refused. */
  otherHashes: Set<string> | undefined;
  readonly firstInvokedAt: number;
  /** The room's newest acknowledged position when the key was first used: the message must stand after it. */
  readonly floor: Position | undefined;
  operations: number;
  tries: number;
  acks: number;
  /** Acknowledgements that did not say "it was there before". */
  firstAcks: number;
  unknowns: number;
  /** Where it was found first, at the end. */
  position: Position | undefined;
}

export class RoomRecord {
  readonly keys = new Map<string, KeyRecord>();
  /** The newest position that was acknowledged so far. */
  newestAcked: Position | undefined;
  /** Rows that the history announces, by source. A source that is missing was not read. */
  readonly rowsRead = new Map<RowSourceName, number>();
  readonly #rowsSeen: Record<RowSourceName, number> = { storage: 0, api: 0 };
  readonly #lastRow: Partial<Record<RowSourceName, Position>> = {};
  readonly #claims = new Map<number, Map<number, Claim>>();
  /** Positions of entries that are no messages. */
  readonly #others = new Map<number, Set<number>>();
  /** Filled by `judge`: epochs in order, and in each the seqs at which a message is known, in order. */
  #knownEpochs: number[] = [];
  readonly #known = new Map<number, { seqs: number[]; set: Set<number> }>();

  constructor(
    readonly room: string,
    readonly violations: Violations,
  ) {}

  /** Somebody says that this stands there. */
  claim({ epoch, seq }: Position, key: string, hash: string, sentAtMs: number): Claim {
    let inEpoch = this.#claims.get(epoch);
    if (!inEpoch) {
      inEpoch = new Map();
      this.#claims.set(epoch, inEpoch);
    }
    const first = inEpoch.get(seq);
    for (let claim = first; claim; claim = claim.next) {
      if (claim.key === key && claim.hash === hash && claim.sentAtMs === sentAtMs) {
        return claim;
      }
    }
    const claim = { key, hash, sentAtMs, acks: 0, sights: 0, rows: { storage: 0, api: 0 }, next: first };
    inEpoch.set(seq, claim);
    return claim;
  }

  /** An entry that is no message stands there. */
  other({ epoch, seq }: Position): void {
    const seqs = this.#others.get(epoch) ?? new Set();
    this.#others.set(epoch, seqs.add(seq));
  }

  row(source: RowSourceName, position: Position, claim: Claim): void {
    claim.rows[source] += 1;
    this.#rowsSeen[source] += 1;
    const before = this.#lastRow[source];
    if (before && (position.epoch - before.epoch || position.seq - before.seq) < 0) {
      this.violations.add("rows-out-of-order", {
        room: this.room,
        position: formatPosition(position),
        about: `a row of source ${source} came after the row of ${formatPosition(before)}`,
      });
    }
    this.#lastRow[source] = position;
  }

  wasSent(claim: Claim): boolean {
    const key = this.keys.get(claim.key);
    return key !== undefined && (key.hash === claim.hash || key.otherHashes?.has(claim.hash) === true);
  }

  /**
   * Looks at every position and every key, once all events are in. Must be called before the questions below.
   * @param sources that rows of any room were read from
   */
  judge(sources: ReadonlySet<RowSourceName>): void {
    const { violations, room } = this;
    for (const [source, seen] of Object.entries(this.#rowsSeen) as [RowSourceName, number][]) {
      const announced = this.rowsRead.get(source);
      if (announced === undefined ? seen > 0 : announced !== seen) {
        violations.add("malformed", {
          room,
          about: `${seen} rows of source ${source}, ${announced ?? "none"} announced`,
        });
      }
    }
    if (this.rowsRead.size === 0 || this.rowsRead.size < sources.size) {
      violations.add("malformed", { room, about: "the rows of the room were not read from every source" });
    }
    this.#knownEpochs = [...this.#claims.keys()].sort((a, b) => a - b);
    for (const epoch of this.#knownEpochs) {
      const claims = this.#claims.get(epoch) as Map<number, Claim>;
      const seqs: number[] = [];
      for (const seq of [...claims.keys()].sort((a, b) => a - b)) {
        if (this.#judgePosition({ epoch, seq }, claims.get(seq) as Claim)) {
          seqs.push(seq);
        }
      }
      this.#known.set(epoch, { seqs, set: new Set(seqs) });
    }
    for (const [key, record] of this.keys) {
      this.#judgeKey(key, record);
    }
  }

  /** @returns whether a message stands there that readers must not miss */
  #judgePosition(at: Position, first: Claim): boolean {
    let sent: Claim | undefined;
    let isKnown = false;
    // Acknowledged claims first: it is with them that rows must agree.
    const claims = [...chain(first)].sort((a, b) => b.acks - a.acks);
    for (const claim of claims) {
      if (!this.wasSent(claim)) {
        this.#judgeUnsent(at, claim, claims[0] as Claim);
        continue;
      }
      if (sent) {
        this.#judgeSecond(at, claim, sent);
      }
      sent ??= claim;
      this.#judgeRows(at, claim);
      const key = this.keys.get(claim.key) as KeyRecord;
      if (key.position && (key.position.epoch !== at.epoch || key.position.seq !== at.seq)) {
        this.#add("key-at-two-positions", at, claim.key, `it also stands at ${formatPosition(key.position)}`);
        if (claim.rows.storage + claim.rows.api > 0 && key.acks > 0) {
          this.#add("stored-twice", at, claim.key, `its row at ${formatPosition(key.position)} is not the only one`);
        }
      } else {
        key.position = at;
        isKnown = true;
      }
    }
    return isKnown;
  }

  #judgeUnsent(at: Position, claim: Claim, acked: Claim): void {
    const rows = claim.rows.storage + claim.rows.api;
    if (claim.sights === 0 && rows > 0 && acked.acks > 0) {
      this.#add("row-differs", at, acked.key, `the row there says ${claim.key}, ${claim.hash}, which nobody sent`);
    } else if (this.keys.has(claim.key)) {
      this.#add("altered", at, claim.key, `${claim.hash} was never sent under this key`);
    } else {
      this.#add("nobody-sent-it", at, claim.key, `${claim.sights} readers saw it, ${rows} rows hold it`);
    }
  }

  #judgeSecond(at: Position, claim: Claim, other: Claim): void {
    if (claim.key === other.key && claim.hash === other.hash && claim.acks + claim.sights === 0) {
      this.#add("row-differs", at, claim.key, `its time is ${claim.sentAtMs}, not ${other.sentAtMs}`);
    } else {
      this.#add(
        "position-names-two",
        at,
        claim.key,
        `${other.key}, ${other.hash}, ${other.sentAtMs} ms and ${claim.key}, ${claim.hash}, ${claim.sentAtMs} ms`,
      );
    }
  }

  #judgeRows(at: Position, claim: Claim): void {
    const sources = [...this.rowsRead.keys()];
    const doubled = sources.filter((source) => claim.rows[source] > 1);
    if (doubled.length > 0) {
      this.#add("stored-twice", at, claim.key, `more than one row in ${doubled.join(" and ")}`);
    }
    const missing = sources.filter((source) => claim.rows[source] === 0).join(" and ");
    if (missing === "") {
      return;
    }
    if (claim.acks > 0) {
      this.#add("acked-not-stored", at, claim.key, `no equal row in ${missing}`);
    } else if (claim.sights > 0 && this.keys.get(claim.key)?.acks === 0) {
      this.#add("seen-not-stored", at, claim.key, `${claim.sights} readers saw it, no equal row in ${missing}`);
    } else if (sources.some((source) => claim.rows[source] > 0) && this.keys.get(claim.key)?.acks === 0) {
      this.#add("stored-in-part", at, claim.key, `no equal row in ${missing}`);
    }
  }

  #judgeKey(key: string, record: KeyRecord): void {
    const where = record.position && formatPosition(record.position);
    const about = { room: this.room, key, ...(where && { position: where }) };
    if (record.firstAcks > 1) {
      this.violations.add("accepted-twice", { ...about, about: `${record.firstAcks} acks say that it is new` });
    }
    if (record.acks > 0 && record.firstAcks === 0 && record.tries === 1) {
      this.violations.add("duplicate-of-nothing", {
        ...about,
        about: "the only call was told that it is a repetition",
      });
    }
    if (record.position && record.acks === 0 && record.unknowns === 0 && record.operations > 0) {
      this.violations.add("refused-yet-there", { ...about, about: "every call was refused for good" });
    }
  }

  #add(kind: Parameters<Violations["add"]>[0], at: Position, key: string, about: string): void {
    this.violations.add(kind, { room: this.room, position: formatPosition(at), key, about });
  }

  /** Epochs in which a message is known, in order. */
  get epochs(): readonly number[] {
    return this.#knownEpochs;
  }

  /** Whether a message is known to stand there. */
  isKnown(epoch: number, seq: number): boolean {
    return this.#known.get(epoch)?.set.has(seq) === true;
  }

  /** Whether an entry that is no message stands there, and no message. */
  isOther(epoch: number, seq: number): boolean {
    return this.#others.get(epoch)?.has(seq) === true && !this.isKnown(epoch, seq);
  }

  otherCount(): number {
    return [...this.#others.values()].reduce((sum, seqs) => sum + seqs.size, 0);
  }

  /** The known seqs of an epoch in [from, to], in order. */
  knownBetween(epoch: number, from: number, to: number): number[] {
    const seqs = this.#known.get(epoch)?.seqs ?? [];
    return seqs.slice(lowerBound(seqs, from), lowerBound(seqs, to + 1));
  }

  /** How many messages are known at or before a position. */
  knownThrough({ epoch, seq }: Position): number {
    return this.#knownEpochs
      .filter((each) => each <= epoch)
      .map((each) => this.knownBetween(each, 0, each === epoch ? seq : Number.POSITIVE_INFINITY).length)
      .reduce((sum, count) => sum + count, 0);
  }

  /** Whether any source has a row of a sent message, or an entry of another kind, there. */
  isStored(epoch: number, seq: number): boolean {
    const first = this.#claims.get(epoch)?.get(seq);
    const hasRow = first && [...chain(first)].some(({ rows }) => rows.storage + rows.api > 0);
    return hasRow === true || this.isOther(epoch, seq);
  }
}

function* chain(first: Claim): Generator<Claim> {
  for (let claim: Claim | undefined = first; claim; claim = claim.next) {
    yield claim;
  }
}

/** The first index whose value is at least `value`; the length where there is none. */
function lowerBound(sorted: readonly number[], value: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((sorted[middle] as number) < value) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}
