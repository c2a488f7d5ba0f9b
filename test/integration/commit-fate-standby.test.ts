import { afterAll, beforeAll, expect, it } from 'vitest';
import { CommitFate } from '../../src/database/commit-fate.ts';
import { connectDatabase } from '../../src/database/connection.ts';
import type { SqlExecutor } from '../../src/database/executor.ts';
import { deferred } from '../../src/util/deferred.ts';
import { type OwnPostgres, startOwnPostgres } from '../support/own-servers.ts';

/** Of a primary that is ahead. */
const NOT_REPLAYED = '4000000000';

let standby: OwnPostgres;
beforeAll(async () => {
  standby = await startOwnPostgres({ fsync: false });
  // The server's folder is where it runs.
  await onFresh((db) => db.query("COPY (SELECT '') TO PROGRAM 'touch standby.signal'", []));
  await standby.stop();
  await standby.start();
});
afterAll(() => standby?.remove());

async function onFresh<T>(work: (executor: SqlExecutor) => Promise<T>): Promise<T> {
  const connection = await connectDatabase({ url: standby.url });
  try {
    return await work(connection);
  } finally {
    await connection.close();
  }
}

it('a transaction that a standby has not heard of stays unknown, and is not told to have been rolled back', async () => {
  const fate = new CommitFate({ onFresh, schema: 'public', patienceMs: 300 });
  expect(await fate.of(NOT_REPLAYED, 'life')).toBe('unknown');
});

it('one that is missing when the standby has been promoted is gone', async () => {
  const asked = deferred<void>();
  const fate = new CommitFate({ onFresh, schema: 'public', onStandby: () => asked.resolve() });
  const told = fate.of(NOT_REPLAYED, 'life');
  await asked.promise;
  await onFresh((db) => db.query('SELECT pg_promote()', []));
  expect(await told).toBe('aborted');
});
