import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest';
import { connectDatabase } from '../../src/database/connection.ts';
import { DatabaseLink } from '../../src/database/link.ts';
import { silentLogger } from '../../src/lifecycle/logger.ts';
import { Ledger } from '../../src/task/ledger.ts';
import { WorkerKit } from '../support/task-kit.ts';
import { TcpProxy } from '../support/tcp-proxy.ts';

const MIB = 1024 * 1024;

let kit: WorkerKit;

beforeAll(async () => {
  kit = await WorkerKit.create();
});
afterAll(() => kit.close());

it('forty results of 1 MiB that waited for the database are written by several statements of at most 8 MiB', {
  timeout: 60_000,
}, async () => {
  const { url, schema, pg, table } = kit.kit.db;
  const owner = randomUUID();
  const submitted = await Promise.all(
    Array.from({ length: 40 }, () => kit.tasks.submit('nap', { ms: 1 }, { delay: '1h' })),
  );
  await pg.query(
    `UPDATE ${table('svc_comm_task')} SET state = 'STARTED', attempt = 1, owner = $2,
         lease_until = clock_timestamp() + interval '1 h' WHERE id = ANY ($1)`,
    [submitted.map(({ id }) => id), owner],
  );
  const sent: number[] = [];
  const connect = async () => {
    const connection = await connectDatabase({ url });
    const { query } = connection;
    return Object.assign(connection, {
      query: (sql: string, params: readonly (string | null)[], name?: string) => {
        sent.push(params.reduce((sum, param) => sum + Buffer.byteLength(param ?? ''), 0));
        return query.call(connection, sql, params, name);
      },
    });
  };
  const ends = new DatabaseLink({ name: 'ends', connect, logger: silentLogger });
  onTestFinished(() => ends.close());
  const ledger = new Ledger({ db: ends, ends, schema, owner, leaseMs: 30_000, definitions: () => [] });
  const result = JSON.stringify('x'.repeat(MIB - 2));
  const run = { attempt: 1, state: 'SUCCESS', result, error: null, log: null, retryMs: null } as const;
  const written = await Promise.all(submitted.map(({ id }) => ledger.finish({ id, ...run })));
  expect(written).toEqual(submitted.map(() => true));
  expect(sent.length).toBeGreaterThanOrEqual(5);
  // With what the columns beside them and their quotes take.
  expect(Math.max(...sent)).toBeLessThan(8.1 * MIB);
  const { rows } = await pg.query(
    `SELECT state, octet_length(result) AS bytes, count(*)::int AS n FROM ${table('svc_comm_task')}
        WHERE id = ANY ($1) GROUP BY 1, 2`,
    [submitted.map(({ id }) => id)],
  );
  expect(rows).toEqual([{ state: 'SUCCESS', bytes: MIB, n: 40 }]);
});

it('results of over 16 MiB that wait for the database let their worker begin nothing more', {
  timeout: 60_000,
}, async () => {
  const { url } = kit.kit.db;
  const proxy = await TcpProxy.to(url);
  onTestFinished(() => proxy.close());
  const full = kit.worker(
    { concurrency: 1, resultBytes: 8 * MIB },
    {
      connect: (name, settings = {}) =>
        connectDatabase({
          url: name === 'worker ends' ? proxy.url(url) : url,
          applicationName: name,
          settings,
        }),
    },
  );
  await full.start();
  proxy.fallSilent();
  const large = [];
  for (let n = 0; n < 3; n++) large.push(await kit.tasks.submit('huge', { bytes: 6 * MIB }));
  await expect.poll(() => full.stats.started, { timeout: 20_000 }).toBe(3);
  const next = await kit.tasks.submit('addition', { x: 3, y: 6 });
  const other = kit.worker({ concurrency: 1 });
  await other.start();
  // Begun by the first one it would have no end either.
  expect(await next.result({ timeout: 20 })).toBe(9);
  expect([full.stats.started, other.stats.started]).toEqual([3, 1]);
  proxy.heal();
  const results = await Promise.all(large.map((handle) => handle.result({ timeout: 20 })));
  expect(results.map((text) => (text as string).length)).toEqual([6 * MIB, 6 * MIB, 6 * MIB]);
  await other.stop();
  expect(await (await kit.tasks.submit('addition', { x: 1, y: 2 })).result({ timeout: 20 })).toBe(3);
  await full.stop();
});
