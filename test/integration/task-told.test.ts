import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TASK_CHANNEL } from '../../src/task/sql/channel.ts';
import { WorkerKit } from '../support/task-kit.ts';

describe('workers that listen', () => {
  let kit: WorkerKit;
  beforeAll(async () => {
    kit = await WorkerKit.create('task-project', false);
  });
  afterAll(() => kit.close());

  it('begin what is submitted without waiting for its message', async () => {
    const worker = kit.worker({ concurrency: 1, pollMs: 60_000 });
    await worker.start();
    // No relay runs, and the rows are not looked at for a minute.
    const handle = await kit.tasks.submit('addition', { x: 1, y: 2 });
    expect(await handle.result({ timeout: 20 })).toBe(3);
    await expect.poll(() => worker.stats).toMatchObject({ started: 1, finished: 1, passed: 0 });
    await worker.stop();
  });

  it('each know of the others: of several one goes for a task', async () => {
    const workers = [1, 2, 3].map(() => kit.worker({ concurrency: 4, pollMs: 60_000 }));
    for (const worker of workers) await worker.start();
    // Each tells again that it is there, for those that came after it.
    const here = new Map<string, number>();
    const listener = await kit.kit.db.pg.connect();
    const all = new Promise<void>((resolve) => {
      listener.on('notification', ({ payload = '' }) => {
        const [id = '', word, queue] = payload.split(' ');
        if (word === 'here' && queue === kit.queue) here.set(id, (here.get(id) ?? 0) + 1);
        if (here.size === workers.length) resolve();
      });
    });
    await listener.query(`LISTEN ${TASK_CHANNEL}`);
    await all;
    listener.release(true);
    for (let x = 0; x < 20; x++) {
      const handle = await kit.tasks.submit('addition', { x, y: 1 });
      expect(await handle.result({ timeout: 20 })).toBe(x + 1);
    }
    const sum = (of: 'started' | 'passed') => workers.reduce((n, { stats }) => n + stats[of], 0);
    expect({ started: sum('started'), passed: sum('passed') }).toEqual({ started: 20, passed: 0 });
    expect(workers.filter(({ stats }) => stats.started > 0).length).toBeGreaterThan(1);
    for (const worker of workers) await worker.stop();
  });
});

describe('a task that was begun before its message came', () => {
  it('is not looked up again for it, and a retry is not taken for it', async () => {
    const kit = await WorkerKit.create();
    const worker = kit.worker({ concurrency: 2, pollMs: 60_000 });
    await worker.start();
    for (let x = 0; x < 5; x++) expect(await (await kit.tasks.submit('addition', { x, y: 1 })).result()).toBe(x + 1);
    const again = await kit.tasks.submit('flaky', {});
    expect(await again.result({ timeout: 30 })).toBe(3);
    expect(await again.record()).toMatchObject({ attempt: 3 });
    await kit.close();
  });
});
