import { afterAll, beforeAll, expect, test } from 'vitest';
import { InboxStore } from '../../src/database/inbox-store.ts';
import { knexTransactions, resolveTransactions, Transactions } from '../../src/database/transactions.ts';
import type { InboxKey, InboxRequest } from '../../src/message/inbox.ts';
import { Outbox } from '../../src/outbox/outbox.ts';
import { type TestDatabase, testDatabase } from '../support/test-database.ts';

let database: TestDatabase;
let transactions: Transactions;
let inbox: InboxStore;
let outbox: Outbox;

beforeAll(async () => {
  database = await testDatabase('inbox');
  transactions = resolveTransactions(knexTransactions(), database.pool);
  inbox = new InboxStore({ transactions, schema: database.schema });
  outbox = new Outbox({ transactions, appId: 'orders', schema: database.schema });
});

afterAll(() => database.close());

const keyOf = (messageId: string): InboxKey => ({ queue: 'q', source: 's', messageId });
const request = (messageId: string, more: Partial<InboxRequest> = {}): InboxRequest => ({
  key: keyOf(messageId),
  isRedriven: false,
  handler: 'Orders.onUser',
  ...more,
});
const effect = (id: string) => async (trx: unknown) => {
  await (trx as { raw(sql: string, values: unknown[]): Promise<unknown> }).raw(
    `INSERT INTO ${database.table('effect')} VALUES (?)`,
    [id],
  );
  return id;
};
const effects = (id: string) => database.count('effect', `id = '${id}'`);
const state = async (id: string) =>
  (await database.pg.query(`SELECT state FROM ${database.table('svc_comm_inbox')} WHERE message_id = $1`, [id])).rows[0]
    ?.state;

test('the same message fifty times at once has one effect', async () => {
  for (let round = 0; round < 5; round++) {
    const id = `parallel-${round}`;
    const results = await Promise.all(Array.from({ length: 50 }, () => inbox.handle(request(id), effect(id))));
    expect(results.filter(({ kind }) => kind === 'handled')).toEqual([{ kind: 'handled', value: id }]);
    expect(results.filter(({ kind }) => kind === 'done')).toHaveLength(49);
    expect(await effects(id)).toBe(1);
  }
});

test('a copy that waits while the first fails takes over', async () => {
  const copies = Array.from({ length: 6 }, (_, i) =>
    inbox.handle(request('failing'), async (trx) => {
      await effect('failing')(trx);
      if (i < 5) throw new Error(`copy ${i}`);
    }),
  );
  const results = await Promise.allSettled(copies);
  expect(results.filter(({ status }) => status === 'fulfilled').length).toBeGreaterThanOrEqual(1);
  expect(await effects('failing')).toBe(1);
});

test('the same id from another sender, or in another queue, is another message', async () => {
  for (const key of [keyOf('same'), { ...keyOf('same'), source: 'other' }, { ...keyOf('same'), queue: 'other' }]) {
    expect(await inbox.handle(request('same', { key }), effect('same'))).toEqual({ kind: 'handled', value: 'same' });
  }
  expect(await effects('same')).toBe(3);
});

test('what the handler wrote, the inbox row and its events go together when it throws', async () => {
  const failure = new Error('handler failed');
  const handled = inbox.handle(request('thrown'), async (trx) => {
    await effect('thrown')(trx);
    await outbox.publishAggregateEvent({ aggregate: 'a', eventType: 'b', payload: 1, key: 'thrown' });
    throw failure;
  });
  await expect(handled).rejects.toBe(failure);
  expect([await effects('thrown'), await state('thrown')]).toEqual([0, undefined]);
  expect(await database.count('svc_comm_outbox', "order_key = 'thrown'")).toBe(0);
  await inbox.handle(request('thrown'), async (trx) => {
    await effect('thrown')(trx);
    await outbox.publishAggregateEvent({ aggregate: 'a', eventType: 'b', payload: 1, key: 'thrown' });
  });
  expect([await effects('thrown'), await state('thrown')]).toEqual([1, 'done']);
  expect(await database.count('svc_comm_outbox', "order_key = 'thrown'")).toBe(1);
});

test('a handler that rejects with nothing has still failed', async () => {
  await expect(inbox.handle(request('nothing'), () => Promise.reject())).rejects.toBeUndefined();
  expect(await state('nothing')).toBeUndefined();
});

test('a dead message is not handled again, until a copy is put back to work', async () => {
  await inbox.markDead(keyOf('dead'));
  await inbox.markDead(keyOf('dead'));
  expect(await inbox.handle(request('dead'), effect('dead'))).toEqual({ kind: 'dead' });
  const redriven = await Promise.all(
    Array.from({ length: 10 }, () => inbox.handle(request('dead', { isRedriven: true }), effect('dead'))),
  );
  expect(redriven.map(({ kind }) => kind).sort()).toEqual([...Array(9).fill('done'), 'handled']);
  expect([await effects('dead'), await state('dead')]).toEqual([1, 'done']);
});

