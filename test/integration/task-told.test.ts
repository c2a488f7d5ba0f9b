import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { TASK_CHANNEL, workerNotice } from '../../src/task/sql/channel.ts';
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
    let late = 0;
    for (let x = 0; x < 20; x++) {
      const handle = await kit.tasks.submit('addition', { x, y: 1 });
      expect(await handle.result({ timeout: 20 })).toBe(x + 1);
      const { createdAt, startedAt } = await handle.record();
      if (Number(startedAt) - Number(createdAt) >= 50) late += 1;
    }
    const sum = (of: 'started' | 'passed') => workers.reduce((n, { stats }) => n + stats[of], 0);
    expect(sum('started')).toBe(20);
    // Only what was not begun at once may the two others have taken for left.
    expect(sum('passed')).toBeLessThanOrEqual(2 * late);
    expect(workers.filter(({ stats }) => stats.started > 0).length).toBeGreaterThan(1);
    for (const worker of workers) await worker.stop();
  });

  it('begin one after the other what came while they were full', async () => {
    const worker = kit.worker({ concurrency: 1, reuse: 100, pollMs: 60_000 });
    await worker.start();
    const sums = Array.from({ length: 30 }, (_, x) => kit.tasks.submit('addition', { x, y: 1 }));
    const handles = await Promise.all(sums);
    const results = await Promise.all(handles.map((handle) => handle.result({ timeout: 20 })));
    expect(results).toEqual(Array.from({ length: 30 }, (_, x) => x + 1));
    await expect.poll(() => worker.stats).toMatchObject({ started: 30, finished: 30, passed: 0 });
    await worker.stop();
  });

  it('begin what falls to another that is full', async () => {
    const full = kit.worker({ concurrency: 1, pollMs: 60_000 });
    await full.start();
    const nap = await kit.tasks.submit('nap', { ms: 60_000 });
    await expect.poll(() => nap.state(), { timeout: 10_000 }).toBe('STARTED');
    const free = kit.worker({ concurrency: 2, reuse: 100, pollMs: 60_000 });
    await free.start();
    for (let x = 0; x < 10; x++) {
      const handle = await kit.tasks.submit('addition', { x, y: 1 });
      expect(await handle.result({ timeout: 20 })).toBe(x + 1);
    }
    expect(free.stats.started).toBe(10);
    await nap.cancel({ timeout: 20 });
    await Promise.all([full.stop(), free.stop()]);
  });
});

/** Messages that wait to be published, and whether each is held back. */
async function outbox(kit: WorkerKit): Promise<readonly { readonly body: string; readonly isHeld: boolean }[]> {
  const sql = `SELECT body, next_attempt_at IS NOT NULL AS "isHeld" FROM ${kit.kit.db.table('svc_comm_outbox')} ORDER BY id`;
  return (await kit.kit.db.pg.query(sql)).rows;
}

/** Resolves when the client has heard of a worker: the message of a task is held back then, and taken back. */
async function heard(kit: WorkerKit): Promise<void> {
  const leavesMessage = async () => {
    await (await kit.tasks.submit('addition', { x: 0, y: 0 })).result({ timeout: 20 });
    const { rowCount } = await kit.kit.db.pg.query(`DELETE FROM ${kit.kit.db.table('svc_comm_outbox')}`);
    return rowCount !== 0;
  };
  await expect.poll(leavesMessage, { timeout: 20_000 }).toBe(false);
}

