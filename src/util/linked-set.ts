/** What may be in one `LinkedSet` at a time. The fields belong to the set. */
export interface Linked<T> {
  before: T | undefined;
  after: T | undefined;
}

/**
 * A set in the order of insertion, for what comes and goes by the thousand.
 *
 * When V8 makes the table of a `Set` or `Map` anew, the old table refers to the new one, for iterators that are under way,
 * and keeps what was in it. Once a full garbage collection has moved one table to the old generation, every later table, and
 * with it all that was ever in the set, stays alive until the next full one: each message is then copied twice before it goes.
 */
export class LinkedSet<T extends Linked<T>> {
  #first: T | undefined;
  #last: T | undefined;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get first(): T | undefined {
    return this.#first;
  }

  /** @param item is in no set */
  add(item: T): void {
    item.before = this.#last;
    if (this.#last) this.#last.after = item;
    else this.#first = item;
    this.#last = item;
    this.#size += 1;
  }

  /** @returns false when it is not in it; it must not be in another one */
  delete(item: T): boolean {
    const { before, after } = item;
    if (!before && this.#first !== item) return false;
    if (before) before.after = after;
    else this.#first = after;
    if (after) after.before = before;
    else this.#last = before;
    item.before = undefined;
    item.after = undefined;
    this.#size -= 1;
    return true;
  }

  clear(): void {
    for (const item of this) this.delete(item);
  }

  /** What is in it now, in the order in which it came. */
  [Symbol.iterator](): Iterator<T> {
    const items: T[] = [];
    for (let item = this.#first; item; item = item.after) items.push(item);
    return items.values();
  }
}
