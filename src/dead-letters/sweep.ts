import { hasHeldItsKey } from '../consumer/failures.ts';
import { InvalidArgumentError, MessageTooLargeError, PublishRefusedError } from '../errors.ts';
import type { ParkedKey } from '../message/inbox.ts';
import type { OpenQueue, QueueReader } from '../message/queue-reader.ts';
import type { Delivery } from '../message/subscriber.ts';
import { type DeadLetter, readDeadLetter } from './dead-letter.ts';
import { matches } from './filter.ts';
import { pace } from './pace.ts';
import { Room } from './room.ts';
import type { SweepOptions } from './sweep-options.ts';

export type { SweepOptions } from './sweep-options.ts';

export interface SweepResult {
  /** Taken out; with `dryRun`: that would be. */
  readonly taken: number;
  /** Wanted, but left behind an earlier dead letter of their key that stays. */
  readonly heldBack: number;
  /** Wanted, but the broker or the client refused their copy, or they are no copies of ours. */
  readonly refused: number;
  readonly lastRefusal: string | undefined;
  /** Keys that came free: no dead letter of theirs is left. */
  readonly unparked: number;
  /** False when it was stopped, or more stay than can be looked past. */
  readonly isComplete: boolean;
}

export interface SweepParts {
  readonly reader: QueueReader;
  readonly deadQueue: string;
  /** What is done with a letter before it is acked. Rejects: it stays. */
  readonly take: (delivery: Delivery, letter: DeadLetter) => Promise<void>;
  /** A letter stays when an earlier one of its key does. */
  readonly keepsKeyOrder: boolean;
  /** Keys that were parked before the first letter was read. */
  readonly parked: readonly ParkedKey[];
}

/** Only these park a key; one that could not be read was never in its key's way, unless it was one of these before. */
const PARKING: ReadonlySet<string | undefined> = new Set(['attempts', 'rejected', 'crashed', 'parked']);

const MAX_UNDER_WAY = 200;
/** `full`: so many stay that the broker shows no more. */
type End = 'end' | 'full' | 'stopped';

/**
 * One walk through the dead letters, oldest first. What is taken is acked last; what is not stays unsettled until the
 * channel closes, and is back in its place then, so that being killed anywhere loses nothing.
 */
export class Sweep {
  readonly #parts: SweepParts;
  readonly #options: SweepOptions;
  readonly #signal: AbortSignal;
  readonly #room = new Room(MAX_UNDER_WAY);
  /** Of each key its latest letter under way: whether the next may follow. */
  readonly #lanes = new Map<string, Promise<boolean>>();
  /** Keys of which a letter stays. */
  readonly #stuck = new Set<string>();
  /** Letters there were at the beginning: those that come later wait for another walk, or one might never end. */
  #total = 0;
  #taken = 0;
  #chosen = 0;
  #heldBack = 0;
  #refused = 0;
  #lastRefusal: string | undefined;
  #failure: unknown;
  #hasFailed = false;

  constructor(parts: SweepParts, options: SweepOptions) {
    this.#parts = parts;
    this.#options = options;
    this.#signal = options.signal ?? new AbortController().signal;
  }

  /** Keys of which no letter is left. Only after a walk that was complete. */
  get freeKeys(): ParkedKey[] {
    return this.#parts.parked.filter(({ orderKey }) => !this.#stuck.has(orderKey));
  }

  /** @throws what ended it: the rest of the letters is where it was */
  async run(): Promise<Omit<SweepResult, 'unparked'>> {
    const end = await this.#walk();
    if (this.#hasFailed) throw this.#failure;
    return {
      taken: this.#options.dryRun ? this.#chosen : this.#taken,
      heldBack: this.#heldBack,
      refused: this.#refused,
      lastRefusal: this.#lastRefusal,
      isComplete: end === 'end',
    };
  }

  async #walk(): Promise<End> {
    const queue = await this.#parts.reader.open(this.#parts.deadQueue);
    this.#total = queue.waiting;
    try {
      return await this.#readAll(queue);
    } finally {
      await this.#room.idle();
      await queue.close();
    }
  }

  async #readAll(queue: OpenQueue): Promise<End> {
    const { limit = Number.POSITIVE_INFINITY, perSecond } = this.#options;
    const turn = pace(perSecond, this.#signal);
    for (let index = 0; !this.#signal.aborted && !this.#hasFailed; ) {
      // Who may free a key must have seen all of its letters.
      const isEnough = this.#chosen >= limit || index >= this.#total;
      if (isEnough && this.#parts.parked.length === 0) return 'end';
      const read = await queue.next();
      if (read.kind === 'empty') return 'end';
      if (read.kind === 'full') {
        if (this.#room.isIdle) return 'full';
        await this.#room.idle();
        continue;
      }
      index += 1;
      const letter = readDeadLetter(read.delivery);
      if (isEnough || !matches(letter, this.#options.filter)) this.#stay(letter);
      else if (this.#isBlocked(letter)) this.#holdBack(letter);
      else {
        this.#chosen += 1;
        if (this.#options.dryRun) continue;
        await turn();
        if (this.#signal.aborted) return 'stopped';
        await this.#begin(read.delivery, letter);
      }
    }
    return 'stopped';
  }

  #begin(delivery: Delivery, letter: DeadLetter): Promise<void> {
    const { key } = letter;
    if (key === undefined) return this.#room.begin(() => this.#take(delivery, letter));
    const before = this.#lanes.get(key) ?? Promise.resolve(true);
    return this.#room.begin(() => {
      // The next of a key is sent when the broker has this one.
      const work = before.then((isFree) => (isFree ? this.#take(delivery, letter) : this.#giveUp(letter)));
      this.#lanes.set(key, work);
      return work.finally(() => {
        if (this.#lanes.get(key) === work) this.#lanes.delete(key);
      });
    });
  }

  async #take(delivery: Delivery, letter: DeadLetter): Promise<boolean> {
    try {
      await this.#parts.take(delivery, letter);
    } catch (error) {
      this.#chosen -= 1;
      this.#stay(letter);
      if (isRefusal(error)) {
        this.#refused += 1;
        this.#lastRefusal = error.message;
      } else this.#fail(error);
      return !this.#isBlocked(letter);
    }
    // Lost with its channel: it comes again, and is taken again.
    delivery.ack();
    this.#taken += 1;
    try {
      this.#options.onProgress?.(this.#taken, this.#total);
    } catch (error) {
      this.#fail(error);
    }
    return true;
  }

  /** Ends the walk. */
  #fail(error: unknown): void {
    if (this.#hasFailed) return;
    this.#hasFailed = true;
    this.#failure = error;
  }

  async #giveUp(letter: DeadLetter): Promise<boolean> {
    this.#chosen -= 1;
    this.#holdBack(letter);
    return false;
  }

  #isBlocked({ key }: DeadLetter): boolean {
    return this.#parts.keepsKeyOrder && key !== undefined && this.#stuck.has(key);
  }

  #holdBack(letter: DeadLetter): void {
    this.#heldBack += 1;
    this.#stay(letter);
  }

  #stay({ key, reason, failures }: DeadLetter): void {
    if (key !== undefined && (PARKING.has(reason) || hasHeldItsKey(failures))) this.#stuck.add(key);
  }
}

/** The fault of this letter, not of the broker: the others can go on. */
const isRefusal = (error: unknown): error is Error =>
  error instanceof InvalidArgumentError ||
  error instanceof MessageTooLargeError ||
  error instanceof PublishRefusedError;