describe('the message of a task that workers hear of', () => {
  let kit: WorkerKit;
  beforeEach(async () => {
    kit = await WorkerKit.create('task-project', false);
  });
  afterEach(() => kit.close());

  it('is taken back by the one that begins it', async () => {
    const worker = kit.worker({ concurrency: 2, reuse: 100, pollMs: 60_000 });
    await worker.start();
    await heard(kit);
    for (let x = 0; x < 5; x++) expect(await (await kit.tasks.submit('addition', { x, y: 1 })).result()).toBe(x + 1);
    expect(await outbox(kit)).toEqual([]);
  });

  it('is left to a relay that has it in hand, and the task begins all the same', async () => {
    const worker = kit.worker({ concurrency: 1, pollMs: 60_000 });
    await worker.start();
    await heard(kit);
    const nap = await kit.tasks.submit('nap', { ms: 60_000 });
    await expect.poll(() => nap.state(), { timeout: 10_000 }).toBe('STARTED');
    const { id } = await kit.tasks.submit('addition', { x: 1, y: 2 });
    const relay = await kit.kit.db.pg.connect();
    await relay.query('BEGIN');
    const { rowCount } = await relay.query(`SELECT FROM ${kit.kit.db.table('svc_comm_outbox')} FOR UPDATE`);
    expect(rowCount).toBe(1);
    await nap.cancel({ timeout: 20 });
    expect(await kit.tasks.result(id, { timeout: 20 })).toBe(3);
    await relay.query('COMMIT');
    relay.release();
    expect(await outbox(kit)).toEqual([{ body: JSON.stringify({ taskId: id }), isHeld: true }]);
  });

  it('is not held back for a worker that hears of nothing', async () => {
    const deaf = kit.worker({ concurrency: 1, pollMs: 60_000 }, { listen: false });
    const told: string[] = [];
    const listener = await kit.kit.db.pg.connect();
    listener.on('notification', ({ payload = '' }) => told.push(payload));
    await listener.query(`LISTEN ${TASK_CHANNEL}`);
    await deaf.start();
    // It has told something: that it wants to hear itself, and no more.
    await expect.poll(() => told.filter((payload) => payload.endsWith(kit.queue)).length).toBeGreaterThan(0);
    const { id } = await kit.tasks.submit('addition', { x: 1, y: 2 });
    expect(await outbox(kit)).toEqual([{ body: JSON.stringify({ taskId: id }), isHeld: false }]);
    listener.release(true);
  });

  it('is not held back where no worker has told of itself', async () => {
    const { id } = await kit.tasks.submit('addition', { x: 1, y: 2 });
    expect(await outbox(kit)).toEqual([{ body: JSON.stringify({ taskId: id }), isHeld: false }]);
  });
});

describe('with a relay', () => {
  let kit: WorkerKit;
  beforeEach(async () => {
    kit = await WorkerKit.create();
  });
  afterEach(() => kit.close());

  it('a message that was held back goes out when nobody begins its task', async () => {
    const deaf = kit.worker({ concurrency: 1, pollMs: 60_000 }, { listen: false });
    await deaf.start();
    const { pg } = kit.kit.db;
    await pg.query('SELECT pg_notify($1, $2)', [TASK_CHANNEL, workerNotice('here', randomUUID(), kit.queue)]);
    // The client may hear of it later than we do of our statement.
    const isHeld = async () => {
      const { id } = await kit.tasks.submit('addition', { x: 1, y: 2 });
      const { rows } = await pg.query(
        `SELECT FROM ${kit.kit.db.table('svc_comm_outbox')} WHERE order_key = $1 AND next_attempt_at IS NOT NULL`,
        [id],
      );
      expect(await kit.tasks.result(id, { timeout: 20 })).toBe(3);
      return rows.length === 1;
    };
    await expect.poll(isHeld, { timeout: 20_000 }).toBe(true);
  });

  it('a retry is not taken for the message of a task that was begun before it came', async () => {
    const worker = kit.worker({ concurrency: 2, pollMs: 60_000 });
    await worker.start();
    // It does not hear of the worker, so it holds nothing back.
    const tasks = await kit.kit.tasks({ listen: false, pollMs: 50 });
    for (let x = 0; x < 5; x++) expect(await (await tasks.submit('addition', { x, y: 1 })).result()).toBe(x + 1);
    const again = await tasks.submit('flaky', {});
    expect(await again.result({ timeout: 30 })).toBe(3);
    expect(await again.record()).toMatchObject({ attempt: 3 });
  });
});
