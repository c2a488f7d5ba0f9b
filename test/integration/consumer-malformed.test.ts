import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Consumer } from '../../src/consumer/consumer.ts';
import { FRAME } from '../../src/embedded/broker/frame.ts';
import type { MessageContext } from '../../src/message/handler.ts';
import { HEADER } from '../../src/message/message.ts';
import { eventConsumer } from '../../src/router/event-consumer.ts';
import { ConsumerKit, until } from '../support/consumer-kit.ts';
import { contentHeader, frame, methodFrame, RawPeer } from '../support/raw-amqp.ts';
import { field, header, nestedTable } from '../support/raw-headers.ts';
import { testBrokerUrl } from '../support/servers.ts';

let kit: ConsumerKit;
let consumer: Consumer;
const handled: unknown[] = [];

beforeAll(async () => {
  kit = await ConsumerKit.create();
  kit.router.consumer(
    kit.exchange,
    'raw',
  )(async (_key, body) => {
    handled.push(body);
  });
  kit.router.consumer(
    kit.exchange,
    'event',
  )(
    eventConsumer(async (payload: unknown) => {
      handled.push(payload);
    }),
  );
  consumer = await kit.start();
});
afterAll(() => kit.remove());

const deep = Buffer.from(`${'['.repeat(1e5)}${']'.repeat(1e5)}`);
const manyKeys = Buffer.from(`{${Array.from({ length: 10_001 }, (_, i) => `"k${i}":0`).join(',')}}`);

test.each([
  ['text that is no JSON', 'raw', Buffer.from('{"a":'), {}, 'not-json'],
  ['an empty body', 'raw', Buffer.alloc(0), {}, 'not-json'],
  ['invalid UTF-8', 'raw', Buffer.from([0x22, 0xc3, 0x28, 0x22]), {}, 'not-json'],
  ['nesting 100,000 deep', 'raw', deep, {}, 'too-deep'],
  ['10,001 keys', 'raw', manyKeys, {}, 'too-many-keys'],
  ['a __proto__ key', 'raw', Buffer.from('{"__proto__":{"polluted":1}}'), {}, 'forbidden-key'],
  ['17 MiB', 'raw', Buffer.alloc(17 * 1024 * 1024, 0x20), {}, 'too-large'],
  ['gzip', 'raw', gzipSync('{"a":1}'), { contentEncoding: 'gzip' }, 'encoding'],
  ['an event without an envelope', 'event', Buffer.from('{"a":1}'), {}, 'no-envelope'],
])(
  '%s goes to the dead letters with its bytes and a reason; its neighbours are handled',
  async (_what, routingKey, body, properties, reason) => {
    handled.length = 0;
    const before = consumer.stats;
    kit.send('raw', { neighbour: 1 });
    kit.send(routingKey, body, { 'svc-comm-key': 'k' }, properties);
    kit.send('raw', { neighbour: 2 }, { 'svc-comm-key': 'k' });
    const dead = await kit.nextDead();
    expect(dead.properties.headers).toMatchObject({ [HEADER.reason]: 'malformed', [HEADER.attempt]: 0 });
    expect(dead.properties.headers?.[HEADER.failures]).toContain(reason);
    expect(dead.content.equals(body)).toBe(true);
    await until(() => handled.length === 2 && consumer.stats.inFlight === 0);
    expect(handled).toEqual([{ neighbour: 1 }, { neighbour: 2 }]);
    expect(({} as { polluted?: number }).polluted).toBeUndefined();
    expect(consumer.stats.deadLettered.malformed).toBe(before.deadLettered.malformed + 1);
    expect(consumer.stats.rerunInPlace).toBe(0);
  },
);

test('a body whose content encoding names its character set is read as it is', async () => {
  handled.length = 0;
  kit.send('raw', { a: 'ä' }, {}, { contentEncoding: 'utf-8' });
  await until(() => handled.length === 1);
  expect(handled).toEqual([{ a: 'ä' }]);
});

test('headers that leave no room for ours lose their largest, by name, and the message still gets away', async () => {
  const big = 'x'.repeat(55_000);
  kit.send('raw', Buffer.from('no json'), { big, small: 's', other: 'y'.repeat(7_000) });
  const dead = await kit.nextDead();
  expect(dead.properties.headers).toMatchObject({
    small: 's',
    [HEADER.reason]: 'malformed',
    [HEADER.dropped]: ['big'],
  });
});

test('headers that amqplib fails to put together hold nothing up: a __proto__ of bytes, then a number as a name', async () => {
  handled.length = 0;
  // What is assigned to a number of an object behind which there are bytes becomes a number first, and this cannot.
  const headers = { '1.5': { toString: 1, valueOf: 1 } };
  const hostile = Object.defineProperty({}, '__proto__', { value: Buffer.from('bytes'), enumerable: true });
  kit.channel.publish(kit.exchange, 'raw', Buffer.from('{"hostile":true}'), {
    headers: { ours: Object.assign(hostile, headers) },
  });
  kit.send('raw', { neighbour: 1 });
  await until(() => handled.length === 2);
  expect(handled).toEqual([{ hostile: true }, { neighbour: 1 }]);
  expect(kit.receiving.stats.reconnects).toBe(0);
});

