import { leavable } from './leavable.ts';

/**
 * The promise, or the signal's reason as soon as it aborts: then nothing of it stays at the promise. A later failure of
 * the promise is swallowed.
 */
export async function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  let onAbort: () => void = () => undefined;
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(signal.reason);
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
  });
  const awaited = leavable(promise);
  try {
    return await Promise.race([awaited.promise, aborted]);
  } finally {
    awaited.leave();
    signal.removeEventListener('abort', onAbort);
  }
}
