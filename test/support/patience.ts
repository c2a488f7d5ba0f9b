import { slowness } from './slowness.ts';

/** So that what will never come is not waited for by the hour. */
const MOST = 20;

/**
 * A limit of time that guards a test against waiting for ever, and promises nothing. When it is over on a machine that is
 * slow at the moment, there is as much more of it as the machine is slower.
 * @returns whether it is over
 */
export function patience(withinMs: number): () => boolean {
  const startedMs = performance.now();
  let limitMs = withinMs;
  const isOver = (): boolean => performance.now() - startedMs > limitMs;
  return () => {
    if (!isOver()) return false;
    // Asked no sooner: it takes the time of a process's start.
    limitMs = Math.max(limitMs, withinMs * Math.min(MOST, slowness()));
    return isOver();
  };
}

/**
 * Waits between two looks at what signals nothing, longer the longer it takes: what is waited for by the minute must not
 * be asked for a thousand times, which takes the processors from those who do it. What is seen is at most a twentieth late.
 * @param leastMs the first wait
 */
export function pause(leastMs: number): () => Promise<void> {
  const startedMs = performance.now();
  return () => {
    const ms = Math.min(500, Math.max(leastMs, (performance.now() - startedMs) / 20));
    return new Promise((resolve) => setTimeout(resolve, ms));
  };
}
