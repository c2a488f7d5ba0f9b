import { randomBytes } from 'node:crypto';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { BrokerConnection } from '../../src/broker/connection.ts';
import { BrokerPublisher } from '../../src/broker/publisher.ts';
import { BrokerSubscriber, type BrokerSubscriberOptions } from '../../src/broker/subscriber.ts';
import type { Delivery, SubscribeOptions, Subscription } from '../../src/message/subscriber.ts';
import { deferred } from '../../src/util/deferred.ts';
import { sleep } from '../../src/util/sleep.ts';
import { BrokerKit, LogLines } from '../support/broker-kit.ts';
import { testBrokerUrl } from '../support/servers.ts';
import { stressService } from '../support/start-stop-stress.ts';
import { TcpProxy } from '../support/tcp-proxy.ts';

let kit: BrokerKit;
beforeAll(async () => {
  kit = await BrokerKit.open('sub');
});
afterAll(async () => {
  await kit.close();
});

const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

interface Setup {
  readonly proxy: TcpProxy;
  readonly connection: BrokerConnection;
  readonly subscriber: BrokerSubscriber;
  readonly log: LogLines;
}

async function setup(options: Partial<BrokerSubscriberOptions> = {}): Promise<Setup> {
  const log = new LogLines();
  const proxy = await TcpProxy.to(testBrokerUrl());
  cleanups.push(() => proxy.close());
  const backoff = { initialMs: 20, maxMs: 100 };
  const connection = new BrokerConnection({ name: 'consume', url: proxy.url(testBrokerUrl()), backoff, logger: log });
  cleanups.push(() => connection.stop());
  await connection.start();
  return { proxy, connection, subscriber: new BrokerSubscriber({ connection, logger: log, ...options }), log };
}

function subscribed(subscriber: BrokerSubscriber, options: SubscribeOptions): Subscription {
  const subscription = subscriber.subscribe(options);
  cleanups.push(() => subscription.stop());
  return subscription;
}

/** Deliveries as they come, and a promise for the n-th. */
class Inbox {
  readonly deliveries: Delivery[] = [];
  #waiting: { readonly count: number; readonly resolve: () => void }[] = [];

