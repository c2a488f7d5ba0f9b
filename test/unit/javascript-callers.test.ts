import { afterAll, expect, test } from 'vitest';
import { createService } from '../../src/assemble.ts';
import { eventOf } from '../../src/contract/typed.ts';
import type { SqlExecutor } from '../../src/database/executor.ts';
import { DeadLetters } from '../../src/dead-letters/dead-letters.ts';
import { cancelFutureEvents, type FutureSelection, futureEvents } from '../../src/outbox/future-events.ts';
import { createRestClient } from '../../src/rest-api-door.ts';

const service = createService({
  appId: 'orders',
  brokerUrl: 'amqp://127.0.0.1:1',
  databaseUrl: 'postgres://127.0.0.1:1/none',
  logLevel: 'silent',
});
afterAll(() => service.close());

const event = { aggregate: 'order', eventType: 'create.base', payload: {} };

/** The methods as JavaScript sees them, which takes any arguments. */
const { publishAggregateEvent, publishAggregateEvents, publishFutureAggregateEvent, cancelFutureAggregateEvent } =
  untyped(service);
const { transaction, publishEventNow, sendCommand, sendCall, call, takeOne } = untyped(service);

const untypedRestClient = createRestClient as (options: object) => unknown;

function untyped(target: object): Record<string, (...args: readonly unknown[]) => Promise<unknown>> {
  return new Proxy(
    {},
    {
      get:
        (_, name) =>
        (...args: unknown[]) =>
          Reflect.apply(Reflect.get(target, name), target, args),
    },
  );
}

