import { type Deferred, deferred } from './deferred.ts';

interface Waiting<Item, Result> {
  readonly item: Item;
  readonly settled: Deferred<Result>;
}

/**
 * Gathers what is asked for while the last batch is under way into the next one: a lone item waits for nothing, and many
 * share a round trip.
 */
export class Batcher<Item, Result> {
  readonly #run: (items: readonly Item[]) => Promise<readonly Result[]>;
  readonly #most: number;
  #waiting: Waiting<Item, Result>[] = [];
  #isRunning = false;

  /** @param run gives a result for each item, in their order; when it throws, each of them is rejected */
  constructor(run: (items: readonly Item[]) => Promise<readonly Result[]>, most: number) {
    this.#run = run;
    this.#most = most;
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
      const batch = this.#waiting.splice(0, this.#most);
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
}
