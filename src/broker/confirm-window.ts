/** Slots that have left the front are cut off when there are this many: not for each confirm. */
const COMPACT_AT = 1024;

/**
 * The messages of one confirm channel that wait for their confirm, in the order sent: the broker counts publishes
 * from 1, and confirms by that number, singly, up to it, and in any order.
 */
export class ConfirmWindow<Entry> {
  #slots: (Entry | undefined)[] = [];
  /** Index of the first open slot. */
  #head = 0;
  /** Number of the slot at `#head`. */
  #headTag = 1;
  #size = 0;
  /** Where the last return was found: returns come in order, so the next is behind it. */
  #returnedTag = 0;

  get size(): number {
    return this.#size;
  }

  push(entry: Entry): void {
    this.#slots.push(entry);
    this.#size += 1;
  }

  /** Removes what is confirmed, and then tells of it: the visitor may push. Tags already confirmed are passed over. */
  confirm(tag: number, isMultiple: boolean, visit: (entry: Entry) => void): void {
    if (isMultiple || tag === this.#headTag) {
      while (this.#headTag <= tag && this.#head < this.#slots.length) {
        const entry = this.#shift();
        if (entry !== undefined) visit(entry);
      }
      while (this.#head < this.#slots.length && this.#slots[this.#head] === undefined) this.#shift();
    } else {
      const index = this.#head + tag - this.#headTag;
      const entry = tag > this.#headTag ? this.#slots[index] : undefined;
      if (entry === undefined) return;
      this.#slots[index] = undefined;
      this.#size -= 1;
      visit(entry);
    }
  }

  /** The first entry behind the last one found that the predicate takes; from the front when there is none. */
  findReturned(isIt: (entry: Entry) => boolean): Entry | undefined {
    const from = this.#head + Math.max(0, this.#returnedTag + 1 - this.#headTag);
    return this.#find(from, isIt) ?? this.#find(this.#head, isIt);
  }

  /** Open entries, in order. */
  entries(): Entry[] {
    return this.#slots.slice(this.#head).filter((entry) => entry !== undefined);
  }

  #find(from: number, isIt: (entry: Entry) => boolean): Entry | undefined {
    for (let index = from; index < this.#slots.length; index++) {
      const entry = this.#slots[index];
      if (entry !== undefined && isIt(entry)) {
        this.#returnedTag = this.#headTag + index - this.#head;
        return entry;
      }
    }
    return undefined;
  }

  #shift(): Entry | undefined {
    const entry = this.#slots[this.#head];
    this.#slots[this.#head] = undefined;
    this.#head += 1;
    this.#headTag += 1;
    if (entry !== undefined) this.#size -= 1;
    if (this.#head >= COMPACT_AT) {
      this.#slots = this.#slots.slice(this.#head);
      this.#head = 0;
    }
    return entry;
  }
}
