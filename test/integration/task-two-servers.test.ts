import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { connectDatabase } from '../../src/database/connection.ts';
import { migrate } from '../../src/database/migrate.ts';
import { DatabasePool } from '../../src/database/pool.ts';
import { knexTransactions, resolveTransactions } from '../../src/database/transactions.ts';
import { TaskRevokedError } from '../../src/errors.ts';
import { type OwnPostgres, startOwnPostgres } from '../support/own-servers.ts';
import { WorkerKit } from '../support/task-kit.ts';

let after: OwnPostgres;
beforeAll(async () => {
  after = await startOwnPostgres({ fsync: false });
});
afterAll(() => after?.remove());

let kit: WorkerKit;
/** Of the server that the address leads to in the end. */
let pool: DatabasePool;
beforeEach(async () => {
  kit = await WorkerKit.create('task-project', false);
  pool = new DatabasePool({ url: after.url, applicationName: 'task test' });
  await pool.start();
  await migrate(pool.knex, { schema: kit.kit.db.schema });
});
afterEach(async () => {
  await kit.close();
  await pool.stop();
});

it('a worker whose one connection comes to another server makes the other anew: ends are written where tasks are claimed', async () => {
  const { url: before, schema, pg } = kit.kit.db;
  let address = before;
  const connect = (name: string, settings = {}) =>
    connectDatabase({ url: address, applicationName: `${schema} ${name}`, settings });
  const worker = kit.worker({ concurrency: 1, pollMs: 50, leaseMs: 3_000 }, { connect });
  await worker.start();
  address = after.url;
  // The old primary goes on, and takes writes.
  const { rowCount } = await pg.query(
    'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1',
    [`${schema} worker`],
  );
  expect(rowCount).toBe(1);
  const tasks = await kit.kit.tasks({
    connect: (name) => connectDatabase({ url: after.url, applicationName: `${schema} ${name}` }),
    transactions: resolveTransactions(knexTransactions(), pool),
  });
  const handle = await tasks.submit('addition', { x: 1, y: 2 });
  expect(await handle.result({ timeout: 60 })).toBe(3);
  expect(await handle.record()).toMatchObject({ attempt: 1 });
  expect(worker.stats).toMatchObject({ started: 1, finished: 1, lost: 0 });
});

it('who waits for a task leaves an old primary that refuses writes and is kept up, and hears of the end on the new one', async () => {
  const old = await startOwnPostgres({ fsync: false });
  try {
    const { schema } = kit.kit.db;
    const oldPool = new DatabasePool({ url: old.url, applicationName: 'task test' });
    await oldPool.start();
    await migrate(oldPool.knex, { schema });
    let address = old.url;
    const connect = (name: string) => connectDatabase({ url: address, applicationName: `${schema} ${name}` });
    const tasks = await kit.kit.tasks({ connect, transactions: resolveTransactions(knexTransactions(), oldPool) });
    const handle = await tasks.submit('addition', { x: 1, y: 2 });
    const ended = handle.result({ timeout: 60 }).catch((error: unknown) => error);
    // What a standby has of it, and becomes the primary.
    const table = `"${schema}".svc_comm_task`;
    const { rows } = await oldPool.knex.raw(`SELECT to_jsonb(t)::text AS task FROM ${table} t`);
    await pool.knex.raw(`INSERT INTO ${table} SELECT * FROM jsonb_populate_record(NULL::${table}, ?::jsonb)`, [
      rows[0].task,
    ]);
    await oldPool.knex.raw('ALTER SYSTEM SET default_transaction_read_only = on');
    await oldPool.knex.raw('SELECT pg_reload_conf()');
    await oldPool.stop();
    address = after.url;
    await pool.knex.raw(
      `UPDATE ${table} SET state = 'REVOKED', finished_at = now(), expires_at = now() + interval '1 day'`,
    );
    expect(await ended).toBeInstanceOf(TaskRevokedError);
  } finally {
    await old.remove();
  }
});
