import { afterAll, beforeAll, expect, it, onTestFinished, vi } from 'vitest';
import { InboxStore } from '../../src/database/inbox-store.ts';
import { DatabasePool } from '../../src/database/pool.ts';
import { type KnexTransaction, knexTransactions, resolveTransactions } from '../../src/database/transactions.ts';
import { Outbox } from '../../src/outbox/outbox.ts';
import { LogLines } from '../support/broker-kit.ts';
import { RecordingPipe, type RelayKit, relayKit, until } from '../support/relay-kit.ts';
import { testDatabaseUrl } from '../support/servers.ts';
import { TransactionPooler } from '../support/transaction-pooler.ts';

const SESSIONS = 4;

let pooler: TransactionPooler;
let kit: RelayKit;
beforeAll(async () => {
  pooler = await TransactionPooler.to(testDatabaseUrl(), SESSIONS);
  kit = await relayKit('pooler', { url: pooler.url(testDatabaseUrl()) });
});
afterAll(async () => {
  await kit.close();
  await pooler.close();
});

it('behind a pooler in transaction mode every event of transactions at the same time is written and relayed, in the order of its key', async () => {
  const transactions = resolveTransactions(knexTransactions(), kit.db.pool, kit.db.schema);
  const outbox = new Outbox({ transactions, appId: 'orders', schema: kit.db.schema });
  const pipe = new RecordingPipe();
  const log = new LogLines();
  const { relay } = kit.relay(pipe, { pollMs: 50 }, log);
  await relay.start();
  await Promise.all(
    Array.from({ length: 8 }, async (_, key) => {
      for (let n = 0; n < 10; n++) {
        const event = { aggregate: 'thing', eventType: 'made', payload: { key, n }, key: String(key) };
        await transactions.run(() => outbox.publishAggregateEvent(event));
      }
    }),
  );
  await until('all is relayed', async () => (await kit.db.count('svc_comm_outbox')) === 0);
  await relay.stop();
  const sent = pipe.offers.map(({ message }) => JSON.parse(Buffer.from(message.body).toString()).payload);
  for (let key = 0; key < 8; key++) {
    expect(sent.filter((payload) => payload.key === key).map(({ n }) => n)).toEqual([...Array(10).keys()]);
  }
  expect(log.lines.filter(({ fields }) => 'error' in fields)).toEqual([]);
});

it("behind a pooler in transaction mode a relay's settings hold for its own statements, and nobody else inherits them", async () => {
  const pipe = new RecordingPipe();
  const { relay } = kit.relay(pipe, { pollMs: 50 });
  const holder = await kit.db.pg.connect();
  await kit.insert([{ key: 'held' }, { key: 'free' }]);
  await holder.query('BEGIN');
  await holder.query(`SELECT FROM ${kit.db.table('svc_comm_outbox')} WHERE order_key = 'held' FOR UPDATE`);
  await relay.start();
  // By its lock_timeout: without one the other's delete would wait with it.
  await until('the other is gone', async () => (await kit.db.count('svc_comm_outbox')) === 1);
  await holder.query('COMMIT');
  holder.release();
  await until('all is relayed', async () => (await kit.db.count('svc_comm_outbox')) === 0);
  await relay.stop();
  const changed = await Promise.all(
    Array.from({ length: 4 * SESSIONS }, async () => {
      const { rows } = await kit.db.pg.query(
        `SELECT name FROM pg_settings WHERE source = 'session' AND (name LIKE 'enable%' OR name IN ('lock_timeout', 'jit'))`,
      );
      return rows;
    }),
  );
  expect(changed.flat()).toEqual([]);
});

it('behind a pooler in transaction mode a refused write is told as an outage when the session that is asked behind it takes writes', async () => {
  const two = await TransactionPooler.to(testDatabaseUrl(), 2);
  const pool = new DatabasePool({ url: two.url(testDatabaseUrl()), max: 1 });
  onTestFinished(async () => {
    await pool.stop();
    await two.close();
  });
  await pool.start();
  const { schema } = kit.db;
  const transactions = resolveTransactions(knexTransactions(), pool, schema);
  const outbox = new Outbox({ transactions, appId: 'orders', schema });
  const inbox = new InboxStore({ transactions, schema });
  // Of one of the two: the other takes writes, and they take turns.
  await pool.knex.raw('SET default_transaction_read_only = on');
  const publish = () => outbox.publishAggregateEvent({ aggregate: 'thing', eventType: 'made', payload: {} });
  const refusals: unknown[] = [];
  const handle = vi.fn(async () => undefined);
  const tries = [
    (n: number) => {
      const key = { queue: 'refused', source: 'orders', messageId: String(n) };
      return inbox.handle({ handler: 'refused', key, isRedriven: false }, handle);
    },
    () => transactions.run(publish),
    () =>
      transactions.run(async (trx) => {
        await (trx as KnexTransaction).raw('SELECT 1');
        await publish();
      }),
    () =>
      transactions.run((trx) =>
        (trx as KnexTransaction).raw(`DELETE FROM ${kit.db.table('svc_comm_outbox')} WHERE false`),
      ),
  ];
  for (const attempt of tries) {
    const outcomes = [];
    for (let n = 0; n < 4; n += 1) outcomes.push(...(await Promise.allSettled([attempt(n)])));
    const failed = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason] : []));
    expect(failed.length).toBeGreaterThan(0);
    refusals.push(...failed);
  }
  for (const refusal of refusals) {
    expect(refusal).toMatchObject({ code: 'SVC_COMM_DATABASE_UNAVAILABLE', outage: 'read-only' });
  }
  expect(handle.mock.calls.length).toBeLessThan(4);
});
