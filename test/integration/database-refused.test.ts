import pg from 'pg';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { callConsumer } from '../../src/router/call-consumer.ts';
import { until } from '../support/consumer-kit.ts';
import { effectConsumer, expectToWait } from '../support/outage.ts';
import { ServiceKit } from '../support/service-kit.ts';

let kit: ServiceKit;
let role: string;
let databaseUrl: string;

beforeAll(async () => {
  kit = await ServiceKit.open('refused');
  await kit.service('migrate').migrate();
  await kit.pg.query(`CREATE TABLE ${kit.table('effect')} (id text)`);
  ({ role, databaseUrl } = await kit.role());
});
afterEach(async () => {
  for (const { end } of REFUSALS) await end().catch(() => undefined);
  kit.log.lines.length = 0;
});
afterAll(() => kit.close());

const endSessions = () =>
  kit.pg.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1', [role]);

interface Refusal {
  readonly what: string;
  readonly begin: () => Promise<unknown>;
  readonly end: () => Promise<unknown>;
  /** In the log of who waits. */
  readonly told: string;
}

const inbox = () => kit.table('svc_comm_inbox');

const REFUSALS: readonly Refusal[] = [
  {
    what: 'its user may not log in any more',
    begin: async () => {
      await kit.pg.query(`ALTER ROLE ${role} NOLOGIN`);
      await endSessions();
    },
    end: () => kit.pg.query(`ALTER ROLE ${role} LOGIN`),
    told: 'SVC_COMM_DATABASE_ACCESS_REFUSED',
  },
  {
    what: 'its user has lost a right on one of our tables',
    begin: () => kit.pg.query(`REVOKE INSERT ON ${inbox()} FROM ${role}`),
    end: () => kit.pg.query(`GRANT INSERT ON ${inbox()} TO ${role}`),
    told: 'SVC_COMM_DATABASE_RIGHTS',
  },
  {
    what: 'one of our tables is gone',
    begin: () => kit.pg.query(`ALTER TABLE ${inbox()} RENAME TO svc_comm_elsewhere`),
    end: () => kit.pg.query(`ALTER TABLE ${kit.table('svc_comm_elsewhere')} RENAME TO svc_comm_inbox`),
    told: 'SVC_COMM_MIGRATION_REQUIRED',
  },
];

const [noLogin] = REFUSALS as [Refusal];

const isTold = (code: string) =>
  kit.log.lines.some(({ fields }) => (fields as { error?: { code?: unknown } }).error?.code === code);

it.each(REFUSALS.flatMap((refusal, n) => [1, 8].map((group) => ({ ...refusal, n, group }))))(
  'messages wait while $what, no attempt is counted, and they are handled when that is mended (group $group)',
  async ({ n, group, begin, end, told }) => {
    const name = `refused${n}g${group}`;
    const consuming = effectConsumer(kit, { name, group, settings: { databaseUrl } });
    await consuming.consumer.start();
    await begin();
    await expectToWait(kit, consuming, { name, outage: { isTold: () => isTold(told), end } });
  },
);

it('messages wait as well while the user of a library of yours may not log in', async () => {
  const pool = new pg.Pool({ connectionString: databaseUrl });
  pool.on('error', () => undefined);
  const transactions = async <T>(work: (handle: unknown) => Promise<T>): Promise<T> => {
    const client = await pool.connect();
    try {
      await client.query('BEGIN');
      const value = await work(client);
      await client.query('COMMIT');
      return value;
    } catch (error) {
      await client.query('ROLLBACK').catch(() => undefined);
      throw error;
    } finally {
      client.release();
    }
  };
  const name = 'library';
  const insert = async (trx: unknown, id: string) =>
    void (await (trx as pg.PoolClient).query(`INSERT INTO ${kit.table('effect')} VALUES ($1)`, [id]));
  const consuming = effectConsumer(kit, { name, group: 1, settings: { databaseUrl, transactions }, insert });
  await consuming.consumer.start();
  await noLogin.begin();
  await expectToWait(kit, consuming, { name, outage: { isTold: () => isTold(noLogin.told), end: noLogin.end } });
  await pool.end();
});

it('a call waits for its answer meanwhile, and gets it, not the trouble of the callee', async () => {
  const service = kit.service('callee', { databaseUrl });
  const exchange = kit.exchangeName('callee');
  service.messageRouter.consumer(exchange, 'sum')(callConsumer(async ({ x, y }: { x: number; y: number }) => x + y));
  const consumer = service.consumer();
  await consumer.start();
  const asking = kit.service('asks', {});
  await noLogin.begin();
  const answer = asking.call(exchange, 'sum', { x: 1, y: 2 }, { timeout: 60 });
  await until(() => isTold(noLogin.told));
  await noLogin.end();
  expect(await answer).toBe(3);
  await consumer.stop();
});
