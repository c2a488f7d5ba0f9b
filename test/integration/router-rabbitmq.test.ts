import { once } from 'node:events';
import { type Channel, type ChannelModel, type ConsumeMessage, connect } from 'amqplib';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { MessageRouter } from '../../src/router/router.ts';
import { matchesTopic, parseTopicPattern } from '../../src/util/topic-pattern.ts';
import { testBrokerUrl, uniqueName } from '../support/servers.ts';
import { arbitraryKey, arbitraryPatterns } from '../support/topic-oracle.ts';

const exchange = uniqueName('router');
let connection: ChannelModel;
let channel: Channel;

beforeAll(async () => {
  connection = await connect(testBrokerUrl());
  channel = await connection.createChannel();
  await channel.assertExchange(exchange, 'topic', { durable: false });
});

afterAll(async () => {
  await channel.deleteExchange(exchange);
  await connection.close();
});

const sample = <T>(arbitrary: fc.Arbitrary<T>, count: number): T[] => [...new Set(fc.sample(arbitrary, count))];

/** The keys that the broker put into the queue, up to a last message sent past the exchange. */
async function received(queue: string): Promise<Set<string>> {
  const keys = new Set<string>();
  let end: (() => void) | undefined;
  const ended = new Promise<void>((resolve) => {
    end = resolve;
  });
  await channel.consume(
    queue,
    (message: ConsumeMessage | null) => {
      if (message?.fields.exchange === exchange) keys.add(message.fields.routingKey);
      else end?.();
    },
    { noAck: true },
  );
  channel.sendToQueue(queue, Buffer.from('end'));
  await ended;
  return keys;
}

test('patterns match exactly the keys that RabbitMQ routes by them, and the router picks one of those', async () => {
  const patterns = [...new Set(sample(arbitraryPatterns(), 30).flat())].slice(0, 120);
  const keys = sample(arbitraryKey(), 600);
  const queues = new Map<string, string>();
  for (const pattern of patterns) {
    const { queue } = await channel.assertQueue('', { exclusive: true });
    await channel.bindQueue(queue, exchange, pattern);
    queues.set(pattern, queue);
  }
  for (const key of keys) if (!channel.publish(exchange, key, Buffer.from(''))) await once(channel, 'drain');

  const router = new MessageRouter();
  for (const pattern of patterns) router.consumer(exchange, pattern)(() => undefined);
  const routedBy = new Map(keys.map((key) => [key, new Set<string>()]));
  for (const [pattern, queue] of queues) {
    const broker = await received(queue);
    const parsed = parseTopicPattern(pattern);
    const ours = keys.filter((key) => matchesTopic(parsed, key));
    expect([...broker].toSorted(), `pattern ${JSON.stringify(pattern)}`).toEqual(ours.toSorted());
    for (const key of broker) routedBy.get(key)?.add(pattern);
  }
  for (const [key, candidates] of routedBy) {
    const taken = router.resolve(exchange, key)?.pattern;
    expect(taken === undefined ? candidates.size === 0 : candidates.has(taken), `key ${JSON.stringify(key)}`).toBe(
      true,
    );
  }
});

test('a queue bound as the router says gets every message that a consumer of an exchange takes, and no other', async () => {
  const router = new MessageRouter();
  for (const pattern of ['a.*', '#.c', 'b', '']) router.consumer(exchange, pattern)(() => undefined);
  const { queue } = await channel.assertQueue('', { exclusive: true });
  for (const bind of router.bindings()) await channel.bindQueue(queue, bind.exchange, bind.pattern);
  const keys = sample(arbitraryKey(), 200);
  for (const key of keys) channel.publish(exchange, key, Buffer.from(''));
  expect([...(await received(queue))].toSorted()).toEqual(
    keys.filter((key) => router.resolve(exchange, key) !== undefined).toSorted(),
  );
});
