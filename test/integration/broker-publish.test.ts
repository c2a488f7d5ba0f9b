import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { BrokerConnection } from '../../src/broker/connection.ts';
import { BrokerPublisher, type BrokerPublisherOptions } from '../../src/broker/publisher.ts';
import type { Message } from '../../src/message/message.ts';
import type { PublishOutcome } from '../../src/message/publisher.ts';
import { BrokerKit, message, Outcomes } from '../support/broker-kit.ts';
import { testBrokerUrl } from '../support/servers.ts';
import { stressService } from '../support/start-stop-stress.ts';

let kit: BrokerKit;
let connection: BrokerConnection;
const publishers: BrokerPublisher[] = [];
beforeAll(async () => {
  kit = await BrokerKit.open('pub');
  connection = new BrokerConnection({ name: 'test publish', url: testBrokerUrl() });
  await connection.start();
});
afterEach(async () => {
  for (const publisher of publishers.splice(0)) await publisher.stop();
});
afterAll(async () => {
  await connection.stop();
  await kit.close();
});

async function started(options: Partial<BrokerPublisherOptions> = {}): Promise<BrokerPublisher> {
  const publisher = new BrokerPublisher({ connection, ...options });
  publishers.push(publisher);
  await publisher.start();
  return publisher;
}

const offered = (publisher: BrokerPublisher, each: Message) =>
  new Promise<PublishOutcome>((resolve) => publisher.offer(each, resolve));

test('a published message is in the queue, persistent, with its properties and a UUIDv7 of its own', async () => {
  const publisher = await started();
  const queue = await kit.queue('props');
  await publisher.publish(message('', queue, 'hello', { appId: 'orders', headers: { 'svc-comm-key': 'k', n: 1 } }));
  expect(await kit.channel.get(queue, { noAck: true })).toMatchObject({
    content: Buffer.from('hello'),
    properties: {
      appId: 'orders',
      deliveryMode: 2,
      headers: { 'svc-comm-key': 'k', n: 1 },
      messageId: expect.stringMatching(/^[0-9a-f]{8}-[0-9a-f]{4}-7/),
    },
  });
  expect(publisher.stats).toMatchObject({ published: 1, confirmed: 1, returned: 0, refused: 0, unknown: 0 });
});

test('5,000 offers arrive in the order offered, never more than the limit in flight', async () => {
  const publisher = await started({ maxInFlight: 200 });
  const queue = await kit.queue('order', { 'x-queue-type': 'quorum' });
  const outcomes = new Outcomes();
  const { signal } = new AbortController();
  for (let n = 0; n < 5_000; n++) {
    if (!publisher.hasRoom) await publisher.room(signal);
    publisher.offer(message('', queue, String(n)), outcomes.next());
    expect(publisher.inFlight).toBeLessThanOrEqual(200);
  }
  expect(await outcomes.kinds()).toEqual({ confirmed: 5_000 });
  expect(await kit.drain(queue)).toEqual(Array.from({ length: 5_000 }, (_, n) => String(n)));
});

test('3,000 publishes at once all resolve, though only 100 fit in flight', async () => {
  const publisher = await started({ maxInFlight: 100 });
  const queue = await kit.queue('many');
  await Promise.all(Array.from({ length: 3_000 }, (_, n) => publisher.publish(message('', queue, String(n)))));
  expect(await kit.count(queue)).toBe(3_000);
});

test('a body larger than what may be in flight goes, and then nothing until it is confirmed', async () => {
  const publisher = await started({ maxInFlightBytes: 1_000 });
  const queue = await kit.queue('bytes');
  const outcomes = new Outcomes();
  publisher.offer(message('', queue, 'x'.repeat(5_000)), outcomes.next());
  expect(publisher.hasRoom).toBe(false);
  publisher.offer(message('', queue, 'y'), outcomes.next());
  expect(await outcomes.all()).toMatchObject([
    { kind: 'confirmed' },
    { kind: 'unknown', error: { code: 'SVC_COMM_BACKPRESSURE' } },
  ]);
  expect(publisher.hasRoom).toBe(true);
});

