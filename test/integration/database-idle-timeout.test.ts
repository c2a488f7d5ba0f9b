import pg from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { until } from '../support/consumer-kit.ts';
import { ServiceKit } from '../support/service-kit.ts';

let kit: ServiceKit;
let role: string;
let databaseUrl: string;
beforeAll(async () => {
  kit = await ServiceKit.open('idle_timeout');
  await kit.service('migrate').migrate();
  ({ role, databaseUrl } = await kit.role());
  await kit.pg.query(`ALTER ROLE ${role} SET idle_session_timeout = '300ms'`);
});
afterAll(() => kit.close());

/** Process ids of those who listen, of this role. */
async function listeners(): Promise<number[]> {
  const { rows } = await kit.pg.query<{ pid: number }>(
    `SELECT pid FROM pg_stat_activity WHERE usename = $1 AND query LIKE 'LISTEN%' ORDER BY pid`,
    [role],
  );
  return rows.map(({ pid }) => pid);
}

/** Resolves when PostgreSQL has ended somebody who was idle for as long as it lets this role be. */
async function oneWasEnded(): Promise<void> {
  const client = new pg.Client(databaseUrl);
  const ended = new Promise<void>((resolve) => client.on('error', () => resolve()));
  await client.connect();
  await ended;
}

it('a relay that only listens stays connected where PostgreSQL ends sessions that are idle', async () => {
  const relay = kit.service('relay', { databaseUrl }).relay();
  await relay.start();
  await until(async () => (await listeners()).length === 1);
  const before = await listeners();
  await oneWasEnded();
  await oneWasEnded();
  expect(await listeners()).toEqual(before);
  await relay.stop();
});
