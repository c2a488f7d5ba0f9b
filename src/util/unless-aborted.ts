import { leavable } from './leavable.ts';
import { onAbort } from './on-abort.ts';

/**
 * The promise, or the signal's reason as soon as it aborts: then nothing of it stays at the promise. A later failure of
 * the promise is swallowed.
 */
export async function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  const awaited = leavable(promise);
  let forget: () => void = () => undefined;
  const aborted = new Promise<never>((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    else forget = onAbort(signal, () => reject(signal.reason));
  });
  try {
    return await Promise.race([awaited.promise, aborted]);
  } finally {
    awaited.leave();
    forget();
  }
}