test('settle is never called before offer returns, and a settle that throws harms nobody', async () => {
  const publisher = await started();
  const queue = await kit.queue('throws');
  let hasReturned = false;
  const first = new Promise<boolean>((resolve) => {
    publisher.offer(message('x'.repeat(300), ''), () => {
      resolve(hasReturned);
      throw new Error('of the caller');
    });
  });
  hasReturned = true;
  expect(await first).toBe(true);
  publisher.offer(message('', queue), () => {
    throw new Error('of the caller');
  });
  await publisher.publish(message('', queue));
  expect(await kit.count(queue)).toBe(2);
});

test('an unroutable message is told to its caller alone, among 1,000 neighbours', async () => {
  const publisher = await started();
  const exchange = await kit.exchange('routes');
  const queue = await kit.queue('routes.q', { 'x-queue-type': 'quorum' });
  await kit.channel.bindQueue(queue, exchange, 'to.*');
  const outcomes = new Outcomes();
  const { signal } = new AbortController();
  const isLost = (n: number) => n % 250 === 7;
  for (let n = 0; n < 1_004; n++) {
    if (!publisher.hasRoom) await publisher.room(signal);
    publisher.offer(message(exchange, isLost(n) ? 'nowhere' : 'to.queue', String(n)), outcomes.next());
  }
  const all = await outcomes.all();
  for (const [n, outcome] of all.entries()) expect(outcome.kind).toBe(isLost(n) ? 'unroutable' : 'confirmed');
  expect(all[7]).toMatchObject({ error: { code: 'SVC_COMM_UNROUTABLE', exchange, routingKey: 'nowhere' } });
  await expect(publisher.publish(message(exchange, 'nowhere'))).rejects.toMatchObject({ code: 'SVC_COMM_UNROUTABLE' });
});

test('unroutables of one message id are matched one by one', async () => {
  const publisher = await started();
  const exchange = await kit.exchange('same-id');
  const queue = await kit.queue('same-id.q');
  await kit.channel.bindQueue(queue, exchange, 'ok');
  const outcomes = new Outcomes();
  for (const key of ['no', 'ok', 'no', 'ok']) {
    publisher.offer(message(exchange, key, 'x', { messageId: 'same' }), outcomes.next());
  }
  expect((await outcomes.all()).map(({ kind }) => kind)).toEqual([
    'unroutable',
    'confirmed',
    'unroutable',
    'confirmed',
  ]);
});

test('a message to a full queue is refused', async () => {
  const publisher = await started();
  const queue = await kit.queue('full', { 'x-max-length': 1, 'x-overflow': 'reject-publish' });
  await publisher.publish(message('', queue));
  await expect(publisher.publish(message('', queue))).rejects.toMatchObject({ code: 'SVC_COMM_PUBLISH_REFUSED' });
});

test.each([
  ['an exchange name over 255 bytes', { exchange: 'é'.repeat(128) }, 'SVC_COMM_INVALID_NAME'],
  ['a routing key over 255 bytes', { routingKey: 'k'.repeat(256) }, 'SVC_COMM_INVALID_NAME'],
  ['a message id over 255 bytes', { properties: { messageId: 'i'.repeat(256) } }, 'SVC_COMM_INVALID_NAME'],
  ['a body over 16 MiB', { body: Buffer.alloc(16 * 1024 * 1024 + 1) }, 'SVC_COMM_MESSAGE_TOO_LARGE'],
  ['headers over 64 KiB', { properties: { headers: { a: 'x'.repeat(70_000) } } }, 'SVC_COMM_MESSAGE_TOO_LARGE'],
  ['expiration -1', { properties: { expiration: '-1' } }, 'SVC_COMM_INVALID_ARGUMENT'],
  ['expiration 0', { properties: { expiration: '0' } }, 'SVC_COMM_INVALID_ARGUMENT'],
  ['expiration 1.5', { properties: { expiration: '1.5' } }, 'SVC_COMM_INVALID_ARGUMENT'],
  ['expiration 4294967296', { properties: { expiration: '4294967296' } }, 'SVC_COMM_INVALID_ARGUMENT'],
  ['a priority that is no number', { properties: { priority: Number.NaN } }, 'SVC_COMM_INVALID_ARGUMENT'],
])('%s is refused before anything is sent, and its neighbours are not', async (_, wrong, code) => {
  const publisher = await started();
  const queue = await kit.queue('checks');
  const outcomes = new Outcomes();
  publisher.offer(message('', queue), outcomes.next());
  publisher.offer({ ...message('', queue), ...wrong }, outcomes.next());
  publisher.offer(message('', queue), outcomes.next());
  expect(await outcomes.all()).toMatchObject([
    { kind: 'confirmed' },
    { kind: 'refused', error: { code } },
    { kind: 'confirmed' },
  ]);
  await expect(publisher.publish({ ...message('', queue), ...wrong })).rejects.toMatchObject({ code });
  expect(publisher.inFlight).toBe(0);
});

