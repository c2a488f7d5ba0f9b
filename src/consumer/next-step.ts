import type { DeadReason, Incoming, Verdict } from '../message/handler.ts';
import { troubleDelayMs } from './forward.ts';
import type { InFlight } from './in-flight.ts';
import type { ConsumeOptions } from './options.ts';
import { delayOf, planInPlace, planRetry } from './retry.ts';

/** A message that infrastructure keeps failing is held this long, then given back: another process may do better. */
export const MAX_HOLD_MS = 60_000;

/**
 * What is done about a message whose run did not end in an ack.
 * - `copy`: a copy for a later run, or for the dead letters when it has had its attempts
 * - `dead`: a copy for the dead letters
 * - `rest`: it stays with us and runs again, its key waiting; `isFailedRun` unless infrastructure failed
 * - `release`: back to the queue
 */
export type Step =
  | { readonly kind: 'copy'; readonly error: Error; readonly requestedMs: number | undefined }
  | { readonly kind: 'dead'; readonly error: Error; readonly reason: DeadReason }
  | { readonly kind: 'rest'; readonly error: Error; readonly delayMs: number; readonly isFailedRun: boolean }
  | { readonly kind: 'release'; readonly error: Error };

export interface Circumstances {
  readonly retry: ConsumeOptions['retry'];
  /** On the monotonic clock. */
  readonly nowMs: number;
  /** Then nothing rests. */
  readonly isDraining: boolean;
}

type MessageState = Pick<InFlight, 'key' | 'attempt' | 'firstFailureMs' | 'firstTroubleMs' | 'troubles'>;

export function nextStep(
  message: MessageState,
  verdict: Exclude<Verdict, { kind: 'ack' }>,
  circumstances: Circumstances,
): Step {
  const { error } = verdict;
  switch (verdict.kind) {
    case 'dead':
      return { kind: 'dead', error, reason: verdict.reason };
    case 'retry':
      if (message.key === undefined) return { kind: 'copy', error, requestedMs: verdict.delayMs };
      return afterFailure(message, error, verdict.delayMs, circumstances);
    case 'release':
      return afterTrouble(message, error, circumstances);
  }
}

/**
 * How long after a failed run the message is run again, in ms: what `nextStep` and then the retry come to. Undefined: it
 * was its last run.
 * @param requestedMs what RetryLater asked for
 */
export function nextRunMs(
  { key, attempt, firstFailureMs }: Pick<Incoming, 'key' | 'attempt' | 'firstFailureMs'>,
  requestedMs: number | undefined,
  { retry, nowMs, isScheduled }: Pick<Circumstances, 'retry' | 'nowMs'> & { readonly isScheduled: boolean },
): number | undefined {
  const run = { failedRuns: attempt, requestedMs };
  if (key === undefined) {
    const plan = planRetry(run, retry);
    return plan.kind === 'exhausted' ? undefined : delayOf(plan, isScheduled, retry);
  }
  const plan = planInPlace({ ...run, elapsedMs: nowMs - (firstFailureMs ?? nowMs) }, retry);
  return plan.kind === 'exhausted' ? undefined : plan.delayMs;
}

function afterFailure(message: MessageState, error: Error, requestedMs: number | undefined, now: Circumstances): Step {
  const elapsedMs = now.nowMs - (message.firstFailureMs ?? now.nowMs);
  const plan = planInPlace({ failedRuns: message.attempt, requestedMs, elapsedMs }, now.retry);
  if (plan.kind === 'exhausted') return { kind: 'dead', error, reason: 'attempts' };
  return now.isDraining
    ? { kind: 'release', error }
    : { kind: 'rest', error, delayMs: plan.delayMs, isFailedRun: true };
}

/** A keyed message is never given back while we go on: those behind it are here, and would overtake it. */
function afterTrouble(message: MessageState, error: Error, now: Circumstances): Step {
  const heldMs = now.nowMs - (message.firstTroubleMs ?? now.nowMs);
  if (now.isDraining || (message.key === undefined && heldMs >= MAX_HOLD_MS)) return { kind: 'release', error };
  return { kind: 'rest', error, delayMs: troubleDelayMs(message.troubles), isFailedRun: false };
}
