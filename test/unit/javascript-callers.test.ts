import { afterAll, expect, test } from 'vitest';
import { createService } from '../../src/assemble.ts';
import { eventOf } from '../../src/contract/typed.ts';
import type { SqlExecutor } from '../../src/database/executor.ts';
import { cancelFutureEvents, type FutureSelection, futureEvents } from '../../src/outbox/future-events.ts';

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
const { transaction, publishEventNow, sendCommand, sendCall, call } = untyped(service);

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
