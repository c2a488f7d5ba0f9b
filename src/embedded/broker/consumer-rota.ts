import type { Consumer } from './consumer.ts';
import { Deque } from './deque.ts';

interface Rank {
  readonly priority: number;
  readonly waiting: Deque<Consumer>;
}

/** Whose turn it is: by consumer priority, round robin within one; or the first alone (single active consumer). */
export class ConsumerRota {
  readonly #isSingleActive: boolean;
  readonly #consumers = new Set<Consumer>();
  /** Highest priority first. */
  readonly #ranks: Rank[] = [];
  /** Whose turn it always is, of a single active consumer: it stays so when one with a higher priority comes. */
  #active: Consumer | undefined;

  constructor(isSingleActive: boolean) {
    this.#isSingleActive = isSingleActive;
  }

  get size(): number {
    return this.#consumers.size;
  }
  get all(): Iterable<Consumer> {
    return this.#consumers;
  }
  get isExclusivelyUsed(): boolean {
    for (const consumer of this.#consumers) if (consumer.options.isExclusive) return true;
    return false;
  }

  add(consumer: Consumer): void {
    this.#consumers.add(consumer);
    consumer.place = 'waiting';
    this.#rankOf(consumer).waiting.push(consumer);
    this.#active ??= consumer;
  }

  remove(consumer: Consumer): void {
    this.#consumers.delete(consumer);
    // What is left of it in a rank is passed over when its turn comes.
    consumer.place = 'gone';
    if (consumer === this.#active) this.#active = this.#successor();
  }

  /** Back among the waiting, after it got room. @returns whether it was parked */
  unpark(consumer: Consumer): boolean {
    if (consumer.place !== 'parked') return false;
    consumer.place = 'waiting';
    this.#rankOf(consumer).waiting.push(consumer);
    return true;
  }

  /** The consumer that takes the next message; those found without room are parked. */
  next(): Consumer | undefined {
    if (this.#isSingleActive) return this.#activeWithRoom();
    for (const { waiting } of this.#ranks) {
      for (let consumer = waiting.shift(); consumer; consumer = waiting.shift()) {
        if (consumer.place !== 'waiting') continue;
        if (consumer.canTake()) {
          waiting.push(consumer);
          return consumer;
        }
        this.#park(consumer);
      }
    }
    return undefined;
  }

  #activeWithRoom(): Consumer | undefined {
    if (!this.#active || this.#active.canTake()) return this.#active;
    this.#park(this.#active);
    return undefined;
  }

  /** The one with the highest priority, of several the first that came. */
  #successor(): Consumer | undefined {
    let best: Consumer | undefined;
    for (const consumer of this.#consumers) {
      if (!best || consumer.options.priority > best.options.priority) best = consumer;
    }
    return best;
  }

  #park(consumer: Consumer): void {
    consumer.place = 'parked';
    consumer.parking = consumer.options.target.nextParking();
  }

  #rankOf(consumer: Consumer): Rank {
    const { priority } = consumer.options;
    const at = this.#ranks.findIndex((rank) => rank.priority <= priority);
    const found = at === -1 ? undefined : this.#ranks[at];
    if (found?.priority === priority) return found;
    const rank: Rank = { priority, waiting: new Deque() };
    this.#ranks.splice(at === -1 ? this.#ranks.length : at, 0, rank);
    return rank;
  }
}
