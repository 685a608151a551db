/**
 * The history in Cassandra: one row an entry, in partitions that `history-bucket.ts` chooses by position.
 *
 * It stands behind the persistence workers (write) and the gateways' catch-up and ListMessages (page). It owns the tables
 * `history` and `history_buckets`, the memory of which buckets it has announced, and the reads under way; the connection
 * belongs to `storage/cassandra/`.
 *
 * Several workers write at once, and write again: a row's key, text and timestamp follow from the entry alone, so the order
 * and number of writes make no difference, and what was deleted after the entry was accepted stays deleted.
 */
import type { types } from "cassandra-driver";
import type { CassandraConnection, CassandraStatement } from "../cassandra/connection.ts";
import { CassandraUnavailableError } from "../cassandra/errors.ts";
import type { LogEntry } from "../log/room-log.ts";
import { comparePositions, formatPosition, type Position, positionAfter, positionBefore } from "../position.ts";
import { bucketAt, bucketOf, type HistoryBucket } from "./history-bucket.ts";
import { type HistoryRange, type HistoryStore, HistoryUnavailableError } from "./history-store.ts";

/** Rows of one batch; measured, 10 to 50 rows together cost a third to a sixth of single ones. */
const batchRowsMax = 50;
/** Bytes of events of one batch: a batch is one mutation, which a node holds whole. One larger entry is a batch alone. */
const batchBytesMax = 65_536;
/** Requests of one `write` under way at once. */
const requestsInFlightMax = 8;
/** Far above what the API admits, far below what a node takes as one mutation (8 MB on small ones). */
const eventBytesMax = 1_048_576;
/** Buckets known to be listed: about 10 MB. Listing one again is harmless. */
const announcedMax = 50_000;
/** Buckets that one look at `history_buckets` brings. */
const bucketsPageMax = 64;
const pageEntriesMax = 1_000;
const retryAfterMs = 1_000;

const insertEntry = `INSERT INTO history (room_id, era, bucket, epoch, seq, accepted_ms, event)
  VALUES (?, ?, ?, ?, ?, ?, ?) USING TIMESTAMP ?`;
const insertBucket = "INSERT INTO history_buckets (room_id, epoch, bucket) VALUES (?, ?, ?) USING TIMESTAMP ?";
const selectEntries = `SELECT epoch, seq, accepted_ms, event FROM history
  WHERE room_id = ? AND era = ? AND bucket = ?`;
const selectEntry = `${selectEntries} AND epoch = ? AND seq = ?`;
const selectSlice = (order: "ASC" | "DESC") =>
  `${selectEntries} AND (epoch, seq) > (?, ?) AND (epoch, seq) < (?, ?) ORDER BY epoch ${order}, seq ${order} LIMIT ?`;
const selectBuckets = (order: "ASC" | "DESC") =>
  `SELECT epoch, bucket FROM history_buckets WHERE room_id = ? AND (epoch, bucket) > (?, ?) AND (epoch, bucket) < (?, ?)
   ORDER BY epoch ${order}, bucket ${order} LIMIT ?`;
const slices = { oldest: selectSlice("ASC"), newest: selectSlice("DESC") };
const buckets = { oldest: selectBuckets("ASC"), newest: selectBuckets("DESC") };

/** A part of one partition: what is strictly between two positions. */
interface Slice extends HistoryBucket {
  readonly after: Position;
  readonly before: Position;
}

/** A bucket as `history_buckets` lists it: in the order of the positions in it. */
interface ListedBucket {
  readonly epoch: number;
  readonly bucket: number;
}

/** Before and after every position of a room: both halves have at most 15 digits. */
const first: Position = { epoch: -1, seq: -1 };
const last: Position = { epoch: Number.MAX_SAFE_INTEGER, seq: Number.MAX_SAFE_INTEGER };
const beforeAllBuckets: ListedBucket = { epoch: -1, bucket: -1 };
const afterAllBuckets: ListedBucket = { epoch: Number.MAX_SAFE_INTEGER, bucket: 0 };

export class CassandraHistoryStore implements HistoryStore {
  readonly #connection: CassandraConnection;
  /** Names of listed buckets, the oldest first; at most `announcedMax`. */
  readonly #announced = new Set<string>();
  /** Pages being read, by what was asked for: whoever asks for the same meanwhile gets the same. */
  readonly #reading = new Map<string, Promise<LogEntry[]>>();
  #open = true;

  constructor(connection: CassandraConnection) {
    this.#connection = connection;
  }

