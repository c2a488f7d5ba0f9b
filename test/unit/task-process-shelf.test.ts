import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { ProcessShelf } from '../../src/task/process-shelf.ts';
import type { TaskProcess } from '../../src/task/task-process.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** Processes that are made ready, fail and die by the test's word. */
function shelfOf(spare: number) {
  const forked: { isReady: boolean; atMs: number }[] = [];
  const fork = () => {
    const one = { isReady: false, atMs: performance.now() };
    forked.push(one);
    return one as unknown as TaskProcess;
  };
  const shelf = new ProcessShelf({ spare, fork });
  const last = () => {
    const one = forked.at(-1);
    if (!one) throw new Error('none was forked');
    return one;
  };
  return {
    shelf,
    forked,
    fail() {
      shelf.remove(last() as unknown as TaskProcess);
      shelf.failed();
    },
    makeReady() {
      last().isReady = true;
      shelf.madeReady();
    },
    die() {
      shelf.remove(last() as unknown as TaskProcess);
      shelf.died();
    },
    /** How long it takes until the next one is tried. */
    async nextMs(): Promise<number> {
      const [before, sinceMs] = [forked.length, performance.now()];
      while (forked.length === before) await vi.advanceTimersToNextTimerAsync();
      return last().atMs - sinceMs;
    },
  };
}

describe('processes that wait with one list of variables', () => {
  test('are tried ever later while none can be made ready, and soon again after one was', async () => {
    const { shelf, fail, makeReady, nextMs } = shelfOf(1);
    shelf.refill();
    const delays: number[] = [];
    for (let n = 0; n < 12; n++) {
      fail();
      delays.push(await nextMs());
    }
    expect(delays).toEqual([100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000, 30_000]);
    makeReady();
    shelf.take();
    shelf.refill();
    fail();
    expect(await nextMs()).toBe(100);
  });

  test('are made ever later when they die while they wait, though each was ready', async () => {
    const { shelf, makeReady, die, nextMs } = shelfOf(1);
    shelf.refill();
    const delays: number[] = [];
    for (let n = 0; n < 4; n++) {
      makeReady();
      die();
      delays.push(await nextMs());
    }
    expect(delays).toEqual([100, 200, 400, 800]);
  });

  test('are tried one at a time, and at once when a process has gone whose room it may need', async () => {
    const { shelf, forked, fail, nextMs } = shelfOf(2);
    for (let n = 0; n < 9; n++) {
      shelf.failed();
      await nextMs();
      fail();
      expect(shelf.size).toBe(0);
    }
    const before = forked.length;
    shelf.roomCame();
    shelf.roomCame();
    expect(forked.length - before).toBe(1);
  });

  test('are suspected without a failure counted', async () => {
    const { shelf, fail, nextMs } = shelfOf(1);
    for (let n = 0; n < 5; n++) {
      shelf.suspected();
      expect(await nextMs()).toBe(100);
      shelf.take();
    }
    shelf.refill();
    fail();
    expect(await nextMs()).toBe(100);
  });
});
