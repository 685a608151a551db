/** What the checker finds wrong with a history, by the invariant that it breaks, and the bounded list of findings. */

/** A kind of finding, and the invariant it breaks; "history": the recording itself cannot be relied on. */
export const invariantOf = {
  "position-names-two": "I1",
  "out-of-order": "I2",
  "seen-twice": "I2",
  "silent-hole": "I2",
  "ended-short": "I2",
  "tail-short": "I2",
  "gap-cannot-be-filled": "I2",
  "acked-not-stored": "I3",
  "row-differs": "I3",
  "stored-twice": "I3",
  "rows-out-of-order": "I3",
  "key-at-two-positions": "I4",
  "accepted-twice": "I4",
  "duplicate-of-nothing": "I4",
  "refused-yet-there": "I4",
  "seen-not-stored": "I4",
  "stored-in-part": "I4",
  "nobody-sent-it": "I5",
  altered: "I5",
  "later-send-stands-earlier": "I11",
  malformed: "history",
} as const;

export type ViolationKind = keyof typeof invariantOf;
export type Invariant = (typeof invariantOf)[ViolationKind];

export interface Violation {
  readonly kind: ViolationKind;
  readonly invariant: Invariant;
  readonly room?: string;
  readonly reader?: string;
  /** "<epoch>-<seq>", or a range of them. */
  readonly position?: string;
  readonly key?: string;
  /** A sentence for people. */
  readonly about: string;
}

/** So many of each kind are kept with their particulars; the rest is counted. */
const keptOfEachKindMax = 100;

export class Violations {
  readonly #kept: Violation[] = [];
  readonly #counts = new Map<ViolationKind, number>();

  /** @param count messages or positions that this finding stands for */
  add(kind: ViolationKind, violation: Omit<Violation, "kind" | "invariant">, count = 1): void {
    const before = this.#counts.get(kind) ?? 0;
    this.#counts.set(kind, before + count);
    if (before < keptOfEachKindMax) {
      this.#kept.push({ kind, invariant: invariantOf[kind], ...violation });
    }
  }

  count(kind: ViolationKind): number {
    return this.#counts.get(kind) ?? 0;
  }

  get kept(): readonly Violation[] {
    return this.#kept;
  }

  get counts(): Readonly<Partial<Record<ViolationKind, number>>> {
    return Object.fromEntries(this.#counts);
  }
}
