import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { publishAggregateEvent, publishFutureAggregateEvent, transaction } from 'svc-comm';
import { type TestService, testService } from 'svc-comm/testing';
import '../src/consumers.ts';

let t: TestService;
before(async () => {
  t = await testService({ settings: { appId: 'orders', retry: { attempts: 3, delays: ['1h'] } } });
});
after(() => t.stop());

const place = (payload: { id: number; customer: string; total: number }) =>
  transaction(() => publishAggregateEvent({ aggregate: 'order', eventType: 'create.base', payload }));
const invoices = () => t.published.filter(({ exchange }) => exchange === 'invoice').map(({ payload }) => payload);

test('an order is invoiced, and the invoice is handled', async () => {
  const order = { id: 1, customer: 'ann', total: 120 };
  await place(order);
  await t.settled();
  assert.deepEqual(invoices(), [order]);
  assert.deepEqual(
    t.handled.map(({ handler }) => handler),
    ['OrderConsumers.onOrder', 'OrderConsumers.onInvoice'],
  );
});

test('an order that fails is invoiced an hour later, once', async () => {
  t.failNext('OrderConsumers.onOrder');
  await place({ id: 2, customer: 'bob', total: 80 });
  await t.settled();
  assert.equal(invoices().length, 1);
  await t.advance('1h');
  assert.equal(invoices().length, 2);
});

test('an order with a negative total is given up, with the reason', async () => {
  await place({ id: 3, customer: 'eve', total: -1 });
  await t.settled();
  assert.deepEqual(
    t.deadLetters.map(({ reason, error }) => [reason, error]),
    [['rejected', 'order 3 has a negative total']],
  );
});

test('a reminder comes when it is due', async () => {
  const eventTime = new Date(Date.now() + 7 * 86_400_000);
  await publishFutureAggregateEvent(
    { aggregate: 'order', eventType: 'reminder.due', payload: { id: 1 }, eventTime },
    { transaction: 'own' },
  );
  await t.settled();
  assert.equal(t.handled.at(-1)?.handler === 'OrderConsumers.onReminder', false);
  await t.advance('7d');
  assert.equal(t.handled.at(-1)?.handler, 'OrderConsumers.onReminder');
});
