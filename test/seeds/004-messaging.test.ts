import type { ConsumeMessage } from 'amqplib';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { commandConsumer } from '../../src/router/command-consumer.ts';
import { eventConsumer } from '../../src/router/event-consumer.ts';
import { MessageRouter } from '../../src/router/router.ts';
import { topologySpec } from '../../src/settings/parts.ts';
import { resolveSettings } from '../../src/settings/resolve.ts';
import { deferred } from '../../src/util/deferred.ts';
import { until } from '../support/consumer-kit.ts';
import { ServiceKit } from '../support/service-kit.ts';

// Each title quotes the line of seeds/004-django-microservices-communication.md that it holds.

let kit: ServiceKit;
beforeAll(async () => {
  kit = await ServiceKit.open('seed004');
  await kit.service('migrations').migrate();
});
afterAll(() => kit.close());

const SETTINGS = {
  appId: 'my-service',
  brokerUrl: 'amqp://guest:guest@localhost:5672',
  queue: 'my-queue',
  exchanges: ['my-exchange1', ['my-other-exchange', 'fanout'], 'exchange3'],
  binds: [['my-exchange1', 'event.*'], 'my-other-exchange'],
} as const;

test("MICROSERVICES_COMMUNICATION_SETTINGS = { 'APP_ID', 'BROKER_CONNECTION_URL', 'QUEUE', 'EXCHANGES', 'BINDS' }", () => {
  const settings = resolveSettings(SETTINGS);
  expect(settings).toMatchObject({
    appId: 'my-service',
    brokerUrls: [SETTINGS.brokerUrl],
    queue: { name: 'my-queue' },
  });
});

test("- exchange type - _topic_ … ('my-other-exchange', 'fanout')", () => {
  expect(topologySpec(resolveSettings(SETTINGS), []).exchanges).toEqual([
    { name: 'my-exchange1', type: 'topic' },
    { name: 'my-other-exchange', type: 'fanout' },
    { name: 'exchange3', type: 'topic' },
  ]);
});

test("- bind routing key - _'#'_", () => {
  expect(topologySpec(resolveSettings(SETTINGS), []).binds).toEqual([
    { exchange: 'my-exchange1', pattern: 'event.*' },
    { exchange: 'my-other-exchange', pattern: '#' },
  ]);
});

test("@message_router.consumer('my-exchange1', 'event.update') … @message_router.consumer() … def stupid_consume_function(routing_key, body)", () => {
  const router = new MessageRouter();
  class Consumers {
    @router.consumer('my-exchange1', 'event.update')
    @router.consumer('my-exchange1', 'event.create')
    @router.consumer('my-other-exchange')
    @router.consumer()
    static stupidConsumeFunction(_routingKey: string, _body: unknown) {}

    @router.defaultConsumer
    static notRouted(_routingKey: string, _body: unknown) {}
  }
  const taker = (exchange: string, key: string) => router.explain(exchange, key).taken?.level;
  expect(Consumers).toBeDefined();
  expect(taker('my-exchange1', 'event.update')).toBe('key');
  expect(taker('my-exchange1', 'event.create')).toBe('key');
  expect(taker('my-other-exchange', 'whatever')).toBe('exchange');
  expect(taker('a-third', 'whatever')).toBe('any');
});

test('@message_router.default_consumer  # For get message not routed to other consumers', async () => {
  const service = kit.service('default');
  const { appId } = service.settings;
  const taken: unknown[] = [];
  service.messageRouter.consumer(appId, 'event.update')(async () => undefined);
  service.messageRouter.defaultConsumer(async (routingKey, body) => {
    taken.push([routingKey, body]);
  });
  await service.consumer().start();
  await kit.channel.bindQueue(appId, appId, '#');
  kit.channel.publish(appId, 'other', Buffer.from('{"a":1}'), { messageId: `${appId}-1` });
  await until(() => taken.length === 1);
  expect(taken).toEqual([['other', { a: 1 }]]);
});