  /** @throws {RangeError} if an event is larger than 1 MiB, or a number is none of an entry: such an entry never succeeds */
  async write(entries: readonly LogEntry[]): Promise<void> {
    for (const entry of entries) {
      checkEntry(entry);
    }
    await this.#reach(async () => {
      // First, so that no reader misses a bucket that has entries.
      await this.#announce(entries);
      const batches = [...Map.groupBy(entries, partitionName).values()].flatMap(toBatches);
      await eachOf(batches, (batch) => this.#connection.writePartition(batch.map(insertOf)));
    });
  }

  /**
   * The entries may be shared with other callers: do not change them.
   * @throws {RangeError} if `entriesMax` is not within 1 to 1,000
   */
  async page(roomId: string, range: HistoryRange): Promise<LogEntry[]> {
    const { after, before, entriesMax, from } = range;
    if (!Number.isInteger(entriesMax) || entriesMax < 1 || entriesMax > pageEntriesMax) {
      throw new RangeError(`entriesMax is ${entriesMax}, it must be 1 to ${pageEntriesMax}`);
    }
    // The newest page above all: everyone who joins a room asks for it.
    const asked = JSON.stringify([roomId, after?.epoch, after?.seq, before?.epoch, before?.seq, entriesMax, from]);
    let page = this.#reading.get(asked);
    if (!page) {
      page = this.#reach(() => this.#read(roomId, range)).finally(() => this.#reading.delete(asked));
      this.#reading.set(asked, page);
    }
    return [...(await page)];
  }

  async get(roomId: string, position: Position): Promise<LogEntry | undefined> {
    const { era, bucket } = bucketOf(position);
    const params = [roomId, ...longs(era, bucket, position.epoch, position.seq)];
    const { rows } = await this.#reach(() => this.#connection.execute({ query: selectEntry, params }));
    return rows[0] && toEntry(roomId, rows[0]);
  }

  /** From here on every call is refused; the connection stays open for the other stores. */
  async close(): Promise<void> {
    this.#open = false;
  }

  /** Lists the buckets of these entries, those that are not known to be listed. */
  async #announce(entries: readonly LogEntry[]): Promise<void> {
    const news = new Map<string, LogEntry>();
    for (const entry of entries) {
      const name = bucketName(entry);
      if (!this.#announced.has(name)) {
        news.set(name, entry);
      }
    }
    await eachOf([...news], async ([name, { roomId, position, acceptedMs }]) => {
      const params = [roomId, ...longs(position.epoch, bucketOf(position).bucket), timestamp(acceptedMs)];
      await this.#connection.execute({ query: insertBucket, params });
      this.#announced.add(name);
    });
    for (const oldest of this.#announced) {
      if (this.#announced.size <= announcedMax) {
        break;
      }
      this.#announced.delete(oldest);
    }
  }

  async #read(roomId: string, { after = first, before = last, entriesMax, from }: HistoryRange): Promise<LogEntry[]> {
    const entries: LogEntry[] = [];
    for await (const slice of this.#slices(roomId, after, before, from)) {
      const { rows } = await this.#connection.execute(
        {
          query: slices[from],
          params: [
            roomId,
            ...longs(slice.era, slice.bucket, slice.after.epoch, slice.after.seq, slice.before.epoch, slice.before.seq),
            entriesMax - entries.length,
          ],
        },
        entriesMax,
      );
      entries.push(...rows.map((row) => toEntry(roomId, row)));
      if (entries.length >= entriesMax) {
        break;
      }
    }
    return from === "newest" ? entries.reverse() : entries;
  }

  /** What to read for a range, one part of a partition at a time, from the end asked for. */
  async *#slices(roomId: string, after: Position, before: Position, from: HistoryRange["from"]): AsyncGenerator<Slice> {
    if (comparePositions(after, before) >= 0) {
      return;
    }
    // The buckets of the range are strictly between these two.
    let lower = beforeAllBuckets;
    let upper = afterAllBuckets;
    if (after !== first) {
      const { epoch, bucket } = listedBucketOf(positionAfter(after));
      lower = { epoch, bucket: bucket - 1 };
    }
    if (before !== last) {
      const { epoch, bucket } = listedBucketOf(positionBefore(before));
      upper = { epoch, bucket: bucket + 1 };
    }
    // A cursor tells the bucket that is next to it. Most pages lie in that one whole and cost one request.
    if (from === "oldest" && after !== first) {
      lower = listedBucketOf(positionAfter(after));
      yield sliceOf([lower], after, before);
    }
    if (from === "newest" && before !== last) {
      upper = listedBucketOf(positionBefore(before));
      yield sliceOf([upper], after, before);
    }
    for (;;) {
      const params = [roomId, ...longs(lower.epoch, lower.bucket, upper.epoch, upper.bucket), bucketsPageMax];
      const { rows } = await this.#connection.execute({ query: buckets[from], params }, bucketsPageMax);
      const found = rows.map((row) => ({ epoch: Number(row.epoch), bucket: Number(row.bucket) }));
      for (const run of runsOf(found)) {
        yield sliceOf(run, after, before);
      }
      const end = found.at(-1);
      if (!end || found.length < bucketsPageMax) {
        return;
      }
      if (from === "oldest") {
        lower = end;
      } else {
        upper = end;
      }
    }
  }

  async #reach<T>(step: () => Promise<T>): Promise<T> {
    if (!this.#open) {
      throw new HistoryUnavailableError("the history is closed", retryAfterMs);
    }
    try {
      return await step();
    } catch (error) {
      if (error instanceof CassandraUnavailableError) {
        throw new HistoryUnavailableError(`the history did not answer: ${error.message}`, error.retryAfterMs, {
          cause: error,
        });
      }
      throw error;
    }
  }
}

