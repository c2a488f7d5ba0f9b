import { describe, expect, it } from 'vitest';
import { sleep } from '../../src/util/sleep.ts';

const isOverWithin = (ms: number, sleeping: Promise<void>) =>
  Promise.race([sleeping.then(() => true), sleep(ms).then(() => false)]);

describe('a sleep', () => {
  it('of more than 24 days, which no timer of Node takes, does not end at once', async () => {
    const end = new AbortController();
    const sleeping = sleep(30 * 86_400_000, end.signal);
    expect(await isOverWithin(50, sleeping)).toBe(false);
    end.abort();
    await sleeping;
  });

  it('ends when its time is up, and at once when it is 0 or the signal aborts or has aborted', async () => {
    const before = performance.now();
    await sleep(20);
    expect(performance.now() - before).toBeGreaterThan(15);
    await sleep(0);
    await sleep(1e6, AbortSignal.abort());
    const end = new AbortController();
    const sleeping = sleep(1e6, end.signal);
    end.abort();
    await sleeping;
  });
});