test('the largest expiration is taken', async () => {
  const publisher = await started();
  const queue = await kit.queue('expiry');
  await publisher.publish(message('', queue, 'x', { expiration: '4294967295' }));
});

test('a missing exchange is declared before the first publish to it: durable, topic or the type configured', async () => {
  const [topic, fanout] = [kit.exchangeName('new-topic'), kit.exchangeName('new-fanout')];
  const publisher = await started({ exchangeTypes: { [fanout]: 'fanout' } });
  const outcomes = new Outcomes();
  for (const exchange of [topic, fanout, topic, fanout]) publisher.offer(message(exchange, 'a'), outcomes.next());
  expect(await outcomes.kinds()).toEqual({ unroutable: 4 });
  await kit.channel.assertExchange(topic, 'topic', { durable: true });
  await kit.channel.assertExchange(fanout, 'fanout', { durable: true });
});

test('an exchange that exists is taken as it is', async () => {
  const exchange = await kit.exchange('direct', 'direct');
  const publisher = await started();
  await expect(publisher.publish(message(exchange, 'a'))).rejects.toMatchObject({ code: 'SVC_COMM_UNROUTABLE' });
});

test('an exchange deleted meanwhile is declared again, and nothing is lost or refused for it', async () => {
  const publisher = await started();
  const exchange = await kit.exchange('deleted');
  const queue = await kit.queue('deleted.q');
  await publisher.publish(message('', queue));
  await expect(publisher.publish(message(exchange, 'a'))).rejects.toMatchObject({ code: 'SVC_COMM_UNROUTABLE' });
  await kit.channel.deleteExchange(exchange);
  const outcomes = new Outcomes();
  for (let n = 0; n < 20; n++) publisher.offer(message(n % 5 === 3 ? exchange : '', queue), outcomes.next());
  expect(await outcomes.kinds()).toEqual({ confirmed: 16, unroutable: 4 });
});

test('with declare: verify a missing exchange refuses its own messages only, and is not made', async () => {
  const publisher = await started({ declare: 'verify' });
  const queue = await kit.queue('verify');
  const exchange = kit.exchangeName('never-made');
  const outcomes = new Outcomes();
  for (let n = 0; n < 10; n++) publisher.offer(message(n % 5 === 3 ? exchange : '', queue), outcomes.next());
  expect(await outcomes.kinds()).toEqual({ confirmed: 8, refused: 2 });
  expect(await kit.exists('exchange', exchange)).toBe(false);
});

test('stop waits for the confirms; after it nothing is taken', async () => {
  const publisher = await started();
  const queue = await kit.queue('stop', { 'x-queue-type': 'quorum' });
  const outcomes = new Outcomes();
  for (let n = 0; n < 500; n++) publisher.offer(message('', queue, String(n)), outcomes.next());
  await publisher.stop();
  expect(await outcomes.kinds()).toEqual({ confirmed: 500 });
  await expect(publisher.publish(message('', queue))).rejects.toMatchObject({ code: 'SVC_COMM_NOT_RUNNING' });
  expect(await offered(publisher, message('', queue))).toMatchObject({ kind: 'unknown' });
});

test('an abort rejects the publish with its reason', async () => {
  const publisher = await started();
  const queue = await kit.queue('abort');
  const controller = new AbortController();
  const reason = new Error('no longer wanted');
  const publishing = publisher.publish(message('', queue), { signal: controller.signal });
  controller.abort(reason);
  await expect(publishing).rejects.toBe(reason);
  await expect(publisher.publish(message('', queue), { signal: controller.signal })).rejects.toBe(reason);
});

test('start and stop may cross in any way', async () => {
  await stressService(() => new BrokerPublisher({ connection }));
});
