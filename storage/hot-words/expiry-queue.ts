/**
 * What is to be looked at when: a binary heap with the earliest time first. No chat in it but its use: the hot words keep
 * here when each use of a word leaves the window.
 *
 * An item is in the queue at most once and knows its place, so a time can be brought forward. A time that moves back is
 * left alone: the item comes out early, and its owner puts it in again. That makes a repeated word, the usual case, free.
 */

/** An item. Both fields belong to the queue while the item is in it. */
export interface Expiring {
  /** When it comes out, Unix ms. */
  queuedMs: number;
  /** Its place in the heap; -1: not in the queue. */
  queuedAt: number;
}

export class ExpiryQueue<T extends Expiring> {
  readonly #heap: T[] = [];

  get size(): number {
    return this.#heap.length;
  }

  /** The earliest item, which stays. */
  peek(): T | undefined {
    return this.#heap[0];
  }

  /** Puts the item in, or brings it forward where it is in and later. O(log n); O(1) where it becomes the last. */
  put(item: T, dueMs: number): void {
    if (item.queuedAt < 0) {
      item.queuedAt = this.#heap.length;
      this.#heap.push(item);
    } else if (item.queuedMs <= dueMs) {
      return;
    }
    item.queuedMs = dueMs;
    this.#up(item);
  }

  /** Takes the earliest item out. O(log n). */
  pop(): T | undefined {
    const first = this.#heap[0];
    const last = this.#heap.pop();
    if (!first || !last) {
      return undefined;
    }
    first.queuedAt = -1;
    if (first !== last) {
      last.queuedAt = 0;
      this.#heap[0] = last;
      this.#down(last);
    }
    return first;
  }

  #up(item: T): void {
    const heap = this.#heap;
    let at = item.queuedAt;
    while (at > 0) {
      const parentAt = (at - 1) >> 1;
      const parent = heap[parentAt] as T;
      if (parent.queuedMs <= item.queuedMs) {
        break;
      }
      heap[at] = parent;
      parent.queuedAt = at;
      at = parentAt;
    }
    heap[at] = item;
    item.queuedAt = at;
  }

  #down(item: T): void {
    const heap = this.#heap;
    let at = item.queuedAt;
    for (;;) {
      let childAt = 2 * at + 1;
      const left = heap[childAt];
      if (!left) {
        break;
      }
      const right = heap[childAt + 1];
      let child = left;
      if (right && right.queuedMs < left.queuedMs) {
        child = right;
        childAt += 1;
      }
      if (item.queuedMs <= child.queuedMs) {
        break;
      }
      heap[at] = child;
      child.queuedAt = at;
      at = childAt;
    }
    heap[at] = item;
    item.queuedAt = at;
  }
}
