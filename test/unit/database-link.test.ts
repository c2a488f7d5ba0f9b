import { expect, it } from 'vitest';
import type { DatabaseConnection } from '../../src/database/connection.ts';
import { DatabaseLink } from '../../src/database/link.ts';
import { silentLogger } from '../../src/lifecycle/logger.ts';
import { deferred } from '../../src/util/deferred.ts';

it('a statement goes to a new connection as soon as the one before is reset, while that one ends yet', async () => {
  const mayEnd = deferred();
  const asked: string[] = [];
  let lost = 0;
  const connect = async () => {
    const end = new AbortController();
    const name = `connection ${asked.length + 1}`;
    return {
      lost: end.signal,
      query: async () => {
        asked.push(name);
        return [];
      },
      close: async () => {
        await mayEnd.promise;
        end.abort();
      },
    } as unknown as DatabaseConnection;
  };
  const onLost = () => {
    lost += 1;
  };
  const link = new DatabaseLink({ name: 'reset', connect, onLost, logger: silentLogger });
  await link.query('SELECT 1', []);
  const reset = link.reset();
  expect([link.isConnected, lost]).toEqual([false, 1]);
  await link.query('SELECT 1', []);
  mayEnd.resolve();
  await reset;
  expect([asked, link.isConnected, lost]).toEqual([['connection 1', 'connection 2'], true, 1]);
  await link.close();
});
