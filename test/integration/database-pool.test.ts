import { spawn } from 'node:child_process';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import pg from 'pg';
import { afterEach, expect, test } from 'vitest';
import { DatabasePool } from '../../src/database/pool.ts';
import type { PoolOptions } from '../../src/database/pool-options.ts';
import { knexTransactions, resolveTransactions, Transactions } from '../../src/database/transactions.ts';
import type { Logger } from '../../src/lifecycle/logger.ts';
import { deferred } from '../../src/util/deferred.ts';
import { packageRoot } from '../../src/util/own-files.ts';
import { testDatabaseUrl, uniqueName } from '../support/servers.ts';
import { stressService } from '../support/start-stop-stress.ts';

const pools: DatabasePool[] = [];

/** A logger that keeps its lines and tells when one comes. */
function recorder() {
  const lines: { fields: Record<string, unknown>; text: string }[] = [];
  const waiting: { match: string; resolve: () => void }[] = [];
  const add = (fields: object, text: string) => {
    lines.push({ fields: fields as Record<string, unknown>, text });
    for (const { match, resolve } of waiting) if (text.includes(match)) resolve();
  };
  const logger: Logger = { debug: () => undefined, info: add, warn: add, error: add };
  const saw = async (match: string) => {
    if (!lines.some(({ text }) => text.includes(match))) {
      await new Promise<void>((resolve) => waiting.push({ match, resolve }));
    }
    return lines.find(({ text }) => text.includes(match));
  };
  return { logger, lines, saw };
}

function makePool(options: Partial<PoolOptions> = {}): DatabasePool {
  const pool = new DatabasePool({ url: testDatabaseUrl(), ...options });
  pools.push(pool);
  return pool;
}

afterEach(async () => {
  await Promise.all(pools.splice(0).map((pool) => pool.stop()));
});

/** A port that refuses, until `open` makes it a tunnel to the database. */
async function refusingPort(): Promise<{ url: string; open(): Promise<Server>; close(): Promise<void> }> {
  const target = new URL(testDatabaseUrl());
  const reserve = createServer();
  await new Promise<void>((resolve) => reserve.listen(0, '127.0.0.1', resolve));
  const { port } = reserve.address() as AddressInfo;
  await new Promise((resolve) => reserve.close(resolve));
  const sockets = new Set<Socket>();
  let server: Server | undefined;
  const url = new URL(target);
  url.hostname = '127.0.0.1';
  url.port = String(port);
  return {
    url: url.href,
    async open() {
      const { connect } = await import('node:net');
      server = createServer((socket) => {
        const upstream = connect(Number(target.port || 5432), target.hostname);
        for (const end of [socket, upstream]) {
          sockets.add(end);
          end.on('error', () => undefined);
        }
        socket.pipe(upstream).pipe(socket);
      });
      await new Promise<void>((resolve) => server?.listen(port, '127.0.0.1', resolve));
      return server;
    },
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => (server ? server.close(resolve) : resolve(undefined)));
    },
  };
}

