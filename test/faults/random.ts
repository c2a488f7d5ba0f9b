/** Numbers that a seed decides (mulberry32). */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** 0 ≤ x < 1 */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let x = this.#state;
    x = Math.imul(x ^ (x >>> 15), x | 1);
    x ^= x + Math.imul(x ^ (x >>> 7), x | 61);
    return ((x ^ (x >>> 14)) >>> 0) / 2 ** 32;
  }

  /** 0 ≤ n < below */
  below(below: number): number {
    return Math.floor(this.next() * below);
  }

  pick<T>(items: readonly T[]): T {
    const item = items[this.below(items.length)];
    if (item === undefined) throw new Error('nothing to pick from');
    return item;
  }

  isOneIn(n: number): boolean {
    return this.below(n) === 0;
  }
}

/** Ranks below `size`, the first the likeliest: rank r has the weight 1/(r+1) (Zipf). */
export class Zipf {
  readonly #sums: readonly number[];
  readonly #random: Random;

  constructor(size: number, random: Random) {
    let sum = 0;
    this.#sums = Array.from({ length: size }, (_, rank) => {
      sum += 1 / (rank + 1);
      return sum;
    });
    this.#random = random;
  }

  next(): number {
    const at = this.#random.next() * (this.#sums.at(-1) ?? 0);
    let low = 0;
    let high = this.#sums.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#sums[middle] ?? 0) <= at) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