test('a redriven copy that fails leaves the message dead', async () => {
  await inbox.markDead(keyOf('dead-again'));
  const again = inbox.handle(request('dead-again', { isRedriven: true }), () => Promise.reject(new Error('again')));
  await expect(again).rejects.toThrow('again');
  expect(await state('dead-again')).toBe('dead');
});

test('done is never overwritten by dead', async () => {
  await inbox.handle(request('done'), effect('done'));
  await inbox.markDead(keyOf('done'));
  expect(await state('done')).toBe('done');
  expect(await inbox.handle(request('done', { isRedriven: true }), effect('done'))).toEqual({ kind: 'done' });
});

test("a parked key's messages are not handled, except those put back to work; others go on", async () => {
  await inbox.parkKey('q', 'k1');
  const [before] = await inbox.parkedKeys('q');
  await inbox.parkKey('q', 'k1');
  const [parked] = await inbox.parkedKeys('q');
  if (!before || !parked) throw new Error('it is not parked');
  expect(await inbox.handle(request('p1', { orderKey: 'k1' }), effect('p1'))).toEqual({ kind: 'parked' });
  expect(await state('p1')).toBeUndefined();
  await inbox.markDead(keyOf('p1'));
  expect(await inbox.handle(request('p1', { orderKey: 'k1' }), effect('p1'))).toEqual({ kind: 'dead' });
  const redriven = await inbox.handle(request('p1', { orderKey: 'k1', isRedriven: true }), effect('p1'));
  expect(redriven.kind).toBe('handled');
  expect(await inbox.handle(request('p1', { orderKey: 'k1' }), effect('p1'))).toEqual({ kind: 'done' });
  expect((await inbox.handle(request('p2', { orderKey: 'k1' }), effect('p2'))).kind).toBe('parked');
  expect((await inbox.handle(request('p3', { orderKey: 'k2' }), effect('p3'))).kind).toBe('handled');
  // it was parked again since
  expect(await inbox.unparkKey('q', before)).toBe(false);
  expect((await inbox.handle(request('p2', { orderKey: 'k1' }), effect('p2'))).kind).toBe('parked');
  expect(await inbox.unparkKey('q', parked)).toBe(true);
  expect(await inbox.unparkKey('q', parked)).toBe(false);
  expect((await inbox.handle(request('p2', { orderKey: 'k1' }), effect('p2'))).kind).toBe('handled');
});

test('the claim is the first statement, and alone before the handler', async () => {
  const statements: string[] = [];
  const spied = new Transactions({
    open: (work) =>
      database.pool.knex.transaction(async (trx) => {
        const connection = await trx.client.acquireConnection();
        const { query } = connection;
        connection.query = (config: { text?: string } | string, ...rest: unknown[]) => {
          statements.push(typeof config === 'string' ? config : (config.text ?? ''));
          return Reflect.apply(query, connection, [config, ...rest]);
        };
        try {
          return await work(trx);
        } finally {
          connection.query = query;
        }
      }),
  });
  const store = new InboxStore({ transactions: spied, schema: database.schema });
  await store.handle(request('spied', { orderKey: 'k9' }), effect('spied'));
  expect(statements.filter((sql) => !sql.startsWith(`INSERT INTO ${database.table('effect')}`))).toHaveLength(1);
  expect(statements[0]).toContain('ON CONFLICT DO NOTHING');
});

test('retention forgets what is older, in batches, and nothing else', async () => {
  const inboxTable = database.table('svc_comm_inbox');
  await database.pg.query(`INSERT INTO ${inboxTable} (queue, source, message_id, state, at)
    SELECT 'old', 's', n::text, CASE n % 2 WHEN 0 THEN 'done' ELSE 'dead' END, clock_timestamp() - interval '8 days'
    FROM generate_series(1, 2500) n`);
  const before = await database.count('svc_comm_inbox', "queue <> 'old'");
  const both = await Promise.all([inbox.deleteExpired(7 * 86_400_000), inbox.deleteExpired(7 * 86_400_000)]);
  expect(await database.count('svc_comm_inbox')).toBe(before);
  expect(both.reduce((sum, n) => sum + n, 0)).toBe(2500);
});

test('a missing table says what to do', async () => {
  const store = new InboxStore({ transactions, schema: 'no_such_schema' });
  await expect(store.handle(request('x'), effect('x'))).rejects.toMatchObject({
    code: 'SVC_COMM_MIGRATION_REQUIRED',
    table: expect.stringMatching(/^svc_comm_(inbox|parked_key)$/),
  });
});
