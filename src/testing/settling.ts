import { NotSettledError } from '../errors.ts';
import { sleep } from '../util/sleep.ts';

/** What still moves, in words. */
export interface Motion {
  readonly pending: readonly string[];
}

const LOOK_EVERY_MS = 5;

/**
 * Resolves when nothing moves: nothing was pending in a whole look, and no step was taken from its beginning to its end.
 * Without the second a message could pass from one place to another behind the look.
 * @throws NotSettledError (SVC_COMM_NOT_SETTLED) after `timeoutMs`
 */
export async function settled(look: () => Promise<Motion>, steps: () => number, timeoutMs: number): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const before = steps();
    const { pending } = await look();
    if (pending.length === 0 && steps() === before) return;
    if (performance.now() > deadline) {
      throw new NotSettledError(timeoutMs, pending.length > 0 ? pending : ['messages are moving without an end']);
    }
    await sleep(LOOK_EVERY_MS);
  }
}
