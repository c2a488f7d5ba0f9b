import { deferred } from '../util/deferred.ts';

/** Work under way, at most so much at once. */
export class Room {
  readonly #size: number;
  #underWay = 0;
  #freed = deferred();

  constructor(size: number) {
    this.#size = size;
  }

  get isIdle(): boolean {
    return this.#underWay === 0;
  }

  /** Begins the work as soon as there is room for it; resolves then. The work must not reject. */
  async begin(work: () => Promise<unknown>): Promise<void> {
    while (this.#underWay >= this.#size) await this.#freed.promise;
    this.#underWay += 1;
    void work().finally(() => {
      this.#underWay -= 1;
      this.#freed.resolve();
      this.#freed = deferred();
    });
  }

  async idle(): Promise<void> {
    while (this.#underWay > 0) await this.#freed.promise;
  }
}
