import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { BrokerConnection } from '../../src/broker/connection.ts';
import { BrokerPublisher } from '../../src/broker/publisher.ts';
import type { Consumer } from '../../src/consumer/consumer.ts';
import { Reject } from '../../src/errors.ts';
import { deferred } from '../../src/util/deferred.ts';
import { ConsumerKit, until } from '../support/consumer-kit.ts';
import { testBrokerUrl } from '../support/servers.ts';
import { TcpProxy } from '../support/tcp-proxy.ts';

let kit: ConsumerKit;
let consumer: Consumer;
beforeAll(async () => {
  kit = await ConsumerKit.create();
});
const stops: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  await consumer.stop();
  for (const stop of stops.splice(0).toReversed()) await stop();
  await kit.channel.purgeQueue(kit.queue);
});
afterAll(() => kit.remove());

/** A publisher with a wire of its own, which can be lost while the consumer's holds. */
async function publisherApart(): Promise<{ readonly publisher: BrokerPublisher; readonly wire: TcpProxy }> {
  const wire = await TcpProxy.to(testBrokerUrl());
  stops.push(() => wire.close());
  const connection = new BrokerConnection({ name: 'copies', url: wire.url(testBrokerUrl()), closeTimeoutMs: 100 });
  const publisher = new BrokerPublisher({ connection, drainTimeoutMs: 100 });
  await connection.start();
  stops.push(() => connection.stop());
  await publisher.start();
  stops.push(() => publisher.stop());
  return { publisher, wire };
}

test.each([
  ['the next attempt', new Error('again'), 'error'],
  ['the dead letters', new Reject('never'), 'reject'],
])('a message whose copy for %s was lost on its way stays in its queue', async (_, thrown, routingKey) => {
  const { publisher, wire } = await publisherApart();
  kit.router.consumer(
    kit.exchange,
    routingKey,
  )(async () => {
    throw thrown;
  });
  consumer = await kit.start({ parts: { publisher }, options: { graceMs: 100 } });
  wire.fallSilent();
  kit.send(routingKey, {});
  await until(() => publisher.inFlight === 1);
  await consumer.stop();
  wire.cut();
  await expect.poll(() => kit.count(kit.queue)).toBe(1);
});

test('a message whose handler has not returned stays in its queue, though those before and after it are acked', async () => {
  const [prompt, slow] = [deferred(), deferred()];
  kit.router.consumer(
    kit.exchange,
    'slow',
  )(async (_routingKey, body) => {
    await ((body as { n: number }).n === 1 ? slow : prompt).promise;
  });
  consumer = await kit.start({ options: { graceMs: 100 } });
  for (let n = 0; n < 3; n++) kit.send('slow', { n });
  await until(() => consumer.stats.received === 3);
  // Both end in one turn, so that their acks may share a frame.
  prompt.resolve();
  await until(() => consumer.stats.inFlight === 1);
  await consumer.stop();
  slow.resolve();
  await expect.poll(() => kit.count(kit.queue)).toBe(1);
  const left = await kit.channel.get(kit.queue, { noAck: true });
  expect(left && JSON.parse(left.content.toString())).toEqual({ n: 1 });
});
