/** About 10 MiB of keys. */
const MAX_KEYS = 100_000;

/**
 * Keys of one queue that wait in the dead letters, as far as this process knows. It serves handlers without an inbox;
 * with one, the inbox keeps them, for all processes. A key comes free when as many redriven copies of it were settled as
 * went to the dead letters, or when the process restarts.
 */
export class ParkedKeys {
  readonly #deadLetters = new Map<string, number>();
  readonly #onForgotten: (key: string) => void;

  /** @param onForgotten the oldest key had to be forgotten, since memory is bounded: its order is no longer kept */
  constructor(onForgotten: (key: string) => void) {
    this.#onForgotten = onForgotten;
  }

  has(key: string): boolean {
    return this.#deadLetters.has(key);
  }

  /** One more message of it went to the dead letters. @param isRedriven one that had been there before */
  park(key: string, isRedriven: boolean): void {
    const count = this.#deadLetters.get(key);
    this.#deadLetters.set(key, (count ?? 0) + (isRedriven && count !== undefined ? 0 : 1));
    if (this.#deadLetters.size <= MAX_KEYS) return;
    const [oldest] = this.#deadLetters.keys();
    if (oldest === undefined) return;
    this.#deadLetters.delete(oldest);
    this.#onForgotten(oldest);
  }

  /** A redriven message of it came through. */
  settle(key: string): void {
    const count = this.#deadLetters.get(key);
    if (count === undefined) return;
    if (count > 1) this.#deadLetters.set(key, count - 1);
    else this.#deadLetters.delete(key);
  }
}
