import fc from 'fast-check';
import { expect, test } from 'vitest';
import { deadCopy, headerBytes, retryCopy, withoutForeignHeaders, withoutHistory } from '../../src/consumer/copy.ts';
import { failureOf, hasHeldItsKey, MAX_FAILURES, parseFailures } from '../../src/consumer/failures.ts';
import { InFlight } from '../../src/consumer/in-flight.ts';
import { UnhandledMessageError } from '../../src/errors.ts';
import { HEADER, type Headers, type MessageProperties } from '../../src/message/message.ts';
import type { Delivery } from '../../src/message/subscriber.ts';
import { DEFAULT_JSON_LIMITS } from '../../src/wire/json.ts';

const QUEUE = 'orders';

function inFlight(properties: MessageProperties, exchange = 'user', routingKey = 'update.base'): InFlight {
  const delivery: Delivery = {
    queue: QUEUE,
    exchange,
    routingKey,
    redelivered: false,
    body: Buffer.from('{}'),
    properties,
    lost: new AbortController().signal,
    ack: () => true,
    release: () => true,
  };
  return new InFlight(delivery, DEFAULT_JSON_LIMITS);
}

/** As the broker brings a copy that has waited in a retry queue. */
const returned = (properties: MessageProperties) =>
  inFlight(
    {
      ...properties,
      headers: {
        ...properties.headers,
        'x-death': [{ queue: `${QUEUE}.retry.1000`, reason: 'expired', count: 1 }],
        'x-first-death-queue': `${QUEUE}.retry.1000`,
        'x-first-death-reason': 'expired',
        'x-first-death-exchange': '',
      },
    },
    '',
    QUEUE,
  );

const GIVEN_UP = { reason: 'unhandled', handler: undefined, failedRuns: 1 } as const;

const fail = (message: InFlight) => message.addFailure(failureOf(new Error('failed'), 0));

const headerValue = fc.oneof(fc.string(), fc.integer(), fc.boolean(), fc.constant(null), fc.uint8Array());
const anyHeaders = fc.dictionary(
  fc.string({ maxLength: 20 }).filter((name) => !name.startsWith('x-') && name !== '__proto__'),
  headerValue,
);

test('however often a message is copied, it looks as on its first delivery, except for its expiration', () => {
  const anyProperties = fc.record({
    headers: anyHeaders,
    userId: fc.option(fc.string(), { nil: undefined }),
    messageId: fc.option(fc.string({ minLength: 1 }), { nil: undefined }),
    correlationId: fc.option(fc.string(), { nil: undefined }),
    priority: fc.option(fc.nat(9), { nil: undefined }),
    expiration: fc.constant('60000'),
  });
  fc.assert(
    fc.property(anyProperties, fc.boolean(), (properties, hasCc) => {
      const headers: Headers = hasCc ? { ...properties.headers, CC: ['other'] } : properties.headers;
      let message = inFlight({ ...properties, headers });
      for (let run = 1; run <= 3; run++) {
        expect(message).toMatchObject({ exchange: 'user', routingKey: 'update.base', attempt: run });
        const { expiration: _, ...seen } = message.delivery.properties;
        const { expiration: __, ...first } = properties;
        expect(seen).toEqual({ ...first, headers });
        fail(message);
        const copy = retryCopy(message, `${QUEUE}.retry.1000`);
        expect(copy).toMatchObject({ exchange: '', routingKey: `${QUEUE}.retry.1000` });
        expect(copy.properties.headers).not.toHaveProperty('CC');
        expect(copy.properties).not.toHaveProperty('expiration');
        expect(copy.properties.userId).toBeUndefined();
        message = returned({ ...copy.properties, messageId: copy.properties.messageId ?? 'given by the publisher' });
      }
    }),
  );
});

