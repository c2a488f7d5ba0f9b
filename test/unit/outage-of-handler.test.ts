import { afterEach, expect, it, vi } from 'vitest';
import { outageOfHandler } from '../../src/database/outage-of-handler.ts';

afterEach(() => {
  vi.useRealTimers();
});

const refused = () => Object.assign(new Error('cannot execute INSERT in a read-only transaction'), { code: '25006' });

it('a write that a handler without inbox was refused waits while the database refuses writes and for a minute behind that, and no longer', async () => {
  vi.useFakeTimers({ toFake: ['performance'] });
  let isRefusing = false;
  const asOutage = outageOfHandler(undefined, {
    refusesWrites: async () => isRefusing,
    refusedAtMs: Number.NEGATIVE_INFINITY,
  });
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

it('a write that a handler without inbox was refused waits for a minute after a transaction of ours was refused, though nobody asked then', async () => {
  vi.useFakeTimers({ toFake: ['performance'] });
  const database = { refusesWrites: async () => false, refusedAtMs: Number.NEGATIVE_INFINITY };
  const asOutage = outageOfHandler(undefined, database);
  const code = async () => ((await asOutage(refused())) as { code: string }).code;
  expect(await code()).toBe('25006');
  database.refusedAtMs = performance.now();
  vi.advanceTimersByTime(59_000);
  expect(await code()).toBe('SVC_COMM_DATABASE_UNAVAILABLE');
  vi.advanceTimersByTime(1_000);
  expect(await code()).toBe('25006');
});
