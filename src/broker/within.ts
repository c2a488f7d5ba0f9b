import { leavable } from '../util/leavable.ts';
import { MAX_TIMER_MS } from '../util/sleep.ts';

/**
 * The promise, or `onTimeout`'s error when it takes longer than `ms`: then nothing of it stays at the promise. A later
 * failure of the promise is swallowed.
 */
export async function within<T>(ms: number, promise: Promise<T>, onTimeout: () => Error): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const tooLong = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(onTimeout()), Math.min(ms, MAX_TIMER_MS));
  });
  const awaited = leavable(promise);
  try {
    return await Promise.race([awaited.promise, tooLong]);
  } finally {
    awaited.leave();
    clearTimeout(timer);
  }
}
