import { ReleasingMap } from '../util/releasing-map.ts';

/** What runs in lanes. `behind` belongs to the lanes: the next one of the same key. */
export interface LaneItem<T> {
  readonly key: string | undefined;
  behind: T | undefined;
}

/**
 * Which message may run now: at most `concurrency` at once, those of one key one at a time in the order they came,
 * those without a key freely. First ready, first begun; when a key's message is done, the one behind it queues up
 * after everything that is ready, so that a busy key starves no other.
 *
 *   enter ──▶ (behind its key) ──▶ ready ──▶ begin ──▶ finish            slot and key are free
 *                                    ▲         └────▶ rest ──▶ leave     slot free at once, key at `leave`
 *                                    └── resume ◀───────┘
 */
export class Lanes<T extends LaneItem<T>> {
  readonly #begin: (item: T) => void;
  readonly #takeAside: (item: T) => boolean;
  readonly #ready = new Fifo<T>();
  /** The last one of each key that is in here. */
  readonly #tails = new ReleasingMap<string, T>();
  #free: number;
  #isPumping = false;
  #isClosed = false;
  #isHeld = false;

  /**
   * @param concurrency most items between `begin` and `finish` or `rest`, ≥ 1
   * @param begin starts an item; it may call back into the lanes, and must not throw
   * @param takeAside whether the caller keeps an item that would be ready, its key taken, for `beginAlone`, `resume` or
   *   `leave` later
   */
  constructor(concurrency: number, begin: (item: T) => void, takeAside: (item: T) => boolean = () => false) {
    this.#free = concurrency;
    this.#begin = begin;
    this.#takeAside = takeAside;
  }

  enter(item: T): void {
    if (this.#isClosed) return;
    if (item.key !== undefined) {
      const tail = this.#tails.get(item.key);
      this.#tails.set(item.key, item);
      if (tail) {
        tail.behind = item;
        return;
      }
    }
    this.#queue(item);
  }

  /** A begun item has ended: its slot and its key are free. */
  finish(item: T): void {
    this.#free += 1;
    this.leave(item);
    this.#pump();
  }

  /** A begun item waits, or is being put away: its slot is free, its key stays taken until `leave`. */
  rest(): void {
    this.#free += 1;
    this.#pump();
  }

  /** A resting item wants to run again, ahead of those behind it. */
  resume(item: T): void {
    if (!this.#isClosed) this.#queue(item);
  }

  /** A resting item has ended: its key is free. */
  leave(item: T): void {
    if (item.key === undefined || this.#isClosed) return;
    const next = item.behind;
    item.behind = undefined;
    if (next) this.#queue(next);
    else if (this.#tails.get(item.key) === item) this.#tails.delete(item.key);
  }

  /** From now on nothing begins but by `beginAlone`. */
  hold(): void {
    this.#isHeld = true;
  }

  unhold(): void {
    this.#isHeld = false;
    this.#pump();
  }

  /** Begins an item that was taken aside. */
  beginAlone(item: T): void {
    this.#free -= 1;
    this.#begin(item);
  }

  /** Nothing begins any more; those that have not begun are forgotten. */
  close(): void {
    this.#isClosed = true;
    this.#ready.clear();
    this.#tails.clear();
  }

  #queue(item: T): void {
    if (this.#takeAside(item)) return;
    if (this.#free > 0 && !this.#isPumping && this.#ready.isEmpty && !this.#isClosed && !this.#isHeld) {
      this.#free -= 1;
      this.#isPumping = true;
      this.#begin(item);
      this.#isPumping = false;
      if (this.#ready.isEmpty) return;
    } else this.#ready.push(item);
    this.#pump();
  }

  #pump(): void {
    if (this.#isPumping) return;
    this.#isPumping = true;
    while (this.#free > 0 && !this.#isClosed && !this.#isHeld) {
      const item = this.#ready.shift();
      if (!item) break;
      this.#free -= 1;
      this.#begin(item);
    }
    this.#isPumping = false;
  }
}

/** A queue whose `shift` does not move what is left. */
class Fifo<T> {
  #items: (T | undefined)[] = [];
  #head = 0;

  get isEmpty(): boolean {
    return this.#head === this.#items.length;
  }

  push(item: T): void {
    this.#items.push(item);
  }

  shift(): T | undefined {
    if (this.isEmpty) return undefined;
    const item = this.#items[this.#head];
    this.#items[this.#head] = undefined;
    this.#head += 1;
    if (this.isEmpty) this.clear();
    else if (this.#head >= 512 && this.#head * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    return item;
  }

  clear(): void {
    this.#items.length = 0;
    this.#head = 0;
  }
}
