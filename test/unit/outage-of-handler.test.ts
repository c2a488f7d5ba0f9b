import { afterEach, expect, it, vi } from 'vitest';
import { outageOfHandler } from '../../src/database/outage-of-handler.ts';

afterEach(() => {
  vi.useRealTimers();
});

const refused = () => Object.assign(new Error('cannot execute INSERT in a read-only transaction'), { code: '25006' });

it('a write that a handler without inbox was refused waits while the database refuses writes and for a minute behind that, and no longer', async () => {
  vi.useFakeTimers({ toFake: ['performance'] });
  let isRefusing = false;
  const asOutage = outageOfHandler(undefined, async () => isRefusing);
  const code = async () => ((await asOutage(refused())) as { code: string }).code;
  expect(await code()).toBe('25006');
  isRefusing = true;
  expect(await code()).toBe('SVC_COMM_DATABASE_UNAVAILABLE');
  vi.advanceTimersByTime(600_000);
  expect(await code()).toBe('SVC_COMM_DATABASE_UNAVAILABLE');
  isRefusing = false;
  // Its own refusals make it no longer.
  for (let second = 0; second < 60; second += 1) {
    expect(await code()).toBe('SVC_COMM_DATABASE_UNAVAILABLE');
    vi.advanceTimersByTime(1_000);
  }
  expect(await code()).toBe('25006');
});
