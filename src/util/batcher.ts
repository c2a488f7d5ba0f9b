import { type Deferred, deferred } from './deferred.ts';

interface Waiting<Item, Result> {
  readonly item: Item;
  readonly settled: Deferred<Result>;
}

export interface BatchSize<Item> {
  /** What an item adds to its batch. */
  readonly of: (item: Item) => number;
  /** Of a batch together; an item that is larger goes alone. */
  readonly most: number;
}

/**
 * Gathers what is asked for while the last batch is under way into the next one: a lone item waits for nothing, and many
 * share a round trip.
 */
export class Batcher<Item, Result> {
  readonly #run: (items: readonly Item[]) => Promise<readonly Result[]>;
  readonly #most: number;
  readonly #size: BatchSize<Item> | undefined;
  #waiting: Waiting<Item, Result>[] = [];
  #isRunning = false;

  /**
   * @param run gives a result for each item, in their order; when it throws, each of them is rejected
   * @param most items of a batch
   * @param size what else ends a batch. @default nothing
   */
  constructor(run: (items: readonly Item[]) => Promise<readonly Result[]>, most: number, size?: BatchSize<Item>) {
    this.#run = run;
    this.#most = most;
    this.#size = size;
  }

  add(item: Item): Promise<Result> {
    const settled = deferred<Result>();
    this.#waiting.push({ item, settled });
    if (!this.#isRunning) {
      this.#isRunning = true;
      // Those of one turn go together.
      queueMicrotask(() => void this.#loop());
    }
    return settled.promise;
  }

  async #loop(): Promise<void> {
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.splice(0, this.#fitting());
      try {
        const results = await this.#run(batch.map(({ item }) => item));
        batch.forEach(({ settled }, index) => {
          settled.resolve(results[index] as Result);
        });
      } catch (error) {
        for (const { settled } of batch) settled.reject(error);
      }
    }
    this.#isRunning = false;
  }

  /** How many of those that wait go together. */
  #fitting(): number {
    const next = this.#waiting.slice(0, this.#most);
    if (!this.#size) return next.length;
    const { of, most } = this.#size;
    let size = 0;
    const end = next.findIndex(({ item }, index) => {
      size += of(item);
      return index > 0 && size > most;
    });
    return end < 0 ? next.length : end;
  }
}
