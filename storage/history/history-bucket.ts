/**
 * Which partition of the Cassandra history a position is in: a rule on the position alone, so that every worker, and every
 * replay, chooses the same one.
 *
 *     epoch  seq 0 … 1,023    1,024 … 32,767   32,768 … 65,535   …
 *     E1     ┐                bucket 1 of E1   bucket 2 of E1
 *     E2     ├ bucket 0       bucket 1 of E2
 *     E3     ┘ of their era
 *
 * The beginnings of all epochs of an era share a bucket, so that a quiet room lies in one partition, however often its log
 * began anew. What comes later has buckets of its epoch alone. Inside a bucket the order is that of positions, and an epoch's
 * buckets follow each other, so a walk over (epoch, bucket) is a walk over positions.
 *
 * docs/adr/0007 says why. How large that gets, where the largest event that the API admits has 2.5 kB:
 *
 *     a bucket of one epoch   32,768 entries   80 MB at most, 10 MB at 300 bytes an event
 *     a shared bucket         1,024 entries for each epoch of 398 days: 100 MB after 38 epochs of the largest events,
 *                             300 of usual ones
 */
import type { Position } from "../position.ts";

export interface HistoryBucket {
  /** Bucket 0: the beginning of the era, Unix ms. Others: the epoch. */
  readonly era: number;
  /** 0: the beginnings of the era's epochs. From 1: stretches of one epoch. */
  readonly bucket: number;
}

/** A power of two close to a year: 398 days. */
const eraMs = 2 ** 35;
/** Entries of an epoch in the shared bucket. */
const sharedEntriesMax = 1_024;
/** Entries of a bucket of one epoch. Changing it, or one of the above, loses what was written before. */
const bucketEntriesMax = 32_768;

/** Where an entry is. */
export function bucketOf({ epoch, seq }: Position): HistoryBucket {
  return seq < sharedEntriesMax ? bucketAt(epoch, 0) : bucketAt(epoch, 1 + Math.floor(seq / bucketEntriesMax));
}

/** The bucket of an epoch with this number. */
export function bucketAt(epoch: number, bucket: number): HistoryBucket {
  return { era: bucket === 0 ? epoch - (epoch % eraMs) : epoch, bucket };
}
