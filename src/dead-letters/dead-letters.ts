import { InvalidArgumentError } from '../errors.ts';
import type { ParkedKey } from '../message/inbox.ts';
import type { Publisher } from '../message/publisher.ts';
import type { QueueReader } from '../message/queue-reader.ts';
import type { Delivery } from '../message/subscriber.ts';
import { deadQueueName } from '../message/topology.ts';
import { forPeople } from '../util/for-people.ts';
import { type DeadLetter, isOurs, readDeadLetter } from './dead-letter.ts';
import { assertFilter, type DeadLetterFilter, matches } from './filter.ts';
import { type DeadLetterGroup, GroupCounter } from './groups.ts';
import { redrivenCopy } from './redriven-copy.ts';
import { Sweep, type SweepOptions, type SweepResult } from './sweep.ts';
import { assertLimit, assertSweepOptions } from './sweep-options.ts';

/** Where parked keys are kept: the inbox of the database. */
export interface KeyParking {
  parkedKeys(queue: string): Promise<readonly ParkedKey[]>;
  /** Leaves one that has been parked again since. */
  unparkKey(queue: string, key: ParkedKey): Promise<boolean>;
}

export interface DeadLettersParts {
  readonly reader: QueueReader;
  readonly publisher: Publisher;
  /** Undefined without a database. */
  readonly parking: KeyParking | undefined;
  /** The work queue. */
  readonly queue: string;
  /** Whether a failing key is parked: then no letter is put back to work before an earlier one of its key. */
  readonly keepsKeyOrder: boolean;
  /** How long the inbox remembers what was handled. @default nothing is asked: there is no inbox */
  readonly retentionMs?: number | undefined;
}

export interface RedriveOptions extends SweepOptions {
  /** Takes letters as well that are older than what the inbox remembers. @default false */
  readonly force?: boolean | undefined;
}

export interface DeadLetterSummary {
  readonly queue: string;
  readonly waiting: number;
  /** How many of them, the oldest, are counted in `groups`: at most 65,535 can be looked at. */
  readonly counted: number;
  readonly groups: readonly DeadLetterGroup[];
}

export interface ShownDeadLetter extends DeadLetter {
  readonly headers: object;
  readonly body: Buffer;
}

/**
 * The dead letters of a queue: look at them, put them back to work, drop them. One at a time for each queue: who comes
 * while another reads gets QueueUnavailableError.
 */
export class DeadLetters {
  readonly #parts: DeadLettersParts;
  readonly #deadQueue: string;

  constructor(parts: DeadLettersParts) {
    this.#parts = parts;
    this.#deadQueue = deadQueueName(parts.queue);
  }

  /** How many there are, by reason and handler. Leaves them as they are. */
  async summary(): Promise<DeadLetterSummary> {
    const counter = new GroupCounter();
    let counted = 0;
    const waiting = await this.#look((letter) => {
      counter.add(letter);
      counted += 1;
      return true;
    });
    return { queue: this.#deadQueue, waiting, counted, groups: counter.groups };
  }

  /**
   * The oldest ones with their content. Leaves them as they are.
   * @param limit ≥ 1
   * @throws InvalidArgumentError, QueueUnavailableError
   */
  async show(filter: DeadLetterFilter, limit: number): Promise<ShownDeadLetter[]> {
    assertFilter(filter);
    assertLimit(limit, 1);
    const shown: ShownDeadLetter[] = [];
    await this.#look((letter, delivery) => {
      const { body, properties } = delivery;
      if (matches(letter, filter)) shown.push({ ...letter, headers: properties.headers ?? {}, body });
      return shown.length < limit;
    });
    return shown;
  }

  /**
   * Puts them back to work, oldest first: a confirmed copy to the queue, then the letter is acked. Being killed in
   * between leaves a letter and its copy; of these the inbox lets one have its effect. Letters that come meanwhile stay.
   * Afterwards the keys of which no letter is left come free, but those that a message has parked again meanwhile.
   *
   * A letter that is older than what the inbox remembers is refused without `force`: a copy of it that was handled long
   * ago is forgotten, and it would have its effect once more.
   */
  async redrive(options: RedriveOptions): Promise<SweepResult> {
    const { publisher, queue, keepsKeyOrder } = this.#parts;
    return this.#sweep(options, keepsKeyOrder, async (delivery, letter) => {
      if (!isOurs(letter))
        throw new InvalidArgumentError('dead letter', 'a copy that a consumer of ours made', 'another');
      if (!options.force) this.#assertRemembered(letter);
      // As large as it came: what the broker gave us it takes back.
      const limits = { maxBodyBytes: Number.POSITIVE_INFINITY };
      await publisher.publish(redrivenCopy(delivery, queue, new Date()), limits);
    });
  }

  /** Takes them out for good. Keys of which no letter is left come free, as with `redrive`. */
  drop(options: SweepOptions): Promise<SweepResult> {
    return this.#sweep(options, false, () => Promise.resolve());
  }

  /** @throws InvalidArgumentError, which refuses this letter alone */
  #assertRemembered({ id, time }: DeadLetter): void {
    const { retentionMs } = this.#parts;
    // One whose time cannot be read is no older than another.
    const ageMs = Date.now() - Date.parse(time ?? '');
    if (retentionMs === undefined || !(ageMs > retentionMs)) return;
    throw new InvalidArgumentError(
      `dead letter ${id ?? 'without id'}`,
      `one given up within inbox.retention (${forPeople(retentionMs)}), or --force`,
      `one given up ${forPeople(ageMs)} ago, of which the inbox has forgotten whether it was handled`,
    );
  }

  async #sweep(
    options: SweepOptions,
    keepsKeyOrder: boolean,
    take: (delivery: Delivery, letter: DeadLetter) => Promise<void>,
  ): Promise<SweepResult> {
    assertSweepOptions(options);
    const { reader, parking, queue } = this.#parts;
    // Before the first letter is read: a key is parked after its letter is safe, so each of these has its letters in the
    // queue, or had them.
    const parked = options.dryRun ? [] : ((await parking?.parkedKeys(queue)) ?? []);
    const sweep = new Sweep({ reader, deadQueue: this.#deadQueue, take, keepsKeyOrder, parked }, options);
    const result = await sweep.run();
    let unparked = 0;
    if (result.isComplete && parking) {
      for (const key of sweep.freeKeys) if (await parking.unparkKey(queue, key)) unparked += 1;
    }
    return { ...result, unparked };
  }

  /** @returns how many wait */
  async #look(see: (letter: DeadLetter, delivery: Delivery) => boolean): Promise<number> {
    const queue = await this.#parts.reader.open(this.#deadQueue);
    try {
      for (let read = await queue.next(); read.kind === 'message'; read = await queue.next()) {
        if (!see(readDeadLetter(read.delivery), read.delivery)) break;
      }
      return queue.waiting;
    } finally {
      await queue.close();
    }
  }
}
