export const RELAYS = 2;
export const CONSUMERS = 2;

export const STAGE = Object.freeze({ idle: 0, inserted: 1, committed: 2, rolledBack: 3 });
/** Of a row in a relay's memory. */
export const ENTRY = Object.freeze({ none: 0, read: 1, sent: 2, stored: 3, confirmed: 4 });
/** Of a copy in the queue. */
export const COPY = Object.freeze({ ready: 0, waiting: 1, running: 2, handled: 3, resting: 4 });

/** Per message: stage, id, commit rank, row, backing off, inbox, refused once, failed once, copies made, orphaned run. */
const PER_MESSAGE = 10;

/** Lease owner, active consumer, last id, last commit's rank, faults so far. */
const GLOBALS = 5;

export interface Size {
  /** The key of each message. */
  readonly keys: readonly number[];
  /** Most times that the broker takes a message. */
  readonly copies: number;
  /** Most faults on the way to a state; infinite: they are not counted. */
  readonly faults: number;
}

/**
 * A state of the whole: bytes, so that states can be compared and kept. Message, relay and consumer numbers count from 0
 * in the code, and from 1 where a byte says "which one", 0 being none.
 */
export class State {
  readonly size: Size;
  readonly bytes: Uint8Array;

  constructor(size: Size, bytes?: Uint8Array) {
    this.size = size;
    const n = size.keys.length;
    const length = n * PER_MESSAGE + RELAYS * (2 + 2 * n) + GLOBALS + this.slots * 3 + n + 1;
    this.bytes = bytes ?? new Uint8Array(length);
  }

  get messages(): number {
    return this.size.keys.length;
  }
  get slots(): number {
    return this.size.keys.length * this.size.copies;
  }

  copy(): State {
    return new State(this.size, this.bytes.slice());
  }

  /**
   * A text that is the same for the same states only, and for states that differ in nothing but which of the two relays,
   * or consumers, is which.
   */
  get name(): string {
    const one = this.bytes.slice();
    const state = new State(this.size, one);
    if (state.active === 1) state.#swapConsumers();
    if (state.#isSecondRelayGreater()) state.#swapRelays();
    return Buffer.from(one.buffer, one.byteOffset, one.length).toString('latin1');
  }

  #isSecondRelayGreater(): boolean {
    const length = this.#relay(1) - this.#relay(0);
    for (let i = 0; i < length; i++) {
      const difference = this.#at(this.#relay(1) + i) - this.#at(this.#relay(0) + i);
      if (difference !== 0) return difference > 0;
    }
    return this.leaseOwner === 2;
  }

  #swapRelays(): void {
    const [first, second, end] = [this.#relay(0), this.#relay(1), this.#relay(2)];
    const block = this.bytes.slice(first, second);
    this.bytes.copyWithin(first, second, end);
    this.bytes.set(block, second);
    this.leaseOwner = swapped(this.leaseOwner);
  }

