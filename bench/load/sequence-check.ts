/**
 * Checks what one reader was sent by its positions: each once, in order, none missing. A hole that fills later was an
 * order broken and no loss; a hole the server told of (Gap) is no loss either. Owns the reader's place and its holes.
 */
import { comparePositions, type Position } from "../../storage/position.ts";

/** Holes remembered for each reader; what is missing beyond is lost at once. */
const holesMax = 10_000;

/** What was found, over one reader or many. */
export interface SequenceCounts {
  /** Positions that never came and that nobody told of. */
  lost: number;
  /** Came again. */
  doubled: number;
  /** Came after a later one. */
  reordered: number;
  /** Left out by the server, which said so. */
  skipped: number;
}

export const noFlaws: Readonly<SequenceCounts> = { lost: 0, doubled: 0, reordered: 0, skipped: 0 };

export function addCounts(sum: SequenceCounts, more: SequenceCounts): void {
  sum.lost += more.lost;
  sum.doubled += more.doubled;
  sum.reordered += more.reordered;
  sum.skipped += more.skipped;
}

export class SequenceCheck {
  #doubled = 0;
  #reordered = 0;
  #skipped = 0;
  #lostBeyondHoles = 0;
  #epoch = 0;
  /** −1: nothing is known yet, the next position begins. */
  #last = -1;
  #hasBegun = false;
  /** Missing seqs of this epoch. */
  readonly #holes = new Set<number>();

  /** The newest position that came or was told of; undefined: none. */
  get cursor(): Position | undefined {
    return this.#hasBegun && this.#last >= 0 ? { epoch: this.#epoch, seq: this.#last } : undefined;
  }

  get counts(): SequenceCounts {
    return {
      lost: this.#holes.size + this.#lostBeyondHoles,
      doubled: this.#doubled,
      reordered: this.#reordered,
      skipped: this.#skipped,
    };
  }

  /** The reader is live after this position: everything later is owed. Undefined: the room is empty. Once a reader. */
  begin(top: Position | undefined): void {
    if (!this.#hasBegun) {
      this.#hasBegun = true;
      this.#epoch = top?.epoch ?? 0;
      this.#last = top?.seq ?? -1;
    }
  }

  /** An entry of the room's log came. */
  take(epoch: number, seq: number): void {
    if (!this.#hasBegun) {
      this.begin({ epoch, seq });
      return;
    }
    if (epoch === this.#epoch) {
      if (seq === this.#last + 1) {
        this.#last = seq;
      } else if (seq > this.#last) {
        this.#miss(this.#last + 1, seq);
        this.#last = seq;
      } else if (this.#holes.delete(seq)) {
        this.#reordered++;
      } else {
        this.#doubled++;
      }
    } else if (epoch > this.#epoch) {
      this.#enterEpoch(epoch);
      this.#miss(0, seq);
      this.#last = seq;
    } else {
      this.#reordered++;
    }
  }

  /** The server told of a hole: everything in (after, through]. Undefined: it does not know the end. */
  gap(through: Position | undefined): void {
    if (!through) {
      this.#hasBegun = false;
      return;
    }
    const here = this.cursor;
    if (!here || comparePositions(through, here) > 0) {
      this.#skipped += through.epoch === this.#epoch ? through.seq - this.#last : through.seq + 1;
      if (through.epoch !== this.#epoch) {
        this.#enterEpoch(through.epoch);
      }
      this.#hasBegun = true;
      this.#last = through.seq;
    }
  }

  /** The room is known to have come so far: what was not sent until then is lost, unless the reader was never live. */
  end(top: Position): void {
    const here = this.cursor;
    if (this.#hasBegun && (!here || comparePositions(top, here) > 0)) {
      this.#lostBeyondHoles += top.epoch === this.#epoch ? top.seq - this.#last : top.seq + 1;
    }
  }

  #enterEpoch(epoch: number): void {
    this.#lostBeyondHoles += this.#holes.size;
    this.#holes.clear();
    this.#epoch = epoch;
  }

  #miss(from: number, to: number): void {
    const remembered = Math.min(to, from + holesMax - this.#holes.size);
    for (let seq = from; seq < remembered; seq++) {
      this.#holes.add(seq);
    }
    this.#lostBeyondHoles += to - Math.max(from, remembered);
  }
}
