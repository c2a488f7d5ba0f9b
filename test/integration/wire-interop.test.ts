import { readFileSync } from 'node:fs';
import { type ChannelModel, connect } from 'amqplib';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createService, type SvcCommService } from '../../src/assemble.ts';
import { silentLogger } from '../../src/lifecycle/logger.ts';
import { eventConsumer } from '../../src/router/event-consumer.ts';
import { deferred } from '../../src/util/deferred.ts';
import type { EventInfo } from '../../src/wire/event.ts';
import { testBrokerUrl, testDatabaseUrl, uniqueName } from '../support/servers.ts';

const schema = uniqueName('interop');
const name = uniqueName('interop');
let service: SvcCommService;
let plain: ChannelModel;

beforeAll(async () => {
  const options = { appId: name, brokerUrl: testBrokerUrl(), databaseUrl: testDatabaseUrl(), schema, queue: name };
  service = createService({ ...options, retry: { attempts: 1 } }, { logger: silentLogger });
  plain = await connect(testBrokerUrl());
  await service.migrate();
});

afterAll(async () => {
  await service.close();
  const channel = await plain.createChannel();
  await channel.deleteQueue(name);
  await channel.deleteQueue(`${name}.dead`);
  await channel.deleteExchange(name);
  await plain.close();
  const client = new pg.Client(testDatabaseUrl());
  await client.connect();
  await client.query(`DROP SCHEMA "${schema}" CASCADE`);
  await client.end();
});

test('an event that a Python peer published, byte for byte as recorded, reaches the handler', async () => {
  const taken = deferred<{ payload: unknown; event: EventInfo; correlationId: string | undefined }>();
  service.messageRouter.consumer(
    name,
    'update.*',
  )(
    eventConsumer(async (payload: unknown, event, { correlationId }) =>
      taken.resolve({ payload, event, correlationId }),
    ),
  );
  await service.consumer().start();
  const file = new URL('../wire/recorded/event.json', import.meta.url);
  const recorded = JSON.parse(readFileSync(file, 'utf8')) as { routing_key: string; body: string };
  const channel = await plain.createConfirmChannel();
  // As the peer does: no message id, text/json, its own app id.
  channel.publish(name, recorded.routing_key, Buffer.from(recorded.body), {
    contentType: 'text/json',
    deliveryMode: 2,
    appId: 'py-shop',
  });
  await channel.waitForConfirms();
  expect(await taken.promise).toEqual({
    payload: { nested: { lastSeenAt: '2026-01-01' }, userId: 0, firstName: 'Ann' },
    event: {
      eventId: '4',
      eventTime: new Date('2026-11-22T10:36:59.734Z'),
      eventType: 'update.base',
      aggregate: 'user',
    },
    correlationId: undefined,
  });
  await channel.close();
});

test('events of a peer whose ids differ beyond 2^53 only are two, each with its own id', async () => {
  const taken: string[] = [];
  const both = deferred();
  service.messageRouter.consumer(
    name,
    'large.*',
  )(
    eventConsumer(async (_payload: unknown, { eventId }) => {
      taken.push(eventId);
      if (taken.length === 2) both.resolve();
    }),
  );
  const channel = await plain.createConfirmChannel();
  await channel.bindQueue(name, name, 'large.*');
  for (const id of ['9007199254740992', '9007199254740993']) {
    const body = `{"eventId": ${id}, "eventTime": "2026-11-22T10:36:59.734Z", "eventType": "large.id", "aggregate": "user", "payload": {}}`;
    channel.publish(name, 'large.id', Buffer.from(body), { contentType: 'text/json', appId: 'py-shop' });
  }
  await channel.waitForConfirms();
  await both.promise;
  expect(taken.toSorted()).toEqual(['9007199254740992', '9007199254740993']);
  await channel.close();
});

test('an event of ours is exactly the documented envelope, judged by amqplib and JSON alone', async () => {
  const channel = await plain.createChannel();
  await channel.assertExchange(name, 'topic', { durable: true });
  const { queue } = await channel.assertQueue('', { exclusive: true });
  await channel.bindQueue(queue, name, 'seen.*');
  const seen = deferred<import('amqplib').ConsumeMessage>();
  await channel.consume(queue, (message) => message && seen.resolve(message), { noAck: true });

  const payload = { user_id: 7, nestedKey: { 'a b': 'ä€😀', 'null-char': '\u0000' }, list: [1, 2.5, null, true] };
  const before = Date.now();
  const { eventId } = await service.transaction(() =>
    service.publishAggregateEvent({ aggregate: name, eventType: 'seen.base', payload, key: '7' }),
  );
  const relay = service.relay();
  await relay.start();
  const { content, fields, properties } = await seen.promise;
  await relay.stop();

  const body = JSON.parse(content.toString('utf8'));
  expect(Object.keys(body)).toEqual(['eventId', 'eventTime', 'eventType', 'aggregate', 'payload']);
  expect(body).toMatchObject({ eventId, eventType: 'seen.base', aggregate: name, payload });
  // The Python peer's parser: strptime with %Y-%m-%dT%H:%M:%S.%fZ.
  expect(body.eventTime).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{1,6}Z$/);
  expect(Date.parse(body.eventTime)).toBeGreaterThanOrEqual(before - 1);
  expect(fields).toMatchObject({ exchange: name, routingKey: 'seen.base' });
  expect(properties).toMatchObject({
    contentType: 'application/json',
    deliveryMode: 2,
    messageId: eventId,
    appId: name,
    headers: { 'svc-comm-key': '7' },
  });
  expect(eventId).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  expect(Math.abs((properties.timestamp as number) * 1000 - before)).toBeLessThan(60_000);
  expect(properties.correlationId).toBeUndefined();
  await channel.close();
});
