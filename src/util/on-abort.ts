import { setMaxListeners } from 'node:events';

/**
 * Calls the listener when the signal aborts.
 * Node takes the eleventh listener of a signal for a leak, and warns. Here each ends with what it was added for, and one
 * signal may be given to any number of calls at the same time.
 * @returns the function that takes the listener away
 */
export function onAbort(signal: AbortSignal | undefined, listener: () => void): () => void {
  if (!signal) return () => undefined;
  setMaxListeners(0, signal);
  signal.addEventListener('abort', listener, { once: true });
  return () => signal.removeEventListener('abort', listener);
}
