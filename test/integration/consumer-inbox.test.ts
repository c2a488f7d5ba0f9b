import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import type { Consumer } from '../../src/consumer/consumer.ts';
import { InboxStore } from '../../src/database/inbox-store.ts';
import { type KnexTransaction, knexTransactions, resolveTransactions } from '../../src/database/transactions.ts';
import { DatabaseUnavailableError, Reject } from '../../src/errors.ts';
import type { MessageContext } from '../../src/message/handler.ts';
import type { Inbox } from '../../src/message/inbox.ts';
import { HEADER } from '../../src/message/message.ts';
import { ConsumerKit, until } from '../support/consumer-kit.ts';
import { type TestDatabase, testDatabase } from '../support/test-database.ts';

let kit: ConsumerKit;
let database: TestDatabase;
let inbox: InboxStore;
let consumer: Consumer;
beforeAll(async () => {
  kit = await ConsumerKit.create();
  database = await testDatabase('consumer_inbox', { max: 30 });
  inbox = new InboxStore({
    transactions: resolveTransactions(knexTransactions(), database.pool),
    schema: database.schema,
  });
});
afterEach(() => consumer.stop());
afterAll(async () => {
  await kit.remove();
  await database.close();
});

const write = async ({ transaction }: MessageContext, id: string) =>
  (transaction as KnexTransaction).raw(`INSERT INTO ${database.table('effect')} VALUES (?)`, [id]);
const effects = (id: string) => database.count('effect', `id = '${id}'`);

test('copies of one message have one effect, however many come at the same time', async () => {
  kit.router.consumer(
    kit.exchange,
    'inbox.copies',
  )(async (_routingKey, body, context) => {
    await write(context, (body as { id: string }).id);
  });
  consumer = await kit.start({ parts: { inbox } });
  for (let copy = 0; copy < 50; copy++) {
    for (const id of ['a', 'b', 'c']) kit.send('inbox.copies', { id }, {}, { messageId: id, appId: 'sender' });
  }
  await until(() => consumer.stats.received === 150 && consumer.stats.inFlight === 0);
  expect(consumer.stats).toMatchObject({ handled: 3, duplicates: 147 });
  expect([await effects('a'), await effects('b'), await effects('c')]).toEqual([1, 1, 1]);
});

test('a failed run leaves no effect, its retry has one, and what is given up is marked dead', async () => {
  kit.router.consumer(
    kit.exchange,
    'inbox.retry',
  )(async (_routingKey, body, context) => {
    const { id } = body as { id: string };
    await write(context, id);
    if (id === 'never' || context.attempt < 3) throw new Error('not yet');
  });
  consumer = await kit.start({ parts: { inbox }, options: { retry: { attempts: 3, delaysMs: [20] } } });
  kit.send('inbox.retry', { id: 'third' }, {}, { messageId: 'm-third' });
  kit.send('inbox.retry', { id: 'never' }, {}, { messageId: 'm-never' });
  const dead = await kit.nextDead();
  await until(() => consumer.stats.handled === 1 && consumer.stats.inFlight === 0);
  expect([await effects('third'), await effects('never')]).toEqual([1, 0]);

  kit.send('inbox.retry', { id: 'never' }, {}, { messageId: 'm-never' });
  await until(() => consumer.stats.duplicates === 1);
  const headers = { ...dead.properties.headers, [HEADER.redriven]: new Date().toISOString(), [HEADER.attempt]: 0 };
  kit.channel.sendToQueue(kit.queue, dead.content, { ...dead.properties, headers });
  await kit.nextDead();
  await until(() => consumer.stats.deadLettered.attempts === 2);
});

test('a parked key stays parked for a consumer that starts later, until it is unparked', async () => {
  const done: number[] = [];
  kit.router.consumer(
    kit.exchange,
    'inbox.park',
  )(async (_routingKey, body) => {
    const { n } = body as { n: number };
    if (n === 0) throw new Reject('never');
    done.push(n);
  });
  const headers = { [HEADER.key]: 'order-1' };
  consumer = await kit.start({ parts: { inbox } });
  for (const n of [0, 1]) kit.send('inbox.park', { n }, headers);
  await kit.nextDead();
  expect((await kit.nextDead()).properties.headers).toMatchObject({ [HEADER.reason]: 'parked' });
  await consumer.stop();

  consumer = await kit.start({ parts: { inbox } });
  kit.send('inbox.park', { n: 2 }, headers);
  expect(JSON.parse((await kit.nextDead()).content.toString())).toEqual({ n: 2 });
  await until(() => consumer.stats.deadLettered.parked === 1);
  expect(await inbox.unparkKey(kit.queue, 'order-1')).toBe(true);
  kit.send('inbox.park', { n: 3 }, headers);
  await until(() => done.length === 1);
  expect(done).toEqual([3]);
});

test('while the database is away messages stay, no attempt is counted, and key order holds when it is back', async () => {
  const done: string[] = [];
  kit.router.consumer(
    kit.exchange,
    'inbox.outage',
  )(async (_routingKey, body, { key, attempt }) => {
    done.push(`${key}${(body as { n: number }).n}#${attempt}`);
  });
  let isDown = true;
  let tries = 0;
  const flaky: Inbox = {
    handle: (request, work) => {
      tries += 1;
      if (isDown) return Promise.reject(new DatabaseUnavailableError('postgres://db', 'down'));
      return inbox.handle(request, work);
    },
    markDead: (key) => inbox.markDead(key),
    parkKey: (queue, key) => inbox.parkKey(queue, key),
  };
  consumer = await kit.start({ parts: { inbox: flaky }, options: { retry: { attempts: 2, delaysMs: [10] } } });
  for (let n = 0; n < 3; n++) for (const key of ['a', 'b']) kit.send('inbox.outage', { n }, { [HEADER.key]: key });
  kit.send('inbox.outage', { n: 0 });
  await until(() => tries >= 6);
  expect(consumer.stats).toMatchObject({ inFlight: 7, handled: 0, released: 0, retried: 0 });
  isDown = false;
  await until(() => done.length === 7);
  expect(done.filter((run) => run.startsWith('a'))).toEqual(['a0#1', 'a1#1', 'a2#1']);
  expect(done.filter((run) => run.startsWith('b'))).toEqual(['b0#1', 'b1#1', 'b2#1']);
  expect(tries).toBeLessThan(40);
});

test('a handler that hangs at stop has its transaction rolled back, so that the message can be handled elsewhere', async () => {
  let runs = 0;
  kit.router.consumer(
    kit.exchange,
    'inbox.hang',
  )(async (_routingKey, body, context) => {
    runs += 1;
    await write(context, (body as { id: string }).id);
    if (runs === 1) await new Promise(() => undefined);
  });
  const first = await kit.start({ parts: { inbox }, options: { graceMs: 200 } });
  kit.send('inbox.hang', { id: 'hang' });
  await until(() => runs === 1);
  await first.stop();
  consumer = await kit.start({ parts: { inbox } });
  await until(() => consumer.stats.handled === 1);
  expect(await effects('hang')).toBe(1);
});
