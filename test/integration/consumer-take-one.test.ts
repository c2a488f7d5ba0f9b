import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { BrokerSubscriber } from '../../src/broker/subscriber.ts';
import { DEFAULT_CONSUMER_OPTIONS } from '../../src/consumer/options.ts';
import { type TakeHandler, takeOne } from '../../src/consumer/take-one.ts';
import { DatabaseUnavailableError, RetryLater } from '../../src/errors.ts';
import type { Inbox } from '../../src/message/inbox.ts';
import { HEADER } from '../../src/message/message.ts';
import type { StartMarks } from '../../src/message/start-marks.ts';
import { eventConsumer } from '../../src/router/event-consumer.ts';
import { deferred } from '../../src/util/deferred.ts';
import { ConsumerKit, until } from '../support/consumer-kit.ts';
import { ServiceKit } from '../support/service-kit.ts';

let kit: ConsumerKit;
const options = {
  ...DEFAULT_CONSUMER_OPTIONS,
  retry: { ...DEFAULT_CONSUMER_OPTIONS.retry, attempts: 3, delaysMs: [60, 120] },
};
beforeAll(async () => {
  kit = await ConsumerKit.create();
  await kit.start({ options }).then((consumer) => consumer.stop());
});
afterAll(() => kit.remove());

function take(handler: TakeHandler, inbox?: Inbox, startMarks?: StartMarks): Promise<unknown> {
  const { topology, publisher } = kit;
  const subscriber = new BrokerSubscriber({ connection: kit.receiving });
  const topologySpec = kit.spec(options);
  return takeOne(handler, { subscriber, publisher, topology, topologySpec, options, inbox, startMarks });
}

/** One that somebody had before: it is suspected of having ended a process. */
async function sendSuspect(): Promise<void> {
  kit.send('take.suspect', { n: 1 });
  await ready(1);
  const delivery = await new BrokerSubscriber({ connection: kit.receiving }).take(kit.queue);
  delivery?.release();
  await ready(1);
}

const down = () => Promise.reject(new DatabaseUnavailableError('postgres://db', 'it restarts'));
const marks = (failing: Partial<StartMarks>): StartMarks => ({
  read: async (keys) => keys.map(() => ({ starts: 0, isReturned: false })),
  begin: async () => undefined,
  end: async () => undefined,
  giveBack: async () => undefined,
  ...failing,
});

const ready = (count: number) => until(async () => (await kit.count(kit.queue)) === count);

test('takeOne gives undefined for an empty queue, and does not call the handler', async () => {
  let calls = 0;
  expect(await take(() => (calls += 1))).toBeUndefined();
  expect(calls).toBe(0);
});

test('takeOne runs the handler on one message, returns its result, and has acked it then', async () => {
  kit.send('take.one', { n: 1 });
  kit.send('take.one', { n: 2 });
  await ready(2);
  const seen = await take(async (routingKey, body, { exchange, attempt }) => ({ routingKey, body, exchange, attempt }));
  expect(seen).toEqual({ routingKey: 'take.one', body: { n: 1 }, exchange: kit.exchange, attempt: 1 });
  await ready(1);
  expect(await take(async (_key, body) => body)).toEqual({ n: 2 });
  await ready(0);
});

test('takeOne throws what the handler threw; the message is retried with delay, then dead-lettered', async () => {
  kit.send('take.fail', { n: 1 });
  await ready(1);
  const attempts: number[] = [];
  const failing: TakeHandler = async (routingKey, _body, { attempt, exchange }) => {
    attempts.push(attempt);
    throw new Error(`${exchange === kit.exchange ? routingKey : 'elsewhere'} ${attempt}`);
  };
  for (const attempt of [1, 2, 3]) {
    await expect(take(failing)).rejects.toThrow(`take.fail ${attempt}`);
    if (attempt < 3) await ready(1);
  }
  expect(attempts).toEqual([1, 2, 3]);
  expect((await kit.nextDead()).properties.headers).toMatchObject({ [HEADER.reason]: 'attempts', [HEADER.attempt]: 3 });
});

