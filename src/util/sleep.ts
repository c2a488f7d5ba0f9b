import { setTimeout as timer } from 'node:timers/promises';

/** Node's timers take no more: a longer one would end at once. */
export const MAX_TIMER_MS = 2 ** 31 - 1;

/** Waits `ms`, or until the signal aborts: then it resolves as well, for loops that look at the signal themselves. */
export async function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  const endMs = performance.now() + ms;
  try {
    for (let leftMs = ms; !signal?.aborted; leftMs = endMs - performance.now()) {
      await timer(Math.min(leftMs, MAX_TIMER_MS), undefined, signal ? { signal } : {});
      if (!(leftMs > MAX_TIMER_MS)) return;
    }
  } catch (error) {
    if (!signal?.aborted) throw error;
  }
}
