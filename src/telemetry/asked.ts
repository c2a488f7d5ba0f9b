import { leavable } from '../util/leavable.ts';
import { sleep } from '../util/sleep.ts';
import type { Reading, Source } from './metrics.ts';

/** How long a scrape waits for one source: a server that is down must not hold up what the others know. */
const SOURCE_MS = 2_000;

/**
 * Asks a source, once at a time: those who come while a server has not answered yet wait for the same answer, and take no
 * connections of their own.
 * @returns what gives its readings, none when it fails or takes too long; never rejects
 */
export function asked(source: Source): () => Promise<readonly Reading[]> {
  let pending: Promise<readonly Reading[]> | undefined;
  const ask = async (): Promise<readonly Reading[]> => {
    try {
      // Behind a turn: of one that throws at once the end would come before it is pending, and stay for ever.
      return await Promise.resolve().then(source);
    } catch {
      return [];
    } finally {
      pending = undefined;
    }
  };
  return async () => {
    pending ??= ask();
    const over = new AbortController();
    const answer = leavable(pending);
    try {
      return await Promise.race([answer.promise, sleep(SOURCE_MS, over.signal).then(() => [])]);
    } finally {
      answer.leave();
      over.abort();
    }
  };
}