test('takeOne reads events, and puts what is none into the dead letters', async () => {
  const event = { eventId: 1, eventTime: '2026-01-01T00:00:00.5Z', eventType: 'e', aggregate: 'a', payload: { n: 3 } };
  kit.send('take.event', { no: 'envelope' });
  kit.send('take.event', event);
  await ready(2);
  const handler = eventConsumer(async (payload: { n: number }) => payload.n);
  await expect(take(handler)).rejects.toMatchObject({ code: 'SVC_COMM_MALFORMED_MESSAGE' });
  expect(await take(handler)).toBe(3);
  expect((await kit.nextDead()).properties.headers).toMatchObject({ [HEADER.reason]: 'malformed' });
});

test.each([['read', { read: down }] as const, ['written', { begin: down }] as const])(
  'takeOne gives a message back whose start mark cannot be %s, and does not keep it from others',
  async (_what, failing) => {
    await sendSuspect();
    let calls = 0;
    const handler = async () => (calls += 1);
    await expect(take(handler, undefined, marks(failing))).rejects.toMatchObject({
      code: 'SVC_COMM_DATABASE_UNAVAILABLE',
    });
    await ready(1);
    expect(calls).toBe(0);
    expect(await take(handler, undefined, marks({}))).toBe(1);
    await ready(0);
  },
);

test('takeOne returns the result of a message that was acked, although its start mark cannot be deleted', async () => {
  await sendSuspect();
  expect(await take(async () => 'done', undefined, marks({ end: down }))).toBe('done');
  await ready(0);
});

test('takeOne settles duplicates and takes the next message', async () => {
  const inbox: Inbox = {
    handle: async ({ key }, work) =>
      key.messageId === 'dup' ? { kind: 'done' } : { kind: 'handled', value: await work({ is: 'a transaction' }) },
    grouped: () => inbox,
    markDead: async () => undefined,
    parkKey: async () => undefined,
  };
  kit.send('take.dup', { n: 1 }, {}, { messageId: 'dup' });
  kit.send('take.dup', { n: 2 });
  await ready(2);
  expect(await take(async (_key, body, { transaction }) => ({ body, transaction }), inbox)).toEqual({
    body: { n: 2 },
    transaction: { is: 'a transaction' },
  });
  await ready(0);
});

test('a keyed message that fails is retried in place before takeOne returns', async () => {
  kit.send('take.keyed', {}, { [HEADER.key]: 'k' });
  await ready(1);
  expect(
    await take(async (_key, _body, { attempt }) => {
      if (attempt === 1) throw new Error('later');
      return attempt;
    }),
  ).toBe(2);
  await ready(0);
});

describe('a message that is to be tried again later than the retry queues can hold it waits in the future table,', () => {
  let services: ServiceKit;
  let service: ReturnType<ServiceKit['service']>;
  beforeAll(async () => {
    services = await ServiceKit.open('take_one');
    service = services.service('orders');
    await service.migrate();
    await service.declare();
  });
  afterAll(() => services.close());

  const inAnHour = () => {
    throw new RetryLater(3_600_000);
  };
  const takeIt = () => service.takeOne(service.settings.queue.name, inAnHour);
  const waiting = (messageId: string) => services.count('svc_comm_future', `message_id = '${messageId}'`);
  const left = async () => (await services.channel.checkQueue(service.settings.queue.name)).messageCount;
  const send = async () => {
    const messageId = randomUUID();
    services.channel.sendToQueue(service.settings.queue.name, Buffer.from('{}'), { messageId });
    await until(async () => (await left()) === 1);
    return messageId;
  };

  test('though the transaction that it was taken in is rolled back', async () => {
    const messageId = await send();
    await expect(service.transaction(takeIt)).rejects.toMatchObject({ code: 'SVC_COMM_RETRY_LATER' });
    expect([await waiting(messageId), await left()]).toEqual([1, 0]);
  });

  test('though the transaction around it has ended before it was taken', async () => {
    const messageId = await send();
    const end = deferred();
    let taking: Promise<unknown> = Promise.resolve();
    await service.transaction(async () => {
      taking = end.promise.then(takeIt);
    });
    end.resolve();
    await expect(taking).rejects.toMatchObject({ code: 'SVC_COMM_RETRY_LATER' });
    expect([await waiting(messageId), await left()]).toEqual([1, 0]);
  });
});