test('history holds the last 10 failures over all copies, oldest first', () => {
  let message = inFlight({});
  for (let run = 1; run <= 14; run++) {
    message.addFailure(failureOf(new Error(`run ${run}`), run));
    message = returned(retryCopy(message, 'r').properties);
  }
  const failures = parseFailures(message.copyHeaders?.[HEADER.failures]);
  expect(failures.map((failure) => failure.message)).toEqual(
    Array.from({ length: MAX_FAILURES }, (_, i) => `run ${i + 5}`),
  );
});

test('of a letter that is redriven again and again without a handler, history still says that one has had it', () => {
  let message = inFlight({});
  fail(message);
  for (let redrive = 1; redrive <= MAX_FAILURES + 1; redrive++) {
    message = inFlight({ ...deadCopy(message, GIVEN_UP).properties, messageId: 'm' }, '', QUEUE);
    message.addFailure(failureOf(new UnhandledMessageError('user', 'update.base'), redrive));
  }
  const { headers = {} } = deadCopy(message, GIVEN_UP).properties;
  const failures = parseFailures(headers[HEADER.failures]);
  expect(hasHeldItsKey(failures)).toBe(true);
  expect(failures.at(-1)?.time).toBe(new Date(MAX_FAILURES + 1).toISOString());
});

test('a failure keeps at most 1 KiB of its message, cut between characters', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', minLength: 300, maxLength: 2_000 }), (text) => {
      const { message } = failureOf(new Error(text), 0);
      expect(Buffer.byteLength(message)).toBeLessThanOrEqual(1_024);
      expect(text.startsWith(message.replace(/…$/, ''))).toBe(true);
    }),
  );
});

test('the header block stays within 60 KiB: history gives way first, then the largest foreign headers, by name', () => {
  const message = inFlight({
    headers: { [HEADER.key]: 'k', small: 's', huge: 'h'.repeat(70_000), large: 'l'.repeat(9_000) },
  });
  for (let i = 0; i < MAX_FAILURES; i++) message.addFailure(failureOf(new Error('\u0001'.repeat(2_000)), 0));
  const { headers = {} } = retryCopy(message, 'r').properties;
  expect(headerBytes(headers)).toBeLessThanOrEqual(60 * 1024);
  expect(headers).toMatchObject({ [HEADER.key]: 'k', small: 's', [HEADER.dropped]: ['huge'] });
  expect(parseFailures(headers[HEADER.failures]).length).toBeGreaterThanOrEqual(1);
});

test('a copy that cannot be sent is left with our headers, and names the others', () => {
  const message = inFlight({ headers: { [HEADER.key]: 'k', strange: { a: 1 } } });
  const copy = deadCopy(message, { reason: 'malformed', handler: undefined, failedRuns: 0 });
  const { headers } = withoutForeignHeaders(copy).properties;
  expect(headers).toMatchObject({ [HEADER.key]: 'k', [HEADER.reason]: 'malformed', [HEADER.dropped]: ['strange'] });
  expect(headers).not.toHaveProperty('strange');
});

const PREFIX = 'svc-comm-';

test('what a sender says in headers of ours is not on its copies, where it would be believed', () => {
  const claims = Object.fromEntries(
    Object.values(HEADER)
      .filter((name) => name.startsWith(PREFIX) && name !== HEADER.key)
      .map((name) => [name, name === HEADER.noMessageId ? true : name === HEADER.attempt ? 3 : 'claimed']),
  );
  const properties = { messageId: 'm', headers: { ...claims, [HEADER.properties]: { messageId: 'claimed' } } };
  const message = inFlight(properties);
  fail(message);
  const again = returned(retryCopy(message, 'r').properties);
  expect(again).toMatchObject({ attempt: 2, isRedriven: false, exchange: 'user', routingKey: 'update.base' });
  const { userId, headers = {}, messageId } = again.delivery.properties;
  expect({ userId, messageId }).toEqual({ userId: undefined, messageId: 'm' });
  expect(Object.keys(headers).filter((name) => name.startsWith(PREFIX))).toEqual([]);
});

/** As amqplib reads 255 bytes that are no UTF-8. */
const LATIN = '\uFFFD'.repeat(255);

