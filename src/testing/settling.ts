import { NotSettledError } from '../errors.ts';
import { sleep } from '../util/sleep.ts';

/** What still moves, in words. */
export interface Motion {
  readonly pending: readonly string[];
}

/** In words, without what there is none of. */
export const counted = (counts: readonly (readonly [number: number, what: string])[]): string[] =>
  counts.filter(([number]) => number > 0).map(([number, what]) => `${number} ${what}`);

const LOOK_EVERY_MS = 5;
/** What a look may take, however little time is left: one that meets nobody in the database is over long before. */
const LOOK_MS = 1000;

/** A transaction that is open keeps all others waiting in the embedded database, and looks too. */
export const HELD: Motion = Object.freeze({ pending: ['a transaction, which has the database to itself'] });

/**
 * Resolves when nothing moves: nothing was pending in a whole look, and no step was taken from its beginning to its end.
 * Without the second a message could pass from one place to another behind the look.
 * @throws NotSettledError (SVC_COMM_NOT_SETTLED) after `timeoutMs`
 */
export async function settled(look: () => Promise<Motion>, steps: () => number, timeoutMs: number): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const before = steps();
    const { pending } = await inTime(look(), deadline - performance.now());
    if (pending.length === 0 && steps() === before) return;
    if (performance.now() > deadline) {
      throw new NotSettledError(timeoutMs, pending.length > 0 ? pending : ['messages are moving without an end']);
    }
    await sleep(LOOK_EVERY_MS);
  }
}

async function inTime(look: Promise<Motion>, leftMs: number): Promise<Motion> {
  const ended = new AbortController();
  // One that comes too late is nobody's any more.
  look.catch(() => undefined);
  try {
    return await Promise.race([look, sleep(Math.max(leftMs, LOOK_MS), ended.signal).then(() => HELD)]);
  } finally {
    ended.abort();
  }
}
