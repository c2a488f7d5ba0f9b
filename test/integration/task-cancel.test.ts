import type { PoolClient } from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { task } from '../../src/task/definition.ts';
import { until } from '../support/consumer-kit.ts';
import { TaskKit } from '../support/task-kit.ts';

const waits = task({ name: 'waits' }, () => undefined);

let kit: TaskKit;
beforeAll(async () => {
  kit = await TaskKit.create();
  kit.registry.add(waits);
});
afterAll(() => kit.close());

/** The ids of those who wait for this one, and of those it waits for. */
async function queueAt(client: PoolClient) {
  const { rows } = await client.query('SELECT pg_backend_pid() AS pid');
  const [{ pid }] = rows;
  const count = async (condition: string) =>
    (await kit.db.pg.query(`SELECT FROM pg_stat_activity WHERE ${condition}`, [pid])).rowCount ?? 0;
  return {
    isWaitedFor: () => count('$1 = ANY (pg_blocking_pids(pid))'),
    isWaiting: () => count('pid = $1 AND cardinality(pg_blocking_pids(pid)) > 0'),
  };
}

it('cancelAll beside ends that are written in another order cancels them all', async () => {
  const tasks = await kit.tasks();
  const ids: string[] = [];
  for (let n = 0; n < 3; n++) ids.push((await tasks.submit('waits', {})).id);
  const [first = '', second = '', last = ''] = ids;
  const [ending, holder] = [await kit.db.pg.connect(), await kit.db.pg.connect()];
  const [atEnding, atHolder] = [await queueAt(ending), await queueAt(holder)];
  const lock = (client: PoolClient, id: string) =>
    client.query(`SELECT FROM ${kit.db.table('svc_comm_task')} WHERE id = $1 FOR UPDATE`, [id]);
  await ending.query('BEGIN');
  // Of the two that wait for each other it does not look for that: the other is to be ended.
  await ending.query(`SET LOCAL deadlock_timeout = '1h'`);
  await lock(ending, last);
  await holder.query('BEGIN');
  await lock(holder, second);
  const cancelled = tasks.cancelAll('waits');
  cancelled.catch(() => undefined);
  await until(async () => (await atHolder.isWaitedFor()) > 0);
  const ended = lock(ending, first);
  await until(async () => (await atEnding.isWaiting()) > 0);
  await holder.query('COMMIT');
  holder.release();
  await ended;
  await ending.query('COMMIT');
  ending.release();
  expect(await cancelled).toBe(3);
  expect(await kit.db.count('svc_comm_task', `state = 'REVOKED'`)).toBe(3);
});