test('@event_consumer … accept only on positional argument _event payload_ and other event data as _kwargs_', async () => {
  const service = kit.service('event');
  const { appId } = service.settings;
  const taken = deferred<unknown[]>();
  service.messageRouter.consumer(
    appId,
    'event.create',
  )(
    eventConsumer(async (payload, { eventId, eventTime, eventType, aggregate }) => {
      taken.resolve([payload, eventId, eventTime.toISOString(), eventType, aggregate]);
    }),
  );
  await service.consumer().start();
  const event = { eventId: '2', eventTime: '2023-06-02T10:58:58.340174Z', eventType: 'event.create', aggregate: appId };
  kit.channel.publish(appId, 'event.create', Buffer.from(JSON.stringify({ ...event, payload: { id: 1 } })));
  expect(await taken.promise).toEqual([{ id: 1 }, '2', '2023-06-02T10:58:58.340Z', 'event.create', appId]);
});

/** What arrives on an exchange, for those who look at the wire. */
async function wiretap(exchange: string): Promise<{ readonly arrived: Promise<ConsumeMessage> }> {
  await kit.channel.assertExchange(exchange, 'topic', { durable: true });
  await kit.channel.assertQueue(exchange, { durable: true });
  await kit.channel.bindQueue(exchange, exchange, '#');
  const arrived = deferred<ConsumeMessage>();
  await kit.channel.consume(exchange, (message) => message && arrived.resolve(message), { noAck: true });
  return { arrived: arrived.promise };
}

test("publish_aggregate_event(aggregate='user', event_type='update.base', payload=build_user_data(user)) … publish it to the broker in _exchange_ same as aggregate name with _routing key_ same as event type", async () => {
  const service = kit.service('publisher');
  const aggregate = kit.exchangeName('user');
  const { arrived } = await wiretap(aggregate);
  const relay = service.relay();
  await relay.start();
  await service.transaction(async (trx) => {
    await trx.raw('SELECT 1');
    await service.publishAggregateEvent({ aggregate, eventType: 'update.base', payload: { name: 'new' } });
  });
  const { fields, content } = await arrived;
  expect([fields.exchange, fields.routingKey]).toEqual([aggregate, 'update.base']);
  const body = JSON.parse(content.toString());
  // { "eventId": "2", "eventTime": "2023-06-02T10:58:58.340174Z", "eventType", "aggregate", "payload" }
  expect(Object.keys(body)).toEqual(['eventId', 'eventTime', 'eventType', 'aggregate', 'payload']);
  expect(body).toMatchObject({ eventType: 'update.base', aggregate, payload: { name: 'new' } });
  expect(body.eventTime).toMatch(/^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{1,6}Z$/);
  await relay.stop();
});

test("send_command('sms', {'phone': '998990000000', 'text': 'Hello world!'})", async () => {
  const service = kit.service('sender');
  const sms = kit.exchangeName('sms');
  const { arrived } = await wiretap(sms);
  await service.sendCommand(sms, { phone: '998990000000', text: 'Hello world!' });
  const { fields, content, properties } = await arrived;
  expect([fields.exchange, fields.routingKey]).toEqual([sms, '']);
  expect(JSON.parse(content.toString())).toEqual({ phone: '998990000000', text: 'Hello world!', meta: {} });
  expect(properties.appId).toBe(service.settings.appId);
});

test('You can set timeout in seconds for command executing, this means that the executor of the command should not execute it if the specified time has passed since the time it was sent', async () => {
  const service = kit.service('timely');
  const { appId } = service.settings;
  const taken: unknown[] = [];
  service.messageRouter.consumer(appId)(commandConsumer(async (args) => void taken.push(args)));
  const consumer = service.consumer();
  await consumer.start();
  await consumer.stop();
  // The first one connects, which may take longer than the other may wait.
  await service.sendCommand(appId, { n: 2 }, { timeout: 30 });
  await service.sendCommand(appId, { n: 1 }, { timeout: 1 });
  await new Promise((resolve) => setTimeout(resolve, 1_100));
  const again = service.consumer();
  await again.start();
  await until(() => again.stats.expired === 1 && again.stats.handled === 1);
  expect(taken).toEqual([{ n: 2 }]);
});

test('If remote service has any commands, you may want to use optional argument _command_name_.', async () => {
  const service = kit.service('named');
  const sms = kit.exchangeName('sms.named');
  const { arrived } = await wiretap(sms);
  await service.sendCommand(sms, {}, { commandName: 'cancel' });
  expect((await arrived).fields.routingKey).toBe('cancel');
});
