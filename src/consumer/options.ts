import { DEFAULT_JSON_LIMITS, type JsonLimits } from '../wire/json.ts';

export const KEYED_FAILURES = ['park', 'skip'] as const;
export const UNHANDLED_POLICIES = ['ack', 'dead-letter'] as const;

export interface RetryOptions {
  /** Handler runs of one message before it goes to the dead letters, those that RetryLater asked for included; ≥ 1. */
  readonly attempts: number;
  /**
   * Milliseconds to wait after the first failed run, the second, …; each is a retry queue. At most attempts - 1; the last
   * repeats. Empty only for a single attempt.
   */
  readonly delaysMs: readonly number[];
  /** How long, from its first failure on, a keyed message is retried in place, its key waiting. No effect without keys. */
  readonly inPlaceMs: number;
  /**
   * What a keyed message does to its key when its handler gives it up: out of time, out of attempts, or rejected.
   * `park`: those behind it go to the dead letters too, in order, until it is redriven. `skip`: they go on. A message that
   * cannot be read, or that no handler takes, parks its key only when a handler had given it up before; or when it waited
   * behind one of its key, and no handler takes it any more. No effect without keys.
   */
  readonly keyed: (typeof KEYED_FAILURES)[number];
  /**
   * Deaths of the process in a message's runs that make it a dead letter: the first among others, then alone; 0 or ≥ 2.
   * 0: what comes back runs like any other, and one that kills comes back for ever.
   */
  readonly crashes: number;
}

/** How a consumer works. Durations in milliseconds. The settings check what is given; here it is complete. */
export interface ConsumeOptions {
  /** Most messages that the broker hands over unsettled, 1 … 65,535. */
  readonly prefetch: number;
  /** Most handlers that run at once, ≥ 1; more than `prefetch` has no effect. */
  readonly concurrency: number;
  readonly retry: RetryOptions;
  /**
   * What becomes of messages that no handler takes; counted, and warned about once a route, in either case. Copies of ours
   * (a retry, or what was put back from the dead letters) are kept in either case.
   */
  readonly unhandled: (typeof UNHANDLED_POLICIES)[number];
  /** A run longer than this fails, its signal aborted. Keep it well below the broker's consumer timeout of 30 min. */
  readonly handlerTimeoutMs: number;
  /** How long `stop` waits for running handlers before it aborts their signals and gives their messages back. */
  readonly graceMs: number;
  /** A message over one of these goes to the dead letters unread. */
  readonly limits: JsonLimits;
  /** How long past its deadline a command or call is still executed. */
  readonly skewToleranceMs: number;
  /** Whether handlers that do not say use the inbox. No effect without an inbox. */
  readonly inboxByDefault: boolean;
  /** Most messages that share a transaction, for handlers that do not say; ≥ 1. */
  readonly inboxGroup: number;
}

export const DEFAULT_CONSUMER_OPTIONS: ConsumeOptions = Object.freeze({
  prefetch: 100,
  concurrency: 20,
  retry: Object.freeze({
    attempts: 5,
    delaysMs: Object.freeze([1_000, 5_000, 30_000, 120_000]),
    inPlaceMs: 10_000,
    keyed: 'park',
    crashes: 3,
  }),
  unhandled: 'ack',
  handlerTimeoutMs: 600_000,
  graceMs: 30_000,
  limits: DEFAULT_JSON_LIMITS,
  skewToleranceMs: 0,
  inboxByDefault: true,
  inboxGroup: 1,
});
