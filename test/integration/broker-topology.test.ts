import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { BrokerConnection } from '../../src/broker/connection.ts';
import { BrokerTopology } from '../../src/broker/topology.ts';
import { TopologyMismatchError } from '../../src/errors.ts';
import { type DeclareMode, deadQueueName, retryQueueName, type TopologySpec } from '../../src/message/topology.ts';
import { BrokerKit } from '../support/broker-kit.ts';
import { testBrokerUrl } from '../support/servers.ts';
import { TcpProxy } from '../support/tcp-proxy.ts';

let kit: BrokerKit;
let connection: BrokerConnection;
beforeAll(async () => {
  kit = await BrokerKit.open('top');
  connection = new BrokerConnection({ name: 'topology', url: testBrokerUrl() });
  await connection.start();
});
afterAll(async () => {
  await connection.stop();
  await kit.close();
});

const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

const topology = (declare: DeclareMode, over = connection) => new BrokerTopology({ connection: over, declare });

interface Wanted {
  readonly type?: 'quorum' | 'classic';
  readonly delays?: readonly number[];
  readonly singleActiveConsumer?: boolean;
}

function spec(
  suffix: string,
  { type = 'quorum', delays = [1_000, 5_000], singleActiveConsumer = false }: Wanted = {},
): TopologySpec {
  const name = kit.queueName(suffix);
  kit.queueName(`${suffix}.dead`);
  for (const delayMs of delays) kit.queueName(`${suffix}.retry.${delayMs}`);
  const [user, audit] = [kit.exchangeName(`${suffix}.user`), kit.exchangeName(`${suffix}.audit`)];
  return {
    exchanges: [
      { name: user, type: 'topic' },
      { name: audit, type: 'fanout' },
    ],
    queue: { name, type, singleActiveConsumer, arguments: {} },
    binds: [
      { exchange: user, pattern: 'event.*' },
      { exchange: audit, pattern: '#' },
      { exchange: kit.exchangeName(`${suffix}.unlisted`), pattern: 'a.#' },
    ],
    retryDelaysMs: [...delays, ...delays],
  };
}

const mismatch = async (ensuring: Promise<void>): Promise<TopologyMismatchError> => {
  const error = await ensuring.catch((thrown: unknown) => thrown);
  if (error instanceof TopologyMismatchError) return error;
  throw new Error(`expected a mismatch, got ${error}`);
};

test.each(['quorum', 'classic'] as const)(
  'create makes everything for a %s queue, and a second time changes nothing',
  async (type) => {
    const wanted = spec(`create-${type}`, { type });
    const { name } = wanted.queue;
    await topology('create').ensure(wanted);
    await topology('create').ensure(wanted);
    await topology('verify').ensure(wanted);
    // Plain amqplib declares each with the arguments of the design: a difference would be a 406.
    const strategy = { 'x-dead-letter-strategy': 'at-least-once', 'x-overflow': 'reject-publish' };
    for (const delayMs of [1_000, 5_000]) {
      await kit.channel.assertQueue(retryQueueName(name, delayMs), {
        durable: true,
        arguments: {
          'x-queue-type': type,
          'x-message-ttl': delayMs,
          'x-dead-letter-exchange': '',
          'x-dead-letter-routing-key': name,
          ...(type === 'quorum' ? strategy : {}),
        },
      });
    }
    for (const queue of [name, deadQueueName(name)]) {
      await kit.channel.assertQueue(queue, { durable: true, arguments: { 'x-queue-type': type } });
    }
    for (const [exchange, kind] of [
      ['user', 'topic'],
      ['audit', 'fanout'],
      ['unlisted', 'topic'],
    ] as const) {
      await kit.channel.assertExchange(`${name}.${exchange}`, kind, { durable: true });
    }
    kit.channel.publish(`${name}.user`, 'event.created', Buffer.from('1'));
    kit.channel.publish(`${name}.user`, 'other.created', Buffer.from('2'));
    kit.channel.publish(`${name}.audit`, 'x', Buffer.from('3'));
    kit.channel.publish(`${name}.unlisted`, 'a.b.c', Buffer.from('4'));
    expect((await kit.drain(name)).toSorted()).toEqual(['1', '3', '4']);
  },
);

test('a message in a retry queue is back in the work queue after its delay', async () => {
  const wanted = spec('retry', { delays: [50] });
  await topology('create').ensure(wanted);
  const { name } = wanted.queue;
  kit.channel.sendToQueue(retryQueueName(name, 50), Buffer.from('later'), { persistent: true });
  const got = new Promise<string>((resolve) => {
    void kit.channel.consume(name, (each) => each && resolve(each.content.toString()), { noAck: true });
  });
  expect(await got).toBe('later');
});