/** @throws {RangeError} for an entry that can never be written */
function checkEntry({ roomId, position, acceptedMs, event }: LogEntry): void {
  const name = `${roomId} ${formatPosition(position)}`;
  for (const [what, value] of Object.entries({ ...position, acceptedMs })) {
    if (!Number.isSafeInteger(value) || value < 0) {
      throw new RangeError(`${what} of entry ${name} is ${value}, it must be a whole number from 0`);
    }
  }
  if (event.byteLength > eventBytesMax) {
    throw new RangeError(`the event of entry ${name} has ${event.byteLength} bytes, the limit is ${eventBytesMax}`);
  }
}

function bucketName({ roomId, position }: LogEntry): string {
  return `${position.epoch} ${bucketOf(position).bucket} ${roomId}`;
}

function partitionName({ roomId, position }: LogEntry): string {
  const { era, bucket } = bucketOf(position);
  return `${era} ${bucket} ${roomId}`;
}

/** Parts the entries of one partition by the bounds of a batch. */
function toBatches(entries: readonly LogEntry[]): LogEntry[][] {
  const batches: LogEntry[][] = [];
  let batch: LogEntry[] = [];
  let bytes = 0;
  for (const entry of entries) {
    const size = entry.event.byteLength;
    if (batch.length > 0 && (batch.length >= batchRowsMax || bytes + size > batchBytesMax)) {
      batches.push(batch);
      batch = [];
      bytes = 0;
    }
    batch.push(entry);
    bytes += size;
  }
  return batch.length > 0 ? [...batches, batch] : batches;
}

/** The statement that writes one entry. Writing it again, however late, changes nothing. */
export function insertOf({ roomId, position, acceptedMs, event }: LogEntry): CassandraStatement {
  const { era, bucket } = bucketOf(position);
  const bytes = Buffer.from(event.buffer, event.byteOffset, event.byteLength);
  const params = [
    roomId,
    ...longs(era, bucket, position.epoch, position.seq, acceptedMs),
    bytes,
    timestamp(acceptedMs),
  ];
  return { query: insertEntry, params };
}

function toEntry(roomId: string, row: types.Row): LogEntry {
  const event: Buffer = row.event;
  return {
    roomId,
    position: { epoch: Number(row.epoch), seq: Number(row.seq) },
    acceptedMs: Number(row.accepted_ms),
    event: new Uint8Array(event.buffer, event.byteOffset, event.byteLength),
  };
}

/** Cassandra decides between two writes of one row by this, in µs: the deletion of an entry is later than its acceptance. */
function timestamp(acceptedMs: number): bigint {
  return BigInt(acceptedMs) * 1_000n;
}

/** As the driver takes a bigint column. */
function longs(...values: number[]): bigint[] {
  return values.map(BigInt);
}

function listedBucketOf(position: Position): ListedBucket {
  return { epoch: position.epoch, bucket: bucketOf(position).bucket };
}

/** Joins neighbours that are parts of the same shared bucket: one request reads them all. */
function runsOf(listed: readonly ListedBucket[]): ListedBucket[][] {
  const runs: ListedBucket[][] = [];
  for (const each of listed) {
    const run = runs.at(-1);
    const [head] = run ?? [];
    if (run && head?.bucket === 0 && each.bucket === 0 && bucketAt(head.epoch, 0).era === bucketAt(each.epoch, 0).era) {
      run.push(each);
    } else {
      runs.push([each]);
    }
  }
  return runs;
}

/** What a run holds of a range. A run of several epochs is of one shared bucket, whose other epochs are left out. */
function sliceOf(run: readonly ListedBucket[], after: Position, before: Position): Slice {
  const epochs = run.map(({ epoch }) => epoch);
  const least = { epoch: Math.min(...epochs), seq: -1 };
  const greatest = { epoch: Math.max(...epochs), seq: Number.MAX_SAFE_INTEGER };
  return {
    ...bucketAt(least.epoch, run[0]?.bucket ?? 0),
    after: comparePositions(after, least) > 0 ? after : least,
    before: comparePositions(before, greatest) < 0 ? before : greatest,
  };
}

/** Does `work` for each, at most `requestsInFlightMax` at once. After a failure none is begun; rejects once all have ended. */
async function eachOf<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const queue = items.values();
  const failures: unknown[] = [];
  const run = async () => {
    for (const item of queue) {
      if (failures.length > 0) {
        return;
      }
      await work(item).catch((error) => failures.push(error));
    }
  };
  await Promise.all(Array.from({ length: Math.min(requestsInFlightMax, items.length) }, run));
  if (failures.length > 0) {
    throw failures[0];
  }
}
