import { ReleasingMap } from '../../util/releasing-map.ts';
import type { Consumer } from './consumer.ts';
import type { Queue } from './queue.ts';
import type { QueuedMessage } from './queued-message.ts';

/** A delivery that the client has to settle. */
export interface Unacked {
  readonly tag: number;
  readonly entry: QueuedMessage;
  readonly queue: Queue;
  /** None for `basic.get`. */
  readonly consumer: Consumer | undefined;
}

/** The deliveries of a channel that wait for ack, nack or reject, by delivery tag in the order of delivery. */
export class UnackedMessages {
  readonly #byTag = new ReleasingMap<number, Unacked>();

  get size(): number {
    return this.#byTag.size;
  }

  add(unacked: Unacked): void {
    this.#byTag.set(unacked.tag, unacked);
  }

  /**
   * Takes out the delivery, or with `isMultiple` all up to it (tag 0: all there are).
   * @returns `undefined` when there is no such delivery
   */
  take(tag: number, isMultiple: boolean): readonly Unacked[] | undefined {
    if (!isMultiple) {
      const found = this.#byTag.get(tag);
      if (!found) return undefined;
      this.#byTag.delete(tag);
      return [found];
    }
    if (tag === 0) return this.takeAll();
    if (!this.#byTag.has(tag)) return undefined;
    const taken: Unacked[] = [];
    for (const unacked of this.#byTag.values()) {
      if (unacked.tag > tag) break;
      taken.push(unacked);
    }
    for (const { tag: each } of taken) this.#byTag.delete(each);
    return taken;
  }

  takeAll(): readonly Unacked[] {
    const all = [...this.#byTag.values()];
    this.#byTag.clear();
    return all;
  }

  /** Puts back what a transaction had taken and rolled back. */
  restore(entries: readonly Unacked[]): void {
    if (entries.length === 0) return;
    const all = [...this.#byTag.values(), ...entries].sort((a, b) => a.tag - b.tag);
    this.#byTag.clear();
    for (const unacked of all) this.#byTag.set(unacked.tag, unacked);
  }

  [Symbol.iterator](): Iterator<Unacked> {
    return this.#byTag.values();
  }
}
