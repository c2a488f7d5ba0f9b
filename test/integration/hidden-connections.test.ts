import type { SQL } from 'drizzle-orm';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { knexTransactions, resolveTransactions } from '../../src/database/transactions.ts';
import { Outbox } from '../../src/outbox/outbox.ts';
import { type TestDatabase, testDatabase } from '../support/test-database.ts';

// Handles in the shape of libraries that hide their connection, over a real one. Prisma's engine is no dependency of
// ours; its shape is `$queryRawUnsafe`, without `$connect` in a transaction, and P2028 for one that has ended.

let database: TestDatabase;
let outbox: Outbox;
let client: pg.Client;

beforeAll(async () => {
  database = await testDatabase('hidden');
  const transactions = resolveTransactions(knexTransactions(), database.pool);
  outbox = new Outbox({ transactions, appId: 'orders', schema: database.schema });
  client = new pg.Client({ connectionString: database.url });
  await client.connect();
});

afterAll(async () => {
  await client.end();
  await database.close();
});

const rowsOf = (text: string, params: unknown[]) => client.query(text, params).then(({ rows }) => rows);

const shapes = {
  prisma: () => ({ $queryRawUnsafe: (text: string, ...params: unknown[]) => rowsOf(text, params) }),
  drizzle: () => ({
    dialect: {},
    session: { client: 'another driver' },
    nestedIndex: 0,
    rollback: () => undefined,
    execute(query: SQL) {
      const { sql, params } = query.getSQL().toQuery({} as never);
      return rowsOf(sql, params);
    },
  }),
  pg: () => ({
    escapeIdentifier: () => undefined,
    query: (text: string, params: unknown[]) => client.query(text, params),
  }),
};

const event = (key: string) => ({ aggregate: 'order', eventType: 'create.base', payload: 1, key });
const count = (key: string) => database.count('svc_comm_outbox', `order_key = '${key}'`);

describe.each(['prisma', 'drizzle', 'pg'] as const)('a transaction of %s whose connection is hidden', (library) => {
  const finished = { code: 'SVC_COMM_TRANSACTION_FINISHED' };

  test('carries events until its commit', async () => {
    await client.query('BEGIN');
    const handle = shapes[library]();
    await outbox.publishAggregateEvent(event(`${library}-1`), { transaction: handle });
    await outbox.publishAggregateEvents([event(`${library}-1`), event(`${library}-1`)], { transaction: handle });
    await client.query('COMMIT');
    expect(await count(`${library}-1`)).toBe(3);
    const late = outbox.publishAggregateEvent(event(`${library}-1`), { transaction: handle });
    await expect(late).rejects.toMatchObject(finished);
    const cancel = outbox.cancelFutureAggregateEvent(
      { aggregate: 'a', eventType: 'b', tags: {} },
      { transaction: handle },
    );
    await expect(cancel).rejects.toMatchObject(finished);
    expect(await count(`${library}-1`)).toBe(3);
  });

  test('whose end overtakes the publish writes nothing', async () => {
    for (const end of ['COMMIT', 'ROLLBACK']) {
      await client.query('BEGIN');
      const handle = shapes[library]();
      const first = outbox.publishAggregateEvent(event(`${library}-${end}`), { transaction: handle });
      await first;
      const [, publish] = await Promise.allSettled([
        client.query(end),
        outbox.publishAggregateEvent(event(`${library}-${end}`), { transaction: handle }),
      ]);
      expect(publish).toMatchObject({ status: 'rejected', reason: finished });
      expect(await count(`${library}-${end}`)).toBe(end === 'COMMIT' ? 1 : 0);
    }
  });

  test('whose connection is in another transaction by now writes nothing into that', async () => {
    await client.query('BEGIN');
    const handle = shapes[library]();
    await outbox.publishAggregateEvent(event(`${library}-other`), { transaction: handle });
    await client.query('ROLLBACK');
    await client.query('BEGIN');
    const late = outbox.publishAggregateEvent(event(`${library}-other`), { transaction: handle });
    if (library === 'pg') await late;
    else await expect(late).rejects.toMatchObject(finished);
    await client.query('COMMIT');
    // A pg client is the handle of each of its transactions.
    expect(await count(`${library}-other`)).toBe(library === 'pg' ? 1 : 0);
  });

  test('goes on after a savepoint that is rolled back', async () => {
    await client.query('BEGIN; SAVEPOINT theirs');
    const handle = shapes[library]();
    await outbox.publishAggregateEvent(event(`${library}-undone`), { transaction: handle });
    await client.query('ROLLBACK TO SAVEPOINT theirs');
    await outbox.publishAggregateEvent(event(`${library}-kept`), { transaction: handle });
    await client.query('COMMIT');
    expect([await count(`${library}-undone`), await count(`${library}-kept`)]).toEqual([0, 1]);
  });
});

test('the PrismaClient itself is refused', async () => {
  const root = { ...shapes.prisma(), $connect: () => undefined };
  await expect(outbox.publishAggregateEvent(event('root'), { transaction: root })).rejects.toMatchObject({
    code: 'SVC_COMM_NOT_A_TRANSACTION',
    library: 'prisma',
  });
});

test("prisma's own word for an ended transaction is understood", async () => {
  const ended = Object.assign(new Error('Transaction already closed'), { code: 'P2028' });
  const handle = { $queryRawUnsafe: () => Promise.reject(ended) };
  await expect(outbox.publishAggregateEvent(event('ended'), { transaction: handle })).rejects.toMatchObject({
    code: 'SVC_COMM_TRANSACTION_FINISHED',
    cause: ended,
  });
});

test('a statement that prisma gives no answer to, because another of the same moment failed, is a failed transaction', async () => {
  const handle = { $queryRawUnsafe: () => Promise.resolve(undefined) };
  await expect(outbox.publishAggregateEvent(event('batched'), { transaction: handle })).rejects.toMatchObject({
    code: 'SVC_COMM_TRANSACTION_ABORTED',
    cause: { message: 'prisma gave no answer: another statement of the same moment has failed' },
  });
});

test('a client without status that is in no transaction is refused', async () => {
  await expect(outbox.publishAggregateEvent(event('native'), { transaction: shapes.pg() })).rejects.toMatchObject({
    code: 'SVC_COMM_NOT_A_TRANSACTION',
    library: 'pg',
  });
});