test.each([
  [
    'an event that is left out',
    () => publishAggregateEvent?.(),
    'event',
    'an object with aggregate, eventType and payload, got undefined',
  ],
  ['an event that is null', () => publishAggregateEvent?.(null), 'event', 'got null'],
  ['an event sent now that is left out', () => publishEventNow?.(), 'event', 'got undefined'],
  [
    'a handle in the place of the options',
    () => publishAggregateEvent?.(event, () => {}),
    'options',
    'an object, got function',
  ],
  [
    'options of a transaction, which there are none of',
    () => transaction?.(async () => 1, { isolation: 'serializable' }),
    'the second argument of transaction()',
    'nothing (for another level of isolation, SET TRANSACTION as the first statement of the work), got object',
  ],
  ['options that are a text', () => publishAggregateEvent?.(event, 'own'), 'options', 'an object, got string'],
  ['options that are null', () => publishAggregateEvent?.(event, null), 'options', 'an object, got null'],
  ['events that are left out', () => publishAggregateEvents?.(), 'events', 'an array of events, got undefined'],
  [
    'one event in the place of several',
    () => publishAggregateEvents?.(event),
    'events',
    'an array of events, got object',
  ],
  ['a hole among the events', () => publishAggregateEvents?.([event, undefined]), 'event', 'got undefined'],
  [
    'a future event that is left out',
    () => publishFutureAggregateEvent?.(),
    'event',
    'payload and eventTime, got undefined',
  ],
  [
    'a filter of future events that is left out',
    () => cancelFutureAggregateEvent?.(),
    'filter',
    'aggregate, eventType and tags, got undefined',
  ],
  ['work that is left out', () => transaction?.(), 'work', 'got undefined'],
  ['null as the options of a command', () => sendCommand?.('sms', {}, null), 'options', 'got null'],
  [
    'a text as the expiredTime of a command',
    () => sendCommand?.('sms', {}, { expiredTime: '2030-01-01' }),
    'expiredTime',
    'a Date, got string',
  ],
  ['null as the timeout of a command', () => sendCommand?.('sms', {}, { timeout: null }), 'timeout', 'got null'],
  [
    'an option of an event that is not known',
    () => publishAggregateEvent?.(event, { trx: {} }),
    'options',
    'an object of transaction, got the unknown name "trx"',
  ],
  [
    'the time of a future event, in one that is published now',
    () => publishAggregateEvent?.({ ...event, eventTime: new Date() }),
    'eventTime',
    'none of an event that is published now: publishFutureAggregateEvent',
  ],
  [
    'the tags of a future event, among several that are published now',
    () => publishAggregateEvents?.([event, { ...event, tags: { userId: 1 } }]),
    'tags',
    'publishFutureAggregateEvent',
  ],
  [
    'the time of a future event, in one that is sent now',
    () => publishEventNow?.({ ...event, eventTime: new Date() }),
    'eventTime',
    'publishFutureAggregateEvent',
  ],
  [
    'a key that is misspelt, without which nothing keeps the order of its events',
    () => publishAggregateEvent?.({ ...event, Key: 7 }),
    'event',
    'an object of aggregate, eventType, payload, key, eventTime and tags, got the unknown name "Key"',
  ],
  [
    'a key that is misspelt, among several events',
    () => publishAggregateEvents?.([event, { ...event, aggregateId: 7 }]),
    'event',
    'got the unknown name "aggregateId"',
  ],
  [
    'a key that is misspelt, of an event sent now',
    () => publishEventNow?.({ ...event, order_key: '7' }),
    'event',
    'got the unknown name "order_key"',
  ],
  [
    'a key that is misspelt, of an event by its contract',
    () => Reflect.apply(eventOf, undefined, [{}, {}, { Key: 7 }]),
    'options',
    'an object of key, got the unknown name "Key"',
  ],
  [
    'tags that are misspelt, without which no cancel would find the event',
    () => publishFutureAggregateEvent?.({ ...event, eventTime: new Date(), tag: { userId: 1 } }),
    'event',
    'got the unknown name "tag"',
  ],
  [
    'a name that is not known in a filter of future events, without which it would cancel more',
    () => cancelFutureAggregateEvent?.({ aggregate: 'order', eventType: 'create.base', tags: {}, ids: ['x'] }),
    'filter',
    'an object of aggregate, eventType and tags, got the unknown name "ids"',
  ],
  [
    'an option of a future event that is not known',
    () => publishFutureAggregateEvent?.({ ...event, eventTime: new Date() }, { tags: {} }),
    'options',
    'the unknown name "tags"',
  ],
  [
    'an option of a command that is not known, without which it would be executed after its time',
    () => sendCommand?.('sms', {}, { expired_time: new Date() }),
    'options',
    'an object of commandName, timeout, expiredTime, transaction and signal, got the unknown name "expired_time"',
  ],
  [
    'an option of a call that is not known',
    () => call?.('sms', 'send', {}, { timeoutMs: 5 }),
    'options',
    '"timeoutMs"',
  ],
  [
    'an option of a call by message that is not known',
    () => sendCall?.('sms', 'send', {}, { reply_to: 'orders' }),
    'options',
    'the unknown name "reply_to"',
  ],
  ['no signal of a command', () => sendCommand?.('sms', {}, { signal: 5 }), 'signal', 'an AbortSignal, got number'],
  ['no signal of a call', () => call?.('sms', 'send', {}, { signal: 'a' }), 'signal', 'an AbortSignal, got string'],
  [
    'the controller in the place of the signal',
    () => call?.('sms', 'send', {}, { signal: new AbortController() }),
    'signal',
    'an AbortSignal, got its controller',
  ],
  ['no signal of an event sent now', () => publishEventNow?.(event, { signal: {} }), 'signal', 'got object'],
  ['null as the options of an event sent now', () => publishEventNow?.(event, null), 'options', 'got null'],
  [
    'no signal of a request',
    () => untyped(createRestClient({ host: 'http://127.0.0.1:1' })).get?.('/', { signal: 5 }),
    'signal',
    'an AbortSignal, got number',
  ],
  [
    'the deadline of a client by the name that axios has for it',
    async () => untypedRestClient({ host: 'http://127.0.0.1:1', timeout: 3000 }),
    'options',
    'got the unknown name "timeout"',
  ],
  [
    'retries of a client that are misspelt',
    async () => untypedRestClient({ host: 'http://127.0.0.1:1', retry: { atempts: 1 } }),
    'retry',
    'an object of attempts, initialDelay and maxDelay, got the unknown name "atempts"',
  ],
  [
    'a breaker of a client that is misspelt',
    async () => untypedRestClient({ host: 'http://127.0.0.1:1', breaker: { failure: 1 } }),
    'breaker',
    'an object of failures and openFor, got the unknown name "failure"',
  ],
  ['a handler that is left out', () => takeOne?.('orders'), 'handler', 'a function, got undefined'],
  ['a queue without a name', () => takeOne?.('', () => undefined), 'queue', 'the name of a queue, got an empty text'],
  ['null as the options of a call', () => call?.('sms', 'send', {}, null), 'options', 'got null'],
  ['null as the options of a call by message', () => sendCall?.('sms', 'send', {}, null), 'options', 'got null'],
  [
    'a contract that is left out',
    () => Reflect.apply(eventOf, undefined, []),
    'contract',
    'one of kind event, got undefined',
  ],
])('%s is refused by its name', async (_what, use, argument, text) => {
  const error = await use()?.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toMatchObject({ code: 'SVC_COMM_INVALID_ARGUMENT', argument, message: expect.stringContaining(text) });
});

