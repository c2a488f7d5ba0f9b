import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { connectDatabase } from '../../src/database/connection.ts';
import { knexTransactions, resolveTransactions, type Transactions } from '../../src/database/transactions.ts';
import type { Message } from '../../src/message/message.ts';
import { readBacklog } from '../../src/outbox/backlog.ts';
import { Outbox } from '../../src/outbox/outbox.ts';
import type { Tags } from '../../src/outbox/validate.ts';
import { type TestDatabase, testDatabase } from '../support/test-database.ts';

let database: TestDatabase;
let transactions: Transactions;
let outbox: Outbox;

beforeAll(async () => {
  database = await testDatabase('future');
  transactions = resolveTransactions(knexTransactions(), database.pool);
  outbox = new Outbox({ transactions, appId: 'orders', schema: database.schema });
});

afterAll(() => database.close());

const soon = () => new Date(Date.now() + 60_000);
const reminder = (tags: Tags, eventType = 'remind') => ({
  aggregate: 'basket',
  eventType,
  payload: {},
  eventTime: soon(),
  tags,
});

test('a future event waits with its time as eventTime', async () => {
  const eventTime = new Date('2030-05-06T07:08:09.010Z');
  const { eventId } = await outbox.publishFutureAggregateEvent(
    { aggregate: 'basket', eventType: 'timed', payload: 1, eventTime, key: 5 },
    { transaction: 'own' },
  );
  const { rows } = await database.pg.query(`SELECT * FROM ${database.table('svc_comm_future')} WHERE message_id = $1`, [
    eventId,
  ]);
  expect(rows[0]).toMatchObject({
    due_at: eventTime,
    tags: {},
    order_key: '5',
    exchange: 'basket',
    routing_key: 'timed',
  });
  expect(JSON.parse(rows[0].body).eventTime).toBe('2030-05-06T07:08:09.010Z');
});

test('cancel takes those that have all the tags, of this aggregate and type, and counts them', async () => {
  await transactions.run(async () => {
    await outbox.publishFutureAggregateEvent(reminder({ userId: 1, kind: 'a' }));
    await outbox.publishFutureAggregateEvent(reminder({ userId: 1, kind: 'b' }));
    await outbox.publishFutureAggregateEvent(reminder({ userId: 2, kind: 'a', nothing: null }));
    await outbox.publishFutureAggregateEvent(reminder({ userId: 1 }, 'other'));
  });
  const cancel = (tags: Tags) =>
    outbox.cancelFutureAggregateEvent({ aggregate: 'basket', eventType: 'remind', tags }, { transaction: 'own' });
  expect(await cancel({ userId: '1' })).toBe(0);
  expect(await cancel({ userId: 1, kind: 'b' })).toBe(1);
  expect(await cancel({ userId: 1 })).toBe(1);
  expect(await cancel({})).toBe(1);
  expect(await database.count('svc_comm_future', "routing_key = 'other'")).toBe(1);
});

test('cancel sees what the same transaction has published, and is undone with it', async () => {
  const filter = { aggregate: 'basket', eventType: 'undone', tags: { id: 1 } };
  await outbox.publishFutureAggregateEvent(reminder({ id: 1 }, 'undone'), { transaction: 'own' });
  const run = transactions.run(async () => {
    await outbox.publishFutureAggregateEvent(reminder({ id: 1 }, 'undone'));
    expect(await outbox.cancelFutureAggregateEvent(filter)).toBe(2);
    throw new Error('back');
  });
  await expect(run).rejects.toThrow('back');
  expect(await database.count('svc_comm_future', "routing_key = 'undone'")).toBe(1);
});

describe('is refused before anything is written:', () => {
  test.each<[string, object]>([
    ['an invalid date', { eventTime: new Date(Number.NaN) }],
    ['the year 9999', { eventTime: new Date('9999-01-01T00:00:00Z') }],
    ['a year past what a Date can say', { eventTime: new Date(8.65e15) }],
    ['a text as time', { eventTime: '2030-01-01' }],
    ['tags that are a list', { tags: [1] }],
    ['a nested tag', { tags: { a: { b: 1 } } }],
    ['an infinite tag', { tags: { a: Number.POSITIVE_INFINITY } }],
    ['a NUL in a tag', { tags: { a: '\u0000' } }],
    ['half a surrogate pair in a tag', { tags: { '\udc00': 1 } }],
    ['a Date as tag', { tags: { a: new Date() } }],
  ])('%s', async (_what, wrong) => {
    const before = await database.count('svc_comm_future');
    const publish = outbox.publishFutureAggregateEvent({ ...reminder({}), ...wrong } as never, { transaction: 'own' });
    await expect(publish).rejects.toMatchObject({ code: 'SVC_COMM_INVALID_ARGUMENT' });
    expect(await database.count('svc_comm_future')).toBe(before);
  });
});

test('any message can wait: in a transaction of its own, also where the one that the code runs in is rolled back', async () => {
  const message: Message = {
    exchange: '',
    routingKey: 'orders',
    body: Buffer.from('{"a":1}'),
    properties: { messageId: 'not-a-uuid', headers: { 'svc-comm-attempt': 3 } },
  };
  await outbox.scheduler().schedule(message, soon());
  await expect(
    transactions.run(async () => {
      await outbox.scheduler().schedule(message, soon());
      throw new Error('back');
    }),
  ).rejects.toThrow('back');
  expect(await database.count('svc_comm_future', "routing_key = 'orders'")).toBe(2);
});

describe('the backlog', () => {
  const MINUTES_OF_A_DAY = 1440;

  test.each([
    { waits: 'an event that was due a day ago', due: '1 day', minutes: MINUTES_OF_A_DAY },
    {
      waits: 'one that was due before a row of the outbox',
      due: '1 day',
      written: '1 hour',
      minutes: MINUTES_OF_A_DAY,
    },
    { waits: 'one that was due after a row of the outbox', due: '1 hour', written: '1 day', minutes: MINUTES_OF_A_DAY },
    { waits: 'one of tomorrow', due: '-1 day', minutes: 0 },
    { waits: 'one of tomorrow and a row of the outbox', due: '-1 day', written: '1 day', minutes: MINUTES_OF_A_DAY },
  ])('has the age of what has waited for a relay for longest: $waits', async ({ due, written, minutes }) => {
    const { pg, table, schema, url } = database;
    await pg.query(`TRUNCATE ${table('svc_comm_outbox')}, ${table('svc_comm_future')}`);
    await pg.query(
      `INSERT INTO ${table('svc_comm_future')} (due_at, created_at, message_id, exchange, routing_key, body)
       VALUES (now() - $1::interval, now() - interval '30 days', gen_random_uuid(), 'basket', 'remind', '{}')`,
      [due],
    );
    await pg.query(
      `INSERT INTO ${table('svc_comm_outbox')} (part, message_id, exchange, routing_key, body, created_at)
       SELECT 0, gen_random_uuid(), 'basket', 'remind', '{}', now() - $1::interval WHERE $1 IS NOT NULL`,
      [written],
    );
    const connection = await connectDatabase({ url, applicationName: schema });
    try {
      const { oldestMs, future, futureDue } = await readBacklog(connection, schema);
      expect(Math.floor(oldestMs / 60_000)).toBe(minutes);
      expect(future + futureDue).toBe(1);
    } finally {
      await connection.close();
    }
  });
});