test('several processes may create at the same time', async () => {
  const wanted = spec('together');
  await Promise.all(Array.from({ length: 5 }, () => topology('create').ensure(wanted)));
  await topology('verify').ensure(wanted);
});

test('create names every difference at once, readably, and makes nothing', async () => {
  const wanted = spec('differs', { singleActiveConsumer: true });
  const { name } = wanted.queue;
  await kit.channel.assertExchange(`${name}.user`, 'direct', { durable: true });
  await kit.channel.assertQueue(name, { durable: true, arguments: { 'x-queue-type': 'classic' } });
  await kit.channel.assertQueue(retryQueueName(name, 1_000), {
    durable: true,
    arguments: { 'x-queue-type': 'quorum', 'x-message-ttl': 2_000 },
  });
  const error = await mismatch(topology('create').ensure(wanted));
  const [queue, retry] = [`queue "${name}"`, `queue "${name}.retry.1000"`];
  expect(error.differences.map(({ what, wanted, found }) => `${what}: ${wanted}, ${found}`).toSorted()).toEqual([
    `exchange "${name}.user": type = topic, type = direct`,
    `${queue}: x-queue-type = quorum, x-queue-type = classic`,
    `${queue}: x-single-active-consumer = true, x-single-active-consumer = none`,
    `${retry}: x-dead-letter-exchange = '', x-dead-letter-exchange = none`,
    `${retry}: x-dead-letter-routing-key = ${name}, x-dead-letter-routing-key = none`,
    `${retry}: x-dead-letter-strategy = at-least-once, x-dead-letter-strategy = none`,
    `${retry}: x-message-ttl = 1000, x-message-ttl = 2000`,
    `${retry}: x-overflow = reject-publish, x-overflow = none`,
  ]);
  for (const { todo } of error.differences) expect(todo).toMatch(/delete/);
  expect(await kit.exists('exchange', `${name}.audit`)).toBe(false);
  expect(await kit.exists('queue', deadQueueName(name))).toBe(false);
  expect(connection.connectionState).toBe('open');
});

test('verify lists everything that is missing at once, and makes nothing', async () => {
  const wanted = spec('missing');
  const { name } = wanted.queue;
  await kit.channel.assertQueue(deadQueueName(name), { durable: true, arguments: { 'x-queue-type': 'quorum' } });
  const error = await mismatch(topology('verify').ensure(wanted));
  expect(error.differences.map(({ what, found }) => `${what}: ${found}`).toSorted()).toEqual([
    `exchange "${name}.audit": nothing`,
    `exchange "${name}.unlisted": nothing`,
    `exchange "${name}.user": nothing`,
    `queue "${name}": nothing`,
    `queue "${name}.retry.1000": nothing`,
    `queue "${name}.retry.5000": nothing`,
  ]);
  expect(error.message).toContain("set declare to 'create'");
  expect(await kit.exists('queue', name)).toBe(false);
});

test('none asks the broker nothing', async () => {
  const idle = new BrokerConnection({ name: 'idle', url: testBrokerUrl() });
  await topology('none', idle).ensure(spec('none'));
  await expect(topology('create', idle).ensure(spec('none'))).rejects.toMatchObject({ code: 'SVC_COMM_NOT_RUNNING' });
});

test('a queue that is reserved, or declared with nonsense, is told with the words of the broker', async () => {
  const wanted = spec('nonsense', { delays: [] });
  const wrong = { ...wanted, queue: { ...wanted.queue, arguments: { 'x-max-length': -1 } } };
  const error = await mismatch(topology('create').ensure(wrong));
  expect(error.differences).toMatchObject([{ found: expect.stringContaining("invalid arg 'x-max-length'") }]);
});

test('a connection lost while declaring is waited for, and all of it is done again', async () => {
  const proxy = await TcpProxy.to(testBrokerUrl());
  cleanups.push(() => proxy.close());
  const over = new BrokerConnection({
    name: 'cut',
    url: proxy.url(testBrokerUrl()),
    backoff: { initialMs: 10, maxMs: 50 },
  });
  cleanups.push(() => over.stop());
  await over.start();
  const wanted = spec('cut');
  proxy.holdToClient();
  const ensuring = topology('create', over).ensure(wanted);
  await new Promise((resolve) => setImmediate(resolve));
  proxy.cut();
  proxy.heal();
  await ensuring;
  await topology('verify').ensure(wanted);
});
