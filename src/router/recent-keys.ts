/** Routing keys kept for each exchange, at most twice this many. Keys come from outside, so there must be a bound. */
export const RECENT_KEYS = 4096;

/**
 * Remembers answers for the keys seen lately. Two generations: when the young one is full it becomes the old one, and
 * what is asked for again moves back, so the busy keys stay without any bookkeeping per read.
 */
export class RecentKeys<T> {
  #young = new Map<string, T>();
  #old = new Map<string, T>();

  get(key: string): T | undefined {
    const value = this.#young.get(key);
    if (value !== undefined) return value;
    const old = this.#old.get(key);
    if (old !== undefined) this.set(key, old);
    return old;
  }

  set(key: string, value: T): void {
    if (this.#young.size >= RECENT_KEYS) {
      this.#old = this.#young;
      this.#young = new Map();
    }
    this.#young.set(key, value);
  }

  clear(): void {
    this.#young.clear();
    this.#old.clear();
  }
}