test('properties that cannot be written in their place again travel beside it, and are put back', () => {
  const properties: MessageProperties = {
    contentType: LATIN,
    contentEncoding: LATIN,
    correlationId: LATIN,
    replyTo: LATIN,
    messageId: LATIN,
    type: LATIN,
    appId: LATIN,
    timestamp: 2 ** 64,
    priority: 3,
    headers: {},
  };
  let message = inFlight(properties);
  for (let run = 1; run <= 2; run++) {
    fail(message);
    const copy = retryCopy(message, 'r').properties;
    for (const value of Object.values(copy)) {
      if (typeof value === 'string') expect(Buffer.byteLength(value)).toBeLessThanOrEqual(255);
    }
    expect(copy).toMatchObject({ priority: 3 });
    expect(copy).not.toHaveProperty('timestamp');
    message = returned({ ...copy, messageId: 'given by the publisher' });
    expect(message.delivery.properties).toEqual(properties);
  }
});

test('deaths that a message has from elsewhere are out of the broker’s sight on its copies, and are put back', () => {
  const headers: Headers = {
    'x-death': [{ queue: QUEUE, reason: 'expired', count: 1 }],
    'x-first-death-queue': QUEUE,
    'x-last-death-reason': 'expired',
    'x-other': 1,
  };
  let message = inFlight({ messageId: 'm', headers });
  for (let run = 1; run <= 2; run++) {
    fail(message);
    const copy = retryCopy(message, 'r').properties;
    expect(Object.keys(copy.headers ?? {}).filter((name) => name.startsWith('x-'))).toEqual(['x-other']);
    message = returned(copy);
    expect(message.delivery.properties.headers).toEqual(headers);
  }
});

test.each<[string, Headers]>([
  ['a key of 70,000 characters', { [HEADER.key]: 'k'.repeat(70_000) }],
  ['a key that is a list', { [HEADER.key]: ['k'.repeat(70_000)] }],
  ['copies to 1,000 queues', { CC: Array.from({ length: 1_000 }, (_, i) => `${i}`.padEnd(80, 'q')) }],
  ['copies to what is no text', { CC: [{ '!': 'nonsense' }] }],
  ['deaths of 70,000 characters', { 'x-death': 'd'.repeat(70_000) }],
  ['long names', Object.fromEntries(Array.from({ length: 200 }, (_, i) => [`${i}${LATIN}`.slice(0, 255), null]))],
  ['a huge trace', { traceparent: '0'.repeat(70_000) }],
  ['numbers that AMQP has and its client cannot write', { [HEADER.key]: -1e300, traceparent: -1e300 }],
  ['10,000 small ones', Object.fromEntries(Array.from({ length: 10_000 }, (_, i) => [`h${i}`, i]))],
])('a copy of a message with %s fits, and can be sent when the sender’s headers are left out', (_what, headers) => {
  const message = inFlight({ userId: 'u', headers });
  fail(message);
  for (const copy of [retryCopy(message, 'r'), withoutForeignHeaders(retryCopy(message, 'r'))]) {
    expect(headerBytes(copy.properties.headers)).toBeLessThanOrEqual(60 * 1024);
    expect(returned(copy.properties)).toMatchObject({ exchange: 'user', attempt: 2, key: message.key });
  }
  const left = withoutForeignHeaders(retryCopy(message, 'r')).properties.headers ?? {};
  const isWritten = (value: unknown) => ['string', 'boolean'].includes(typeof value) || Number.isSafeInteger(value);
  const { [HEADER.dropped]: _dropped, ...rest } = left;
  expect(Object.entries(rest).filter(([, value]) => !isWritten(value))).toEqual([]);
});

test('what was left out of a copy is named on those that follow', () => {
  const message = inFlight({ headers: { huge: 'h'.repeat(70_000), small: 's' } });
  fail(message);
  const again = returned(retryCopy(message, 'r').properties);
  const copy = deadCopy(again, { reason: 'attempts', handler: undefined, failedRuns: 2 });
  expect(copy.properties.headers).toMatchObject({ small: 's', [HEADER.dropped]: ['huge'] });
  expect(withoutForeignHeaders(copy).properties.headers).toMatchObject({ [HEADER.dropped]: ['huge', 'small'] });
});

