import type { ConsumeOptions } from './options.ts';

type Retry = ConsumeOptions['retry'];

export interface FailedRun {
  /** Runs that have failed so far, this one included. */
  readonly failedRuns: number;
  /** What RetryLater asked for. */
  readonly requestedMs: number | undefined;
}

/**
 * What comes after a failed run of a message without a key.
 * - `queue`: wait in the retry queue of this delay
 * - `schedule`: longer than any retry queue: a row of the future table, when there is one
 * - `exhausted`: it has had its attempts; those that RetryLater asked for count too
 */
export type RetryPlan =
  | { readonly kind: 'queue' | 'schedule'; readonly delayMs: number }
  | { readonly kind: 'exhausted' };

export function planRetry(run: FailedRun, retry: Retry): RetryPlan {
  if (run.failedRuns >= retry.attempts) return { kind: 'exhausted' };
  const { requestedMs } = run;
  if (requestedMs === undefined) return { kind: 'queue', delayMs: delayAfter(run.failedRuns, retry) };
  let nextLarger: number | undefined;
  for (const delay of retry.delaysMs) {
    if (delay >= requestedMs && (nextLarger === undefined || delay < nextLarger)) nextLarger = delay;
  }
  return nextLarger === undefined ? { kind: 'schedule', delayMs: requestedMs } : { kind: 'queue', delayMs: nextLarger };
}

/**
 * How long it really waits, in ms.
 * @param isScheduled whether there is a future table; without one the largest retry queue is used
 */
export function delayOf(plan: Exclude<RetryPlan, { kind: 'exhausted' }>, isScheduled: boolean, retry: Retry): number {
  return plan.kind === 'schedule' && !isScheduled ? Math.max(0, ...retry.delaysMs) : plan.delayMs;
}

export interface FailedRunInPlace extends FailedRun {
  /** Since the first failure in this place. */
  readonly elapsedMs: number;
}

/** What comes after a failed run of a message with a key: another wait in place, cut to the time that is left, or the end. */
export type InPlacePlan = { readonly kind: 'wait'; readonly delayMs: number } | { readonly kind: 'exhausted' };

export function planInPlace(run: FailedRunInPlace, retry: Retry): InPlacePlan {
  const leftMs = retry.inPlaceMs - run.elapsedMs;
  // Timers may fire a fraction of a millisecond early.
  if (run.failedRuns >= retry.attempts || leftMs < 1) return { kind: 'exhausted' };
  return { kind: 'wait', delayMs: Math.ceil(Math.min(run.requestedMs ?? delayAfter(run.failedRuns, retry), leftMs)) };
}

/** Of the delays as given; the last repeats. */
function delayAfter(failedRuns: number, { delaysMs }: Retry): number {
  return delaysMs[Math.min(failedRuns, delaysMs.length) - 1] ?? 0;
}
