/** More are not remembered: an attacker with many addresses must not fill the memory. */
const MOST_CLIENTS = 10_000;

interface Bucket {
  tokens: number;
  at: number;
}

/**
 * Lets each client do `perSecond` things a second over time, and `burst` at once.
 * The oldest clients are forgotten when there are too many, which gives them a full bucket.
 */
export class TokenBuckets {
  readonly #perSecond: number;
  readonly #burst: number;
  readonly #now: () => number;
  readonly #buckets = new Map<string, Bucket>();

  constructor(perSecond: number, burst: number, now: () => number = () => performance.now()) {
    this.#perSecond = perSecond;
    this.#burst = burst;
    this.#now = now;
  }

  /** Takes one. @returns 0, or the seconds until there is one again */
  take(client: string): number {
    const bucket = this.#bucket(client);
    if (bucket.tokens < 1) return (1 - bucket.tokens) / this.#perSecond;
    bucket.tokens -= 1;
    return 0;
  }

  /** The seconds until there is one, without taking it. */
  wait(client: string): number {
    const { tokens } = this.#bucket(client);
    return tokens < 1 ? (1 - tokens) / this.#perSecond : 0;
  }

  /** How many can be taken at once. */
  left(client: string): number {
    return Math.floor(this.#bucket(client).tokens);
  }

  /** The seconds until one more can be taken at once than now; 0 when that is never. */
  untilNext(client: string): number {
    const { tokens } = this.#bucket(client);
    return tokens >= this.#burst ? 0 : (Math.floor(tokens) + 1 - tokens) / this.#perSecond;
  }

  #bucket(client: string): Bucket {
    const now = this.#now();
    const known = this.#buckets.get(client);
    if (known) {
      known.tokens = Math.min(this.#burst, known.tokens + ((now - known.at) / 1000) * this.#perSecond);
      known.at = now;
      return known;
    }
    if (this.#buckets.size >= MOST_CLIENTS) {
      const [oldest] = this.#buckets.keys();
      if (oldest !== undefined) this.#buckets.delete(oldest);
    }
    const made = { tokens: this.#burst, at: now };
    this.#buckets.set(client, made);
    return made;
  }
}
