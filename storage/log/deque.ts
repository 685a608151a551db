/**
 * A list that grows and shrinks at both ends in constant time and is read by index: the shape of a room's newest entries
 * and of a consumer's queue. A ring in an array whose length is a power of two. Unbounded: whoever owns one bounds it.
 */
export class Deque<T> {
  #slots: (T | undefined)[] = new Array(4);
  #head = 0;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** The item at `index`, counted from the front. Undefined: outside. */
  at(index: number): T | undefined {
    return index >= 0 && index < this.#length
      ? this.#slots[(this.#head + index) & (this.#slots.length - 1)]
      : undefined;
  }

  push(item: T): void {
    this.#makeRoom();
    this.#slots[(this.#head + this.#length) & (this.#slots.length - 1)] = item;
    this.#length += 1;
  }

  unshift(item: T): void {
    this.#makeRoom();
    this.#head = (this.#head - 1) & (this.#slots.length - 1);
    this.#slots[this.#head] = item;
    this.#length += 1;
  }

  /** Takes the item at the front. Undefined: empty. */
  shift(): T | undefined {
    if (this.#length === 0) {
      return undefined;
    }
    const item = this.#slots[this.#head];
    // Not only moved past: what left must not stay in memory.
    this.#slots[this.#head] = undefined;
    this.#head = (this.#head + 1) & (this.#slots.length - 1);
    this.#length -= 1;
    // A room that was busy once must not keep the space for ever.
    if (this.#slots.length > 16 && this.#length < this.#slots.length / 4) {
      this.#resize(this.#slots.length / 2);
    }
    return item;
  }

  #makeRoom(): void {
    if (this.#length === this.#slots.length) {
      this.#resize(this.#slots.length * 2);
    }
  }

  #resize(size: number): void {
    const slots: (T | undefined)[] = new Array(size);
    for (let index = 0; index < this.#length; index += 1) {
      slots[index] = this.at(index);
    }
    this.#slots = slots;
    this.#head = 0;
  }
}
