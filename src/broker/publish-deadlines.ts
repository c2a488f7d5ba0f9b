import type { PublishEntry } from './publish-entry.ts';

/** A timer may fire this much too early by the other clock. */
export const TOLERANCE_MS = 1;

/** Its caller waits no longer. */
export function isOver(entry: PublishEntry, nowMs: number): boolean {
  return entry.deadlineMs <= nowMs + TOLERANCE_MS;
}

/** A short deadline is its caller's affair; a confirm that has not come in the full time never will. */
export function isStuck(entry: PublishEntry, timeoutMs: number, nowMs: number): boolean {
  return entry.acceptedMs + timeoutMs <= nowMs + TOLERANCE_MS;
}

/** When the next of them is over or stuck; Infinity when nothing is in flight. */
export function nextDeadline(
  unconfirmed: readonly PublishEntry[],
  queued: readonly PublishEntry[],
  timeoutMs: number,
): number {
  let next = Number.POSITIVE_INFINITY;
  for (const entry of queued) next = Math.min(next, entry.deadlineMs);
  for (const { acceptedMs, deadlineMs, isSettled } of unconfirmed) {
    next = Math.min(next, acceptedMs + timeoutMs, isSettled ? next : deadlineMs);
  }
  return next;
}