  readonly onDelivery = (delivery: Delivery): void => {
    this.deliveries.push(delivery);
    for (const waiter of this.#waiting) if (this.deliveries.length >= waiter.count) waiter.resolve();
  };

  async until(count: number): Promise<readonly Delivery[]> {
    if (this.deliveries.length < count) {
      const { promise, resolve } = deferred();
      this.#waiting.push({ count, resolve });
      await promise;
    }
    return this.deliveries;
  }
}

async function fill(queue: string, count: number): Promise<void> {
  for (let n = 0; n < count; n++) kit.channel.sendToQueue(queue, Buffer.from(String(n)), { persistent: true });
  // Publishes and this question share a channel, so all of them are there when it is answered.
  await kit.channel.checkQueue(queue);
}

const turn = () => new Promise((resolve) => setImmediate(resolve));
const consumers = async (queue: string) => (await kit.channel.checkQueue(queue)).consumerCount;

test('a delivery carries what was published, and its ack removes it', async () => {
  const { subscriber } = await setup();
  const queue = await kit.queue('one');
  kit.channel.sendToQueue(queue, Buffer.from('{"a":1}'), { messageId: 'm1', headers: { k: 'v' }, appId: 'x' });
  const inbox = new Inbox();
  const subscription = subscribed(subscriber, { queue, prefetch: 10, onDelivery: inbox.onDelivery });
  await subscription.start();
  expect(subscription.isConsuming).toBe(true);
  const [delivery] = await inbox.until(1);
  expect(delivery).toMatchObject({ queue, exchange: '', routingKey: queue, redelivered: false });
  expect(delivery?.body.toString()).toBe('{"a":1}');
  expect(delivery?.properties).toMatchObject({ messageId: 'm1', headers: { k: 'v' }, appId: 'x' });
  expect(delivery?.ack()).toBe(true);
  expect(delivery?.ack()).toBe(false);
  expect(delivery?.release()).toBe(false);
  await subscription.stop();
  expect(await kit.count(queue)).toBe(0);
  expect(subscription.isConsuming).toBe(false);
});

test('a body of many frames, through our publisher, arrives as it was sent', async () => {
  const { connection, subscriber } = await setup();
  const queue = await kit.queue('large');
  const publisher = new BrokerPublisher({ connection });
  cleanups.push(() => publisher.stop());
  await publisher.start();
  const inbox = new Inbox();
  await subscribed(subscriber, { queue, prefetch: 10, onDelivery: inbox.onDelivery }).start();
  const bodies = [0, 1, 16_384, 16_385, 131_064, 131_065, 3_000_000].map((size) => randomBytes(size));
  for (const body of bodies) await publisher.publish({ exchange: '', routingKey: queue, body, properties: {} });
  const arrived = await inbox.until(bodies.length);
  expect(arrived.map(({ body }) => bodies.findIndex((sent) => sent.equals(body)))).toEqual(bodies.map((_, i) => i));
});

test('a connection on which nothing comes but deliveries is alive: its heartbeats are not missed', async () => {
  const log = new LogLines();
  const connection = new BrokerConnection({ name: 'beats', url: testBrokerUrl(), heartbeatMs: 1_000, logger: log });
  cleanups.push(() => connection.stop());
  await connection.start();
  const queue = await kit.queue('beats');
  const inbox = new Inbox();
  const subscription = subscribed(new BrokerSubscriber({ connection, logger: log }), {
    queue,
    prefetch: 100,
    onDelivery: inbox.onDelivery,
  });
  await subscription.start();
  // The broker sends no heartbeats while it sends anything else; amqplib gives up after two seconds of silence.
  for (let sent = 1; sent <= 40; sent++) {
    kit.channel.sendToQueue(queue, Buffer.from(String(sent)));
    await inbox.until(sent);
    await sleep(100);
  }
  expect(connection.stats.reconnects).toBe(0);
  expect(subscription.isConsuming).toBe(true);
});

test('at most prefetch deliveries are unsettled at once', async () => {
  const { subscriber } = await setup();
  const queue = await kit.queue('prefetch');
  await fill(queue, 20);
  const inbox = new Inbox();
  const subscription = subscribed(subscriber, { queue, prefetch: 5, onDelivery: inbox.onDelivery });
  await subscription.start();
  await inbox.until(5);
  await kit.channel.checkQueue(queue);
  expect(inbox.deliveries).toHaveLength(5);
  for (const delivery of inbox.deliveries.slice(0, 3)) delivery.ack();
  await inbox.until(8);
});

test.each(['classic', 'quorum'])(
  '10,000 deliveries of a %s queue finished in random order are each acked once',
  async (type) => {
    const { subscriber, log } = await setup();
    const queue = await kit.queue(`random-${type}`, { 'x-queue-type': type });
    await fill(queue, 10_000);
    const done = deferred();
    const seen = new Set<string>();
    const held: Delivery[] = [];
    const finishSome = () => {
      for (let each = Math.ceil(Math.random() * 20); each > 0 && held.length > 0; each--) {
        const [delivery] = held.splice(Math.floor(Math.random() * held.length), 1);
        // One in twenty is given back instead, and comes again.
        if (Math.random() < 0.05 && !delivery?.redelivered) expect(delivery?.release()).toBe(true);
        else {
          expect(delivery?.ack()).toBe(true);
          seen.add(String(delivery?.body));
        }
      }
      if (seen.size === 10_000) done.resolve();
      else setImmediate(finishSome);
    };
    const onDelivery = (delivery: Delivery) => void held.push(delivery);
    const subscription = subscribed(subscriber, { queue, prefetch: 200, onDelivery });
    await subscription.start();
    finishSome();
    await done.promise;
    await subscription.stop();
    expect(await kit.count(queue)).toBe(0);
    expect(subscriber.stats).toMatchObject({ acked: 10_000, staleSettles: 0, resubscribes: 0 });
    expect(log.count('not consuming')).toBe(0);
  },
);

test('after a cut the deliveries of before are lost: their settles send nothing, and they come again', async () => {
  const { proxy, subscriber, log, connection } = await setup();
  const queue = await kit.queue('stale', { 'x-queue-type': 'quorum' });
  await fill(queue, 10);
  const inbox = new Inbox();
  const subscription = subscribed(subscriber, { queue, prefetch: 10, onDelivery: inbox.onDelivery });
  await subscription.start();
  const before = [...(await inbox.until(10))];
  const lost = deferred();
  before[0]?.lost.addEventListener('abort', () => lost.resolve());
  proxy.cut();
  await lost.promise;
  expect(subscription.isConsuming).toBe(false);
  expect(before.map((delivery, n) => (n % 2 ? delivery.ack() : delivery.release()))).toEqual(Array(10).fill(false));
  const again = (await inbox.until(20)).slice(10);
  // An ack of an old tag on the new channel would settle another message, or close it with 406.
  expect(before.map((delivery) => delivery.ack())).toEqual(Array(10).fill(false));
  expect(again.every(({ redelivered }) => redelivered)).toBe(true);
  expect(again.map((delivery) => delivery.ack())).toEqual(Array(10).fill(true));
  await subscription.stop();
  expect(await kit.count(queue)).toBe(0);
  expect(subscriber.stats.staleSettles).toBe(20);
  expect(log.count('closed the channel')).toBe(0);
  expect(connection.stats.reconnects).toBe(1);
});

test('a queue deleted under its consumer is made again and consumed within 5 s, by one consumer', async () => {
  const queue = kit.queueName('deleted');
  const make = async () => {
    await kit.channel.assertQueue(queue, { durable: true, arguments: { 'x-queue-type': 'quorum' } });
  };
  await make();
  const { subscriber, log } = await setup({ ensureTopology: make });
  const inbox = new Inbox();
  const subscription = subscribed(subscriber, { queue, prefetch: 10, onDelivery: inbox.onDelivery });
  await subscription.start();
  await fill(queue, 3);
  const held = [...(await inbox.until(3))];
  const before = performance.now();
  await kit.channel.deleteQueue(queue);
  await log.seen('consuming again');
  expect(performance.now() - before).toBeLessThan(5_000);
  expect(subscription.isConsuming).toBe(true);
  await fill(queue, 1);
  const [, , , fresh] = await inbox.until(4);
  // Their queue has gone with them; settling them must not harm the channel.
  for (const delivery of held) delivery.ack();
  expect(fresh?.ack()).toBe(true);
  await turn();
  expect(await consumers(queue)).toBe(1);
  await subscription.stop();
  expect(await kit.count(queue)).toBe(0);
  expect(log.count('closed the channel')).toBe(0);
  expect(subscriber.stats.resubscribes).toBe(1);
});

test('a queue that is missing is waited for, and that is said once', async () => {
  const { subscriber, log } = await setup();
  const queue = kit.queueName('late');
  const inbox = new Inbox();
  const subscription = subscribed(subscriber, { queue, prefetch: 10, onDelivery: inbox.onDelivery });
  const started = subscription.start();
  await log.seen('not consuming');
  await turn();
  expect(subscription.state).toBe('starting');
  await kit.queue('late');
  await started;
  expect(subscription.isConsuming).toBe(true);
  expect(log.count('not consuming')).toBe(1);
  expect(log.lines.find(({ text }) => text.includes('not consuming'))?.fields).toMatchObject({
    problem: expect.stringContaining('no queue'),
  });
});

test('a queue that another consumer has for itself is waited for', async () => {
  const { subscriber, log } = await setup();
  const queue = await kit.queue('exclusive');
  const { consumerTag } = await kit.channel.consume(queue, () => undefined, { exclusive: true });
  const subscription = subscribed(subscriber, { queue, prefetch: 1, onDelivery: () => undefined });
  const started = subscription.start();
  await log.seen('not consuming');
  await kit.channel.cancel(consumerTag);
  await started;
  expect(subscription.isConsuming).toBe(true);
});

test('an onDelivery that throws gives its message back, and the channel stays open', async () => {
  const { subscriber, log } = await setup();
  const queue = await kit.queue('throws');
  await fill(queue, 1);
  const inbox = new Inbox();
  let isFirst = true;
  const onDelivery = (delivery: Delivery) => {
    if (isFirst) {
      isFirst = false;
      throw new Error('of the caller');
    }
    inbox.onDelivery(delivery);
  };
  await subscribed(subscriber, { queue, prefetch: 1, onDelivery }).start();
  const [delivery] = await inbox.until(1);
  expect(delivery).toMatchObject({ redelivered: true });
  expect(delivery?.ack()).toBe(true);
  expect(log.count('onDelivery failed')).toBe(1);
  expect(log.count('not consuming')).toBe(0);
});

test('after pause no delivery comes, and acks still go through', async () => {
  const { subscriber } = await setup();
  const queue = await kit.queue('pause');
  await fill(queue, 10);
  const inbox = new Inbox();
  const subscription = subscribed(subscriber, { queue, prefetch: 4, onDelivery: inbox.onDelivery });
  await subscription.start();
  await inbox.until(4);
  await subscription.pause();
  const { length } = inbox.deliveries;
  expect(await consumers(queue)).toBe(0);
  for (const delivery of inbox.deliveries) expect(delivery.ack()).toBe(true);
  await subscription.pause();
  await subscription.stop();
  expect(inbox.deliveries).toHaveLength(length);
  expect(await kit.count(queue)).toBe(10 - length);
  await subscription.start();
  expect(subscription.isConsuming).toBe(true);
});

test('stop gives back what has no outcome', async () => {
  const { subscriber } = await setup();
  const queue = await kit.queue('giveback');
  await fill(queue, 5);
  const inbox = new Inbox();
  const subscription = subscribed(subscriber, { queue, prefetch: 5, onDelivery: inbox.onDelivery });
  await subscription.start();
  const [first, second] = await inbox.until(5);
  first?.ack();
  await subscription.stop();
  expect(second?.lost.aborted).toBe(true);
  expect(second?.ack()).toBe(false);
  expect(await kit.count(queue)).toBe(4);
});

test.each(['classic', 'quorum'])(
  'a single active consumer of a %s queue that stops gives back before the next begins',
  async (type) => {
    const { subscriber, log } = await setup();
    const queue = await kit.queue(`sac-${type}`, { 'x-queue-type': type, 'x-single-active-consumer': true });
    await fill(queue, 200);
    const [first, second] = [new Inbox(), new Inbox()];
    const options = { queue, prefetch: 20, isSingleActive: true };
    const leaving = subscribed(subscriber, { ...options, onDelivery: first.onDelivery });
    await leaving.start();
    const coming = subscribed(subscriber, {
      ...options,
      onDelivery: (delivery) => {
        second.onDelivery(delivery);
        delivery.ack();
      },
    });
    await coming.start();
    for (const delivery of (await first.until(20)).slice(0, 5)) delivery.ack();
    await leaving.stop();
    const bodies = (await second.until(195)).map(({ body }) => Number(body));
    expect(bodies).toEqual(Array.from({ length: 195 }, (_, n) => n + 5));
    expect(log.count('not consuming')).toBe(0);
  },
);

test('ten cuts under load lose nothing', async () => {
  const { proxy, subscriber, connection } = await setup();
  const queue = await kit.queue('cuts', { 'x-queue-type': 'quorum' });
  await fill(queue, 3_000);
  const done = deferred();
  const acked = new Set<string>();
  let cuts = 0;
  const onDelivery = (delivery: Delivery) => {
    setImmediate(() => {
      if (delivery.ack()) acked.add(String(delivery.body));
      if (acked.size > (cuts + 1) * 200 && cuts < 10) {
        cuts += 1;
        proxy.cut();
      }
      if (acked.size === 3_000) done.resolve();
    });
  };
  const subscription = subscribed(subscriber, { queue, prefetch: 100, onDelivery });
  await subscription.start();
  await done.promise;
  await subscription.stop();
  expect(cuts).toBe(10);
  expect(connection.stats.reconnects).toBeGreaterThan(0);
  // An ack may be lost with its connection: then its message is still there, and none else.
  const left = await kit.drain(queue);
  expect(left.every((body) => acked.has(body))).toBe(true);
});

test('take gets one message, whose ack removes it; undefined from an empty queue; an error from none', async () => {
  const { subscriber } = await setup();
  const queue = await kit.queue('take', { 'x-queue-type': 'quorum' });
  expect(await subscriber.take(queue)).toBeUndefined();
  await fill(queue, 2);
  const first = await subscriber.take(queue);
  const second = await subscriber.take(queue);
  expect([String(first?.body), String(second?.body)]).toEqual(['0', '1']);
  expect(first?.ack()).toBe(true);
  expect(first?.ack()).toBe(false);
  expect(second?.release()).toBe(true);
  const again = await subscriber.take(queue);
  expect(again).toMatchObject({ redelivered: true });
  expect(again?.ack()).toBe(true);
  await expect(subscriber.take(`${queue}.none`)).rejects.toMatchObject({ code: 'SVC_COMM_QUEUE_UNAVAILABLE' });
});

test('a prefetch that AMQP cannot carry is refused', async () => {
  const { subscriber } = await setup();
  for (const prefetch of [0, -1, 1.5, 65_536, Number.NaN]) {
    expect(() => subscriber.subscribe({ queue: 'q', prefetch, onDelivery: () => undefined })).toThrow(/prefetch/);
  }
});

test('start and stop may cross in any way, and leave no consumer behind', async () => {
  const { subscriber } = await setup();
  const queue = await kit.queue('stress');
  await stressService(() => subscriber.subscribe({ queue, prefetch: 10, onDelivery: (each) => void each.ack() }));
  expect(await consumers(queue)).toBe(0);
});
