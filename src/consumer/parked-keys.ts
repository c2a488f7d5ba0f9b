/** About 10 MiB of keys. */
const MAX_KEYS = 100_000;
/** About 10 MiB of letters, of all keys, that are told from each other; more are only counted. */
const MAX_LETTERS = 100_000;
/** Stands for those of a key that are only counted. */
const OTHERS = Symbol('others');

/** How often each letter of a key lies in the dead letters. */
type Letters = Map<string | typeof OTHERS, number>;

/**
 * Keys of one queue that wait in the dead letters, as far as this process knows. It serves handlers without an inbox;
 * with one, the inbox keeps them, for all processes. A key comes free when each letter that went to the dead letters was
 * redriven and settled, or when the process restarts. One that another process has parked is not in a key's way here, and
 * frees nothing when it is settled.
 */
export class ParkedKeys {
  readonly #keys = new Map<string, Letters>();
  #letters = 0;
  readonly #onForgotten: (key: string) => void;

  /** @param onForgotten the oldest key had to be forgotten, since memory is bounded: its order is no longer kept */
  constructor(onForgotten: (key: string) => void) {
    this.#onForgotten = onForgotten;
  }

  has(key: string): boolean {
    return this.#keys.has(key);
  }

  /**
   * A message of it went to the dead letters.
   * @param letter what tells it from others of its key; those that cannot be told apart are counted
   * @param isRedriven it had been there before
   */
  park(key: string, letter: string, isRedriven: boolean): void {
    const letters: Letters = this.#keys.get(key) ?? new Map();
    const isKnown = letters.has(letter) || (letters.has(OTHERS) && isRedriven);
    if (!(isRedriven && isKnown)) {
      const at = letters.has(letter) || this.#letters < MAX_LETTERS ? letter : OTHERS;
      if (at === letter && !letters.has(letter)) this.#letters += 1;
      letters.set(at, (letters.get(at) ?? 0) + 1);
    }
    this.#keys.set(key, letters);
    if (this.#keys.size <= MAX_KEYS) return;
    for (const [oldest, forgotten] of this.#keys) {
      this.#keys.delete(oldest);
      forgotten.delete(OTHERS);
      this.#letters -= forgotten.size;
      this.#onForgotten(oldest);
      return;
    }
  }

  /** A redriven message of it came through, or turned out not to be in its way. */
  settle(key: string, letter: string): void {
    const letters = this.#keys.get(key);
    if (!letters) return;
    const at = letters.has(letter) ? letter : OTHERS;
    const count = letters.get(at) ?? 0;
    if (count > 1) letters.set(at, count - 1);
    else if (letters.delete(at) && at !== OTHERS) this.#letters -= 1;
    if (letters.size === 0) this.#keys.delete(key);
  }
}
