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