test('a header called __proto__ becomes no prototype: its message is handled, or gets into the dead letters', async () => {
  const table = (name: string, value: unknown) => Object.defineProperty({}, name, { value, enumerable: true });
  const headers: Record<string, unknown> = { ours: table('__proto__', Buffer.from('bytes')) };
  Object.defineProperty(headers, '__proto__', { value: { 'svc-comm-attempt': 7 }, enumerable: true });
  handled.length = 0;
  kit.channel.publish(kit.exchange, 'raw', Buffer.from('{"n":1}'), { headers });
  await until(() => handled.length === 1);
  kit.channel.publish(kit.exchange, 'raw', Buffer.from('no JSON'), { headers });
  const dead = await kit.nextDead();
  expect(dead.properties.headers?.[HEADER.attempt]).toBe(0);
  await until(() => consumer.stats.inFlight === 0);
});

test.each([
  ['tables nested 15,000 deep', nestedTable('n', 15_000)],
  ['an unsigned 64-bit integer', field('n', 'L', Buffer.alloc(8, 0xff))],
])(
  'headers that amqplib cannot read, %s, cost no connection: the message and its neighbours are handled',
  async (_what, headers) => {
    handled.length = 0;
    const { connects } = kit.receiving.stats;
    const other = await RawPeer.open(testBrokerUrl());
    const publish = (text: string) =>
      other.send(
        methodFrame(1, 'basic.publish', {
          ticket: 0,
          exchange: kit.exchange,
          routingKey: 'raw',
          mandatory: false,
          immediate: false,
        }),
        frame(FRAME.header, 1, header(text.length, headers, true)),
        frame(FRAME.body, 1, Buffer.from(text)),
      );
    kit.send('raw', { neighbour: 1 });
    publish('{"n":1}');
    await until(() => handled.length === 2);
    publish('no JSON');
    const dead = await kit.nextDead();
    expect(dead.properties.headers?.[HEADER.failures]).toContain('not-json');
    kit.send('raw', { neighbour: 2 });
    await until(() => handled.length === 3 && consumer.stats.inFlight === 0);
    expect(handled).toEqual(expect.arrayContaining([{ neighbour: 1 }, { n: 1 }, { neighbour: 2 }]));
    expect(kit.receiving.stats.connects).toBe(connects);
    other.close();
  },
);

test('a timestamp in nanoseconds, which no double holds exactly, holds nothing up: the message is tried again, or dead-lettered', async () => {
  const seen: unknown[] = [];
  kit.router.consumer(
    kit.exchange,
    'nanoseconds',
  )(async (_key, _body, { properties, attempt }) => {
    seen.push(properties.timestamp);
    if (attempt === 1) throw new Error('failed');
  });
  const other = await RawPeer.open(testBrokerUrl());
  const timestamp = Buffer.alloc(8);
  timestamp.writeBigUInt64BE(1_764_500_000_123_456_789n);
  const head = Buffer.concat([contentHeader(7).subarray(0, 12), Buffer.from([0x00, 0x40]), timestamp]);
  for (const text of ['{"n":1}', 'no JSON']) {
    other.send(
      methodFrame(1, 'basic.publish', {
        ticket: 0,
        exchange: kit.exchange,
        routingKey: 'nanoseconds',
        mandatory: false,
        immediate: false,
      }),
      frame(FRAME.header, 1, head),
      frame(FRAME.body, 1, Buffer.from(text)),
    );
  }
  const nearest = Number(1_764_500_000_123_456_789n);
  const dead = await kit.nextDead();
  expect(dead.properties.timestamp).toBe(nearest);
  await until(() => seen.length === 2 && consumer.stats.inFlight === 0);
  expect(seen).toEqual([nearest, nearest]);
  other.close();
});

test('properties that are no UTF-8 or no time hold nothing up: the message is tried again with them, or dead-lettered', async () => {
  const seen: MessageContext['properties'][] = [];
  kit.router.consumer(
    kit.exchange,
    'latin',
  )(async (_key, _body, { properties, attempt }) => {
    seen.push(properties);
    if (attempt === 1) throw new Error('failed');
  });
  const other = await RawPeer.open(testBrokerUrl());
  const latin = Buffer.alloc(256, 0xff);
  // correlation-id, reply-to, message-id, timestamp, type, app-id
  const flags = Buffer.from([0x06, 0xe8]);
  const values = Buffer.concat([latin, latin, latin, Buffer.alloc(8, 0xff), latin, latin]);
  const publish = (text: string) =>
    other.send(
      methodFrame(1, 'basic.publish', {
        ticket: 0,
        exchange: kit.exchange,
        routingKey: 'latin',
        mandatory: false,
        immediate: false,
      }),
      frame(FRAME.header, 1, Buffer.concat([contentHeader(text.length).subarray(0, 12), flags, values])),
      frame(FRAME.body, 1, Buffer.from(text)),
    );
  publish('{"n":1}');
  await until(() => seen.length === 2 && consumer.stats.inFlight === 0);
  const text = '\uFFFD'.repeat(255);
  const read = { correlationId: text, replyTo: text, messageId: text, type: text, appId: text, timestamp: 2 ** 64 };
  expect(seen[0]).toMatchObject(read);
  expect(seen[1]).toMatchObject(read);
  publish('no JSON');
  const dead = await kit.nextDead();
  expect(dead.properties.headers?.[HEADER.properties]).toEqual(read);
  await until(() => consumer.stats.inFlight === 0);
  other.close();
});