test('what anybody writes to the queue itself as a copy of ours is not believed where no copy of ours says it', () => {
  const long = 'x'.repeat(70_000);
  const origin = { [HEADER.exchange]: 'user', [HEADER.routingKey]: 'k' };
  expect(inFlight({ headers: { ...origin, [HEADER.exchange]: long } }, '', QUEUE).exchange).toBe('');
  const claims = { [HEADER.userId]: long, [HEADER.redriven]: long, [HEADER.properties]: { appId: long, headers: 1 } };
  const message = inFlight({ headers: { ...origin, ...claims } }, '', QUEUE);
  fail(message);
  expect(message.delivery.properties).toEqual({ headers: {} });
  expect(headerBytes(retryCopy(message, 'r').properties.headers)).toBeLessThan(2_000);
});

test('headers of ours count only on what came through the default exchange to the queue itself', () => {
  const headers = {
    [HEADER.exchange]: 'admin',
    [HEADER.routingKey]: 'x',
    [HEADER.attempt]: 4,
    [HEADER.redriven]: 'now',
  };
  expect(inFlight({ headers })).toMatchObject({ exchange: 'user', attempt: 1, isRedriven: false });
  expect(inFlight({ headers }, '', 'other')).toMatchObject({ exchange: '', attempt: 1, isRedriven: false });
  expect(inFlight({ headers }, '', QUEUE)).toMatchObject({ exchange: 'admin', attempt: 5, isRedriven: true });
  const byHand = { ...headers, [HEADER.redriven]: undefined, [HEADER.reason]: 'attempts' };
  expect(inFlight({ headers: byHand }, '', QUEUE)).toMatchObject({ exchange: 'admin', attempt: 1, isRedriven: true });
  expect(inFlight({ headers: { ...headers, [HEADER.attempt]: '4' } }, '', QUEUE).attempt).toBe(1);
});

test('a redriven message keeps its mark through its retries', () => {
  const headers = { [HEADER.exchange]: 'user', [HEADER.routingKey]: 'k', [HEADER.reason]: 'attempts' };
  const copy = retryCopy(inFlight({ headers }, '', QUEUE), 'r');
  expect(copy.properties.headers).toHaveProperty([HEADER.redriven]);
  expect(copy.properties.headers).not.toHaveProperty([HEADER.reason]);
  expect(returned(copy.properties)).toMatchObject({ isRedriven: true, attempt: 2 });
});

test('a key that no index could keep is replaced by its hash; a number is read as text', () => {
  const keyOf = (key: string | number) => inFlight({ headers: { [HEADER.key]: key } }).key;
  expect(keyOf('order-1')).toBe('order-1');
  expect(keyOf(17)).toBe('17');
  expect(keyOf('')).toBeUndefined();
  expect(keyOf('a\0b')).toMatch(/^sha256:/);
  expect(keyOf('x'.repeat(600))).toMatch(/^sha256:/);
});

test('a copy that a broker with small frames does not take even without them goes with the last failure alone', () => {
  let message = inFlight({ messageId: 'm', headers: { theirs: 'x'.repeat(2000) } });
  for (let run = 1; run <= 10; run++) {
    fail(message);
    message = returned(retryCopy(message, 'r').properties);
  }
  const whole = deadCopy(message, { reason: 'attempts', handler: 'h', failedRuns: 10 });
  expect(JSON.parse(String(whole.properties.headers?.[HEADER.failures]))).toHaveLength(10);
  const least = withoutHistory(withoutForeignHeaders(whole));
  expect(JSON.parse(String(least.properties.headers?.[HEADER.failures]))).toHaveLength(1);
  expect(least.properties.headers).not.toHaveProperty('theirs');
  expect(headerBytes(least.properties.headers ?? {})).toBeLessThan(2500);
});
