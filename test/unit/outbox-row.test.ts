import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { arrayLiteral } from '../../src/database/array-literal.ts';
import { InvalidArgumentError } from '../../src/errors.ts';
import type { Headers, MessageProperties } from '../../src/message/message.ts';
import { eventRow } from '../../src/outbox/event-row.ts';
import { messageRow } from '../../src/outbox/outbox-row.ts';
import { restoreProperties, storeProperties } from '../../src/outbox/stored-properties.ts';

const message = (properties: MessageProperties, body: Uint8Array = Buffer.from('{}')) => ({
  exchange: 'e',
  routingKey: 'r',
  body,
  properties,
});

describe('stored properties', () => {
  const bytes = fc.uint8Array({ maxLength: 20 }).map((array) => Buffer.from(array));
  const { value } = fc.letrec((tie) => ({
    value: fc.oneof(
      fc.string(),
      fc.integer(),
      fc.boolean(),
      fc.constant(null),
      bytes,
      fc.array(tie('value'), { maxLength: 3 }),
      fc.dictionary(fc.oneof(fc.string({ maxLength: 8 }), fc.constantFrom('$base64', '$$base64', '!')), tie('value'), {
        maxKeys: 3,
        noNullPrototype: true,
      }),
    ),
  }));
  const headers = fc.dictionary(fc.string({ minLength: 1, maxLength: 8 }), value, {
    minKeys: 1,
    maxKeys: 4,
    noNullPrototype: true,
  });

  test('come back as they were, bytes in headers too', () => {
    fc.assert(
      fc.property(headers, (given) => {
        const stored = storeProperties(
          { contentType: 'text/json', priority: 3, replyTo: 'x', headers: given as Headers },
          null,
        );
        expect(restoreProperties(stored)).toEqual({
          contentType: 'text/json',
          priority: 3,
          replyTo: 'x',
          headers: given,
          deliveryMode: 2,
          isBase64: false,
        });
      }),
    );
  });

  test('are not there when the defaults say it all', () => {
    const defaults = { contentType: 'application/json', deliveryMode: 2, headers: {}, messageId: 'm', appId: 'a' };
    expect(storeProperties(defaults, null)).toBeNull();
    expect(restoreProperties(null)).toEqual({ contentType: 'application/json', deliveryMode: 2, isBase64: false });
  });

  test('keep that there is no content type', () => {
    expect(restoreProperties(storeProperties({}, null))).toEqual({ deliveryMode: 2, isBase64: false });
  });
});

describe('the row of a message', () => {
  test('has the key in its column and not among the headers', () => {
    const row = messageRow(message({ contentType: 'application/json', headers: { 'svc-comm-key': 'k1', a: 1 } }));
    expect(row.orderKey).toBe('k1');
    expect(JSON.parse(row.properties ?? '').headers).toEqual({ a: 1 });
  });

  test('carries a body that is no text, and an id that is no UUID, or none', () => {
    const binary = messageRow(message({ messageId: 'peer-17' }, Uint8Array.of(0xff, 0, 1)));
    expect(restoreProperties(binary.properties)).toMatchObject({ messageId: 'peer-17', isBase64: true });
    expect(Buffer.from(binary.body, 'base64')).toEqual(Buffer.from([0xff, 0, 1]));
    expect(restoreProperties(messageRow(message({})).properties).messageId).toBeNull();
    expect(messageRow(message({}, Buffer.from('a\0b'))).body).toBe(Buffer.from('a\0b').toString('base64'));
    expect(messageRow(message({}, Buffer.from('\ufeff{}'))).body).toBe('\ufeff{}');
  });

  test('carries a sender’s name that no text of PostgreSQL holds', () => {
    const row = messageRow(message({ appId: 'a\0b' }));
    expect(row.appId).toBeNull();
    expect(row.properties).not.toContain('\0');
    expect(restoreProperties(row.properties).appId).toBe('a\0b');
  });

  test.each<[string, MessageProperties, string]>([
    ['headers over 64 KiB', { headers: { big: 'x'.repeat(65 * 1024) } }, 'SVC_COMM_MESSAGE_TOO_LARGE'],
    ['an expiration that is no number', { expiration: 'soon' }, 'SVC_COMM_INVALID_ARGUMENT'],
    ['a key with a line break', { headers: { 'svc-comm-key': 'a\nb' } }, 'SVC_COMM_INVALID_NAME'],
  ])('is refused for %s', (_what, properties, code) => {
    expect(() => messageRow(message(properties))).toThrow(expect.objectContaining({ code }));
  });

  test('has the time that is left without the net of the broker', () => {
    expect(messageRow(message({ expiration: '90000' })).expiresInMs).toBe(30_000);
    expect(messageRow(message({})).expiresInMs).toBeNull();
  });
});

test('an array literal says null and text apart', () => {
  expect(arrayLiteral([null, 'NULL', '', 'a"b\\c', '{,}'])).toBe('{NULL,"NULL","","a\\"b\\\\c","{,}"}');
});

test.each([[Number.NaN], [Number.POSITIVE_INFINITY]])('an event whose key is %d, which is no id, is refused', (key) => {
  const event = { aggregate: 'order', eventType: 'create', payload: 1, key };
  expect(() => eventRow(event, new Date(), 'app')).toThrow(InvalidArgumentError);
});

describe('the type of an event', () => {
  const rowOf = (eventType: string) => eventRow({ aggregate: 'order', eventType, payload: 1 }, new Date(), 'shop');

  test.each(['*', '#', 'create.*', 'create.#.base'])('is no pattern: %s', (eventType) => {
    expect(() => rowOf(eventType)).toThrow(expect.objectContaining({ code: 'SVC_COMM_INVALID_NAME' }));
  });

  test('has these signs within its words, where they mean themselves', () => {
    expect(rowOf('create.c#').routingKey).toBe('create.c#');
  });
});

describe('the aggregate of an event', () => {
  const rowOf = (aggregate: string) => eventRow({ aggregate, eventType: 'created', payload: 1 }, new Date(), 'shop');

  test.each(['amq.orders', 'amq.'])(
    'is none of the names that the broker keeps for itself, which nobody can make: %s',
    (aggregate) => {
      expect(() => rowOf(aggregate)).toThrow(expect.objectContaining({ code: 'SVC_COMM_INVALID_NAME' }));
    },
  );

  test.each(['amq.topic', 'amqp', 'orders.amq.'])(
    'may be any other, or an exchange that every broker has: %s',
    (aggregate) => {
      expect(rowOf(aggregate).exchange).toBe(aggregate);
    },
  );
});
