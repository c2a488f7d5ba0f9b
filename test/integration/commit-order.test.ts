import type pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { GuardedExecutor } from '../../src/database/guarded-executor.ts';
import {
  type KnexTransaction,
  knexTransactions,
  resolveTransactions,
  type Transactions,
} from '../../src/database/transactions.ts';
import { eventRow } from '../../src/outbox/event-row.ts';
import { Outbox } from '../../src/outbox/outbox.ts';
import { enqueue } from '../../src/outbox/sql/enqueue.ts';
import { until } from '../support/relay-kit.ts';
import { type TestDatabase, testDatabase } from '../support/test-database.ts';

let database: TestDatabase;
let transactions: Transactions;
let outbox: Outbox;
beforeAll(async () => {
  database = await testDatabase('commit_order');
  transactions = resolveTransactions(knexTransactions(), database.pool);
  outbox = new Outbox({ transactions, appId: 'orders', schema: database.schema });
});
afterAll(() => database.close());

const event = (key: string) => ({ aggregate: 'order', eventType: 'create.base', payload: { key }, key });

/** Writes as many events of one key in the transaction of the client, and gives their ids. */
type Write = (client: pg.PoolClient, count: number) => Promise<string[]>;

const withHandle: Write = async (client, count) => {
  const events = Array.from({ length: count }, () => event('crossing'));
  return (await outbox.publishAggregateEvents(events, { transaction: client })).map(({ eventId }) => eventId);
};

/** As it is with a library that hides its connection. */
const guarded: Write = async (client, count) => {
  const rows = Array.from({ length: count }, () => eventRow(event('crossing'), new Date(), 'orders'));
  const send = async (sql: string, params: readonly (string | null)[]) => (await client.query(sql, [...params])).rows;
  const executor = new GuardedExecutor({ library: 'hidden', send, saysFinished: () => false });
  await enqueue(executor, database.schema, rows);
  return rows.map(({ messageId }) => messageId);
};

/** @param count events of each of the two */
async function secondWaits(count: number, write: Write): Promise<void> {
  const [one, two] = [await database.pg.connect(), await database.pg.connect()];
  try {
    const { rows: backends } = await two.query('SELECT pg_backend_pid() AS pid');
    const isHeldUp = async () => {
      const { rows } = await database.pg.query('SELECT wait_event FROM pg_stat_activity WHERE pid = $1', [
        backends[0].pid,
      ]);
      return rows[0].wait_event === 'advisory';
    };
    for (const client of [one, two]) await client.query('BEGIN');
    const commits: string[] = [];
    const names = new Map<string, string>();
    const first = await write(one, count);
    // Whoever has written its event commits at once: the second would overtake the first.
    const second = write(two, count).then(async (written) => {
      for (const id of written) names.set(id, 'second');
      commits.push('second');
      await two.query('COMMIT');
    });
    await Promise.race([second, until('the second waits for the lock of the key', isHeldUp)]);
    for (const id of first) names.set(id, 'first');
    commits.push('first');
    await one.query('COMMIT');
    await second;
    const { rows } = await database.pg.query(`SELECT message_id FROM ${database.table('svc_comm_outbox')} ORDER BY id`);
    const inOrder = rows.map((row) => names.get(row.message_id)).filter((name) => name !== undefined);
    expect(inOrder).toEqual(commits.flatMap((name) => Array.from({ length: count }, () => name)));
  } finally {
    for (const client of [one, two]) client.release();
  }
}

test('of two writers of a key the second waits for the commit of the first, and ids are in the order of commits', () =>
  secondWaits(1, withHandle));

test('of two writers of a key that hide their connections the second waits for the commit of the first, and ids are in the order of commits', () =>
  secondWaits(1, guarded));

test('of two writers of several events of a key the second waits for the commit of the first, and ids are in the order of commits', () =>
  secondWaits(3, withHandle));

test('what was written is not committed when its events cannot be', async () => {
  await database.pg.query(
    `ALTER TABLE ${database.table('svc_comm_outbox')} ADD CHECK (order_key IS DISTINCT FROM 'unwritable')`,
  );
  const writing = transactions.run(async (trx) => {
    await (trx as KnexTransaction).raw(`INSERT INTO ${database.table('effect')} VALUES ('unwritable')`);
    await outbox.publishAggregateEvent(event('unwritable'));
  });
  const [{ status }] = await Promise.allSettled([writing]);
  expect({ status, effects: await database.count('effect') }).toEqual({ status: 'rejected', effects: 0 });
});

test('parts of a transaction of which one failed are not committed, though its error was swallowed', async () => {
  const failure = new Error('a part failed');
  const run = transactions.runParts(
    async (_whole, part) => {
      await part(async (trx) => {
        await (trx as KnexTransaction).raw(`INSERT INTO ${database.table('effect')} VALUES ('part')`);
        await outbox.publishAggregateEvent(event('part'));
      });
      await part(() => Promise.reject(failure)).catch(() => undefined);
    },
    { name: 'parts' },
  );
  expect(await run.catch((error: unknown) => error)).toBe(failure);
  expect(await database.count('effect', "id = 'part'")).toBe(0);
  expect(await database.count('svc_comm_outbox', "order_key = 'part'")).toBe(0);
});