test('start waits for a database that comes later, and says so', async () => {
  const port = await refusingPort();
  const { logger, saw } = recorder();
  const pool = makePool({ url: port.url, logger });
  const started = pool.start();
  await saw('not available');
  await port.open();
  await started;
  expect((await pool.knex.raw('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
  await pool.stop();
  await port.close();
});

test('without waiting, start fails with the masked address', async () => {
  const { url } = await refusingPort();
  const secret = new URL(url);
  secret.password = 'hunter2';
  const pool = makePool({ url: secret.href, wait: false });
  const failure = await pool.start().catch((error: unknown) => error);
  expect(failure).toMatchObject({ code: 'SVC_COMM_DATABASE_UNAVAILABLE' });
  expect(String(failure)).not.toContain('hunter2');
  expect(pool.state).toBe('idle');
});

test('stop ends a start that waits', async () => {
  const { url } = await refusingPort();
  const { logger, saw } = recorder();
  const pool = makePool({ url, logger });
  const started = pool.start();
  const outcome = expect(started).rejects.toMatchObject({ code: 'SVC_COMM_START_ABORTED' });
  await saw('not available');
  await pool.stop();
  await outcome;
});

test('a missing database is refused at once, without the password', async () => {
  const url = new URL(testDatabaseUrl());
  url.pathname = '/no_such_database_of_ours';
  url.password = 'hunter2';
  const failure = await makePool({ url: url.href })
    .start()
    .catch((error: unknown) => error);
  expect(failure).toMatchObject({ code: 'SVC_COMM_DATABASE_ACCESS_REFUSED' });
  expect(String(failure) + JSON.stringify(failure)).not.toContain('hunter2');
});

test('an unknown role is refused at once', async () => {
  const url = new URL(testDatabaseUrl());
  url.username = 'no_such_role_of_ours';
  const started = makePool({ url: url.href }).start();
  await expect(started).rejects.toMatchObject({ code: 'SVC_COMM_DATABASE_ACCESS_REFUSED' });
});

test('a wait for a connection that a handler holds names the handler and what to do, then fails', async () => {
  const { logger, saw } = recorder();
  const pool = makePool({ max: 1, busyWarningMs: 50, busyTimeoutMs: 400, logger });
  await pool.start();
  const transactions = resolveTransactions(knexTransactions(), pool);
  const handled = transactions.runOwn(
    async () => {
      await pool.knex.raw('SELECT 1');
    },
    { name: 'UserConsumers.onUser' },
  );
  await expect(handled).rejects.toMatchObject({
    code: 'SVC_COMM_DATABASE_BUSY',
    holders: [expect.stringContaining('UserConsumers.onUser')],
  });
  const line = await saw('no database connection is free');
  expect(line?.fields.holders).toEqual([expect.stringContaining('UserConsumers.onUser (1')]);
  expect(line?.text).toContain('context.transaction');
  expect(pool.holders.count).toBe(0);
});

test('when all our backends are terminated, callers get an error each and the next statements work', async () => {
  const applicationName = uniqueName('terminated');
  const source = `
    import { DatabasePool } from ${JSON.stringify(pathToFileURL(join(packageRoot(), 'src/database/pool.ts')))};
    import { knexTransactions, resolveTransactions } from ${JSON.stringify(pathToFileURL(join(packageRoot(), 'src/database/transactions.ts')))};
    const pool = new DatabasePool({ url: process.env.URL, applicationName: process.env.NAME });
    await pool.start();
    const transactions = resolveTransactions(knexTransactions(), pool);
    const open = (i) => transactions.run(async (trx) => {
      await trx.raw('SELECT 1');
      if (i % 2) await trx.raw('SELECT pg_sleep(60)');
      else await new Promise((resolve) => { process.once('message', resolve); });
      await trx.raw('SELECT 1');
    });
    await Promise.all(Array.from({ length: 4 }, () => pool.knex.raw('SELECT pg_sleep(0.01)')));
    const runs = Promise.allSettled([0, 1, 2, 3].map(open));
    process.send('open');
    const codes = (await runs).map((run) => run.reason?.code);
    const { rows } = await pool.knex.raw('SELECT 1 AS one');
    await pool.stop();
    process.send({ codes, rows });
    process.disconnect();`;
  const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', source], {
    cwd: packageRoot(),
    env: { ...process.env, URL: testDatabaseUrl(), NAME: applicationName },
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  const exited = new Promise((resolve) => child.once('exit', resolve));
  const opened = deferred();
  const report = deferred<{ codes: string[]; rows: unknown[] }>();
  child.on('message', (message) => {
    if (message === 'open') opened.resolve();
    else report.resolve(message as never);
  });
  await opened.promise;
  const killer = new pg.Client({ connectionString: testDatabaseUrl() });
  await killer.connect();
  try {
    const backends = 'FROM pg_stat_activity WHERE application_name = $1';
    await expect
      .poll(
        async () =>
          (await killer.query(`SELECT 1 ${backends} AND query LIKE '%pg_sleep(60)%'`, [applicationName])).rowCount,
      )
      .toBe(2);
    await killer.query(`SELECT pg_terminate_backend(pid) ${backends}`, [applicationName]);
    await expect.poll(async () => (await killer.query(`SELECT 1 ${backends}`, [applicationName])).rowCount).toBe(0);
  } finally {
    await killer.end();
  }
  child.send('go on');
  expect(await report.promise).toEqual({ codes: Array(4).fill('SVC_COMM_DATABASE_UNAVAILABLE'), rows: [{ one: 1 }] });
  expect(await exited).toBe(0);
});

test('stop does not wait for ever for a transaction that does not end', async () => {
  const { logger, saw } = recorder();
  const pool = makePool({ stopTimeoutMs: 50, logger });
  await pool.start();
  const opened = deferred();
  const stuck = resolveTransactions(knexTransactions(), pool).run(async (trx) => {
    opened.resolve();
    await (trx as { raw(sql: string): Promise<unknown> }).raw('SELECT pg_sleep(60)');
  });
  const outcome = expect(stuck).rejects.toMatchObject({ code: 'SVC_COMM_DATABASE_UNAVAILABLE' });
  await opened.promise;
  await pool.stop();
  await outcome;
  await saw('did not end in time');
});

test('a transactions setting that commits before its work is done is refused', async () => {
  const pool = makePool();
  await pool.start();
  const gate = deferred();
  const transactions = new Transactions({
    open: (async (work: (handle: unknown) => Promise<unknown>) => {
      pool.knex.transaction((trx) => work(trx)).catch(() => undefined);
    }) as never,
  });
  await expect(transactions.run(() => gate.promise)).rejects.toMatchObject({ code: 'SVC_COMM_INVALID_ARGUMENT' });
  gate.resolve();
});

test('a transactions setting that hands out no transaction is refused before any work', async () => {
  const pool = makePool();
  await pool.start();
  const transactions = new Transactions({ open: (work) => work(pool.knex) });
  let ran = false;
  const run = transactions.run(async () => {
    ran = true;
  });
  await expect(run).rejects.toMatchObject({ code: 'SVC_COMM_NOT_A_TRANSACTION', library: 'knex' });
  expect(ran).toBe(false);
});

test('a transactions setting that swallows the failure does not make it a commit', async () => {
  const pool = makePool();
  await pool.start();
  const transactions = new Transactions({
    open: (work) => pool.knex.transaction((trx) => work(trx)).catch(() => undefined as never),
  });
  await expect(transactions.run(() => Promise.reject(new Error('swallowed')))).rejects.toThrow('swallowed');
});

test('the pool keeps the word of a service however starts and stops cross', async () => {
  await stressService(() => makePool(), 60);
});

test.each(['app@tenant:c4n4ry', 'app:my c4n4ry', 'app:a"c4n4ry'])(
  'a database that is down is named without the password: %s',
  async (credentials) => {
    const pool = makePool({ url: `postgres://${credentials}@127.0.0.1:1/x`, wait: false });
    const failure = await pool.start().catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: 'SVC_COMM_DATABASE_UNAVAILABLE', message: expect.stringContaining(':***@') });
    expect(String(failure) + pool.url).not.toContain('c4n4ry');
  },
);
