export interface BackoffOptions {
  /** Ceiling of the first delay, in ms. */
  readonly initialMs: number;
  /** Ceiling of every delay, in ms. */
  readonly maxMs: number;
}

/** Reconnects of broker and database. */
export const RECONNECT_BACKOFF: BackoffOptions = Object.freeze({ initialMs: 100, maxMs: 30_000 });

/**
 * Full jitter: a delay drawn evenly from (0, min(max, initial · 2^attempt)], so that clients which lost the same server
 * do not come back together.
 * @param attempt 0 for the first delay
 * @param random in [0, 1)
 * @returns whole milliseconds, at least 1
 */
export function backoffMs(attempt: number, options: BackoffOptions = RECONNECT_BACKOFF, random = Math.random): number {
  const ceiling = Math.min(options.maxMs, options.initialMs * 2 ** Math.min(attempt, 30));
  return Math.max(1, Math.ceil(ceiling * (1 - random())));
}