  #swapConsumers(): void {
    this.active = 1 - this.active;
    for (let m = 0; m < this.messages; m++) this.setMessage(m, 'orphan', swapped(this.message(m, 'orphan')));
    for (let i = 0; i < this.slots; i++) this.setSlot(i, swapped(this.slotHolder(i)), this.slotCopy(i));
  }

  #at(index: number): number {
    return this.bytes[index] ?? 0;
  }

  message(m: number, field: MessageField): number {
    return this.#at(m * PER_MESSAGE + FIELDS[field]);
  }
  setMessage(m: number, field: MessageField, value: number): void {
    this.bytes[m * PER_MESSAGE + FIELDS[field]] = value;
  }

  #relay(r: number): number {
    return this.messages * PER_MESSAGE + r * (2 + 2 * this.messages);
  }
  isLive(r: number): boolean {
    return this.#at(this.#relay(r)) === 1;
  }
  setLive(r: number, isLive: boolean): void {
    this.bytes[this.#relay(r)] = isLive ? 1 : 0;
  }
  mark(r: number): number {
    return this.#at(this.#relay(r) + 1);
  }
  setMark(r: number, id: number): void {
    this.bytes[this.#relay(r) + 1] = id;
  }
  entry(r: number, m: number): number {
    return this.#at(this.#relay(r) + 2 + m);
  }
  setEntry(r: number, m: number, entry: number): void {
    this.bytes[this.#relay(r) + 2 + m] = entry;
  }
  /** Messages on their way from the relay to the broker, the first first. */
  wire(r: number): number[] {
    const from = this.#relay(r) + 2 + this.messages;
    return [...this.bytes.subarray(from, from + this.messages)].filter((one) => one > 0).map((one) => one - 1);
  }
  setWire(r: number, wire: readonly number[]): void {
    const from = this.#relay(r) + 2 + this.messages;
    for (let i = 0; i < this.messages; i++) this.bytes[from + i] = (wire[i] ?? -1) + 1;
  }

  #global(index: number): number {
    return this.messages * PER_MESSAGE + RELAYS * (2 + 2 * this.messages) + index;
  }
  /** The relay that has the lease, from 1; 0: nobody. */
  get leaseOwner(): number {
    return this.#at(this.#global(0));
  }
  set leaseOwner(owner: number) {
    this.bytes[this.#global(0)] = owner;
  }
  /** The consumer that the queue brings messages to. */
  get active(): number {
    return this.#at(this.#global(1));
  }
  set active(c: number) {
    this.bytes[this.#global(1)] = c;
  }
  nextId(): number {
    const id = this.#at(this.#global(2)) + 1;
    this.bytes[this.#global(2)] = id;
    return id;
  }
  nextRank(): number {
    const rank = this.#at(this.#global(3)) + 1;
    this.bytes[this.#global(3)] = rank;
    return rank;
  }

  get faults(): number {
    return this.#at(this.#global(4));
  }
  countFault(): void {
    this.bytes[this.#global(4)] = this.faults + 1;
  }

  #slot(i: number): number {
    return this.#global(GLOBALS) + i * 3;
  }
  /** Of the copy at this place of the queue: its message; -1: there is none. */
  slotMessage(i: number): number {
    return this.#at(this.#slot(i)) - 1;
  }
  /** The consumer that has it, from 1; 0: nobody. */
  slotHolder(i: number): number {
    return this.#at(this.#slot(i) + 1);
  }
  slotCopy(i: number): number {
    return this.#at(this.#slot(i) + 2);
  }
  setSlot(i: number, holder: number, copy: number): void {
    this.bytes[this.#slot(i) + 1] = holder;
    this.bytes[this.#slot(i) + 2] = copy;
  }
  append(m: number): void {
    for (let i = 0; i < this.slots; i++) {
      if (this.slotMessage(i) >= 0) continue;
      this.bytes[this.#slot(i)] = m + 1;
      this.setSlot(i, 0, COPY.ready);
      return;
    }
  }
  remove(i: number): void {
    this.bytes.copyWithin(this.#slot(i), this.#slot(i + 1), this.#slot(this.slots));
    this.bytes.fill(0, this.#slot(this.slots - 1), this.#slot(this.slots));
  }

  effects(): number[] {
    const from = this.#slot(this.slots);
    return [...this.bytes.subarray(from, from + this.messages + 1)].filter((one) => one > 0).map((one) => one - 1);
  }
  addEffect(m: number): void {
    const from = this.#slot(this.slots);
    for (let i = 0; i <= this.messages; i++) {
      if (this.bytes[from + i] !== 0) continue;
      this.bytes[from + i] = m + 1;
      return;
    }
  }
}

const swapped = (number: number): number => (number === 0 ? 0 : 3 - number);

export type MessageField = keyof typeof FIELDS;
const FIELDS = Object.freeze({
  stage: 0,
  id: 1,
  rank: 2,
  row: 3,
  backsOff: 4,
  inbox: 5,
  refused: 6,
  failed: 7,
  copies: 8,
  /** A run whose delivery is lost, by the consumer, from 1: its transaction can still commit. */
  orphan: 9,
});
