import { expect } from 'vitest';
import { StartAbortedError } from '../../src/errors.ts';
import type { Service } from '../../src/lifecycle/service.ts';

const CROSSINGS = 200;

/**
 * Calls start and stop 200 times in random order, without waiting and with, and looks whether the service keeps its
 * word: every promise settles, the only failure of a start is having been aborted, and after a last stop it is idle.
 * The same promises are kept by a service that was not touched before: `make` gives a fresh one.
 */
export async function stressService(make: () => Service, crossings = CROSSINGS): Promise<void> {
  const unhandled: unknown[] = [];
  const onUnhandled = (reason: unknown) => unhandled.push(reason);
  process.on('unhandledRejection', onUnhandled);
  try {
    const service = make();
    const calls: Promise<unknown>[] = [];
    for (let crossing = 0; crossing < crossings; crossing++) {
      const call = Math.random() < 0.5 ? service.start() : service.stop();
      const settled = call.catch((error: unknown) => {
        if (!(error instanceof StartAbortedError)) throw error;
      });
      calls.push(settled);
      // A third of the calls cross at once, a third a turn later, a third when the last is done.
      const pace = crossing % 3;
      if (pace === 1) await new Promise((resolve) => setImmediate(resolve));
      if (pace === 2 && Math.random() < 0.3) await settled;
    }
    await Promise.all(calls);
    await service.stop();
    expect(service.state).toBe('idle');
    await service.start();
    expect(service.state).toBe('running');
    await Promise.all([service.stop(), service.stop()]);
    expect(service.state).toBe('idle');
    await new Promise((resolve) => setImmediate(resolve));
    expect(unhandled).toEqual([]);
  } finally {
    process.off('unhandledRejection', onUnhandled);
  }
}
