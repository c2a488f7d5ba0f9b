import { sleep } from '../util/sleep.ts';

/** Lets `perSecond` pass each second, evenly; all at once without it. @returns waits for the next turn */
export function pace(perSecond: number | undefined, signal: AbortSignal): () => Promise<void> {
  if (perSecond === undefined) return () => Promise.resolve();
  const everyMs = 1000 / perSecond;
  let nextMs = performance.now();
  return async () => {
    const waitMs = nextMs - performance.now();
    nextMs = Math.max(nextMs, performance.now()) + everyMs;
    if (waitMs > 0) await sleep(waitMs, signal);
  };
}