test.each([
  ['options that are left out', [], 'options', 'an object with exchange and onMessage, got undefined'],
  ['no onMessage', [{ exchange: 'orders' }], 'onMessage', 'a function, got undefined'],
])('a watch with %s is refused before it starts', (_what, args, argument, text) => {
  const message = expect.stringContaining(text);
  const refusal = expect.objectContaining({ code: 'SVC_COMM_INVALID_ARGUMENT', argument, message });
  expect(() => Reflect.apply(service.watch, service, args)).toThrow(refusal);
});

test.each([
  ['that is left out', undefined, 'an object of aggregate, eventType, tags and ids, got undefined'],
  [
    'with a name that is not known, which would take more than was meant',
    { aggregate: 'order', tag: { id: 1 } },
    'the unknown name "tag"',
  ],
  ['with one id in the place of several', { ids: 'a' }, 'ids: expected an array of texts without NUL, got string'],
  ['with ids that are no texts', { ids: [7] }, 'ids: expected an array of texts without NUL'],
  ['with an aggregate that is no text', { aggregate: 5 }, 'aggregate: expected a string, got number'],
])('a selection of future events %s is refused', async (_what, selection, text) => {
  const asked: SqlExecutor = { query: () => expect.unreachable('the database was asked') };
  for (const use of [cancelFutureEvents, futureEvents]) {
    const refused = use(asked, 'public', selection as unknown as FutureSelection, 1);
    await expect(refused).rejects.toMatchObject({
      code: 'SVC_COMM_INVALID_ARGUMENT',
      message: expect.stringContaining(text),
    });
  }
});

const { redrive, drop, show } = untyped(
  new DeadLetters({
    reader: { open: () => expect.unreachable('the dead letters were read') },
    publisher: { publish: () => expect.unreachable('a letter was sent') },
    parking: undefined,
    queue: 'orders',
    keepsKeyOrder: true,
  }),
);

test.each([
  ['options that are left out', [], 'options', 'perSecond, signal, onProgress and force, got undefined'],
  ['options with a name that is not known', [{ filter: {}, dryrun: true }], 'options', 'the unknown name "dryrun"'],
  ['a filter that is left out', [{}], 'filter', 'an object of reasons, handlers, ids and since, got undefined'],
  ['a filter with a name that is not known', [{ filter: { reason: 'parked' } }], 'filter', 'the unknown name "reason"'],
  ['one reason in the place of several', [{ filter: { reasons: 'parked' } }], 'filter.reasons', 'got string'],
  ['a time that is a text', [{ filter: { since: '2026-01-01' } }], 'filter.since', 'a valid Date, got string'],
  ['a time that is none', [{ filter: { since: new Date(Number.NaN) } }], 'filter.since', 'got an invalid one'],
  ['a limit that is none', [{ filter: {}, limit: Number.NaN }], 'limit', 'a whole number ≥ 0, got NaN'],
  ['no signal', [{ filter: {}, signal: 5 }], 'signal', 'an AbortSignal, got number'],
  ['a rate of nothing', [{ filter: {}, perSecond: 0 }], 'perSecond', 'a number above 0, got 0'],
])('%s: no dead letter is taken', async (_what, args, argument, text) => {
  const refusal = { code: 'SVC_COMM_INVALID_ARGUMENT', argument, message: expect.stringContaining(text) };
  await expect(redrive?.(...args)).rejects.toMatchObject(refusal);
  await expect(drop?.(...args)).rejects.toMatchObject(refusal);
});

test('dead letters are not shown without a filter and a limit', async () => {
  await expect(show?.()).rejects.toMatchObject({ code: 'SVC_COMM_INVALID_ARGUMENT', argument: 'filter' });
  await expect(show?.({})).rejects.toMatchObject({ code: 'SVC_COMM_INVALID_ARGUMENT', argument: 'limit' });
});

test('a part of a service by a name that there is none of is refused: its router would be another one', () => {
  const [given, parts] = [{ brokerUrl: 'amqp://127.0.0.1:1' }, { router: {} }] as const;
  expect(() => createService(given, parts as object)).toThrow(
    expect.objectContaining({
      code: 'SVC_COMM_INVALID_ARGUMENT',
      argument: 'parts',
      message: expect.stringContaining('"router"'),
    }),
  );
});
