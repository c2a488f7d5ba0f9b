import { setTimeout as timer } from 'node:timers/promises';

/** Waits `ms`, or until the signal aborts: then it resolves as well, for loops that look at the signal themselves. */
export async function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  if (signal?.aborted) return;
  try {
    await timer(ms, undefined, signal ? { signal } : {});
  } catch (error) {
    if (!signal?.aborted) throw error;
  }
}
