import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ToldTasks } from '../../src/task/told-tasks.ts';

describe('tasks that were told of', () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  const told = (isOurs: (id: string) => boolean, onReady = () => undefined as unknown) => {
    const tasks = new ToldTasks({ isOurs, onReady });
    const takeAll = () => {
      const taken: string[] = [];
      for (let id = tasks.take(); id !== undefined; id = tasks.take()) taken.push(id);
      return taken;
    };
    return { tasks, takeAll };
  };

  it('are taken once, in the order they came', () => {
    const { tasks, takeAll } = told(() => true);
    tasks.add(['a', 'b']);
    tasks.add(['c']);
    expect(takeAll()).toEqual(['a', 'b', 'c']);
    expect(takeAll()).toEqual([]);
  });

  it('and fall to others are left to them for 100 ms, and come behind our own then', () => {
    const { tasks, takeAll } = told((id) => id.startsWith('ours'));
    tasks.add(['theirs', 'ours 1']);
    vi.advanceTimersByTime(99);
    tasks.add(['ours 2']);
    expect(tasks.take()).toBe('ours 1');
    vi.advanceTimersByTime(1);
    expect(takeAll()).toEqual(['ours 2', 'theirs']);
  });

  it('are told of anew when others should have begun them', () => {
    let ready = 0;
    const { tasks } = told(
      () => false,
      () => {
        ready += 1;
      },
    );
    tasks.add(['theirs']);
    expect(ready).toBe(1);
    vi.advanceTimersByTime(100);
    expect(ready).toBe(2);
    tasks.clear();
    expect(vi.getTimerCount()).toBe(0);
  });

  it('and begun or ended elsewhere are not taken, nor those of 5 s ago, which come with their message', () => {
    const { tasks, takeAll } = told(() => true);
    tasks.add(['begun', 'old']);
    tasks.remove('begun');
    vi.advanceTimersByTime(5_001);
    tasks.add(['new']);
    expect(takeAll()).toEqual(['new']);
  });

  it('are a thousand at most, the latest', () => {
    const { tasks, takeAll } = told(() => true);
    tasks.add(Array.from({ length: 1_001 }, (_, n) => String(n)));
    expect(takeAll()).toHaveLength(1_000);
    tasks.clear();
  });
});
