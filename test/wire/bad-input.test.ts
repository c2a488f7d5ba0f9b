import { describe, expect, test } from 'vitest';
import { MalformedMessageError, type MalformedReason, SvcCommError } from '../../src/errors.ts';
import { encodeCall, encodeCallResponse } from '../../src/wire/call.ts';
import { encodeCommand } from '../../src/wire/command.ts';
import { expirationFor, isExpired, resolveDeadline } from '../../src/wire/deadline.ts';
import type { JsonObject } from '../../src/wire/envelope.ts';
import { decodeEvent, encodeEvent } from '../../src/wire/event.ts';
import { DEFAULT_JSON_LIMITS, decodeJson, encodeJson, type JsonLimits } from '../../src/wire/json.ts';
import { formatTime, parseTime } from '../../src/wire/time.ts';
import { slowness } from '../support/slowness.ts';

const failure = (work: () => unknown): SvcCommError => {
  try {
    work();
  } catch (error) {
    if (error instanceof SvcCommError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
};
const malformed = (work: () => unknown): MalformedReason | undefined => {
  const error = failure(work);
  return error instanceof MalformedMessageError ? error.reason : undefined;
};
const bytes = (text: string): Buffer => Buffer.from(text);
function* generated() {
  yield 1;
}
async function* generatedLater() {
  yield 1;
}
const nested = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth);

describe('a payload that JSON cannot carry is refused, the path to it named', () => {
  const cycle: Record<string, unknown> = { items: [{}] };
  (cycle.items as unknown[])[0] = cycle;
  test.each<[string, unknown, string]>([
    ['a cycle', cycle, 'payload.items[0]'],
    ['a BigInt', { price: 1n }, 'payload.price'],
    ['undefined', undefined, 'payload'],
    ['undefined in an array', [undefined], 'payload[0]'],
    ['NaN', { a: [1, Number.NaN] }, 'payload.a[1]'],
    ['a function', { f: () => 1 }, 'payload.f'],
    ['a symbol', { s: Symbol('s') }, 'payload.s'],
    ['a Map', { m: new Map() }, 'payload.m'],
    ['a Promise that nobody awaited', { user: Promise.resolve({ id: 1 }) }, 'payload.user'],
    ['an Error', { error: new TypeError('lost') }, 'payload.error'],
    ['a RegExp', [/a/], 'payload[0]'],
    ['an ArrayBuffer', new ArrayBuffer(8), 'payload'],
    ["a Map's keys", { ids: new Map([[1, 2]]).keys() }, 'payload.ids'],
    ['entries of a list', { list: ['a'].entries() }, 'payload.list'],
    ['a generator', { rows: generated() }, 'payload.rows'],
    ['an async generator', { rows: generatedLater() }, 'payload.rows'],
    ['a stream', new ReadableStream(), 'payload'],
    ['URLSearchParams', { query: new URLSearchParams('a=1') }, 'payload.query'],
    ['Headers', { headers: new Headers({ a: '1' }) }, 'payload.headers'],
    ['FormData', { form: new FormData() }, 'payload.form'],
    ['a Blob', [new Blob(['x'])], 'payload[0]'],
    ['a DataView', { view: new DataView(new ArrayBuffer(8)) }, 'payload.view'],
    ['what is nothing but iterable', { items: { [Symbol.iterator]: generated } }, 'payload.items'],
    ['an invalid Date', { d: new Date(Number.NaN) }, 'payload.d'],
    [
      'a toJSON that throws',
      {
        t: {
          toJSON: () => {
            throw new Error('no');
          },
        },
      },
      'payload.t',
    ],
    ['a key that receivers refuse', JSON.parse('{"a":{"__proto__":1}}'), 'payload.a'],
  ])('%s', (_, value, path) => {
    const error = failure(() => encodeJson(value));
    expect(error).toMatchObject({ code: 'SVC_COMM_UNSERIALISABLE_PAYLOAD', path });
  });

  test('a hundred thousand levels are refused without exhausting the stack', () => {
    let value: unknown = [];
    for (let i = 0; i < 100_000; i++) value = [value];
    expect(failure(() => encodeJson(value)).code).toBe('SVC_COMM_UNSERIALISABLE_PAYLOAD');
  });

  test('the refusal names what it is, also where it has no class', () => {
    const text = (value: unknown) => failure(() => encodeJson(value)).message;
    expect(text(generated())).toContain('a Generator would be written as {}');
    expect(text(new Map().keys())).toMatch(/an? (Map )?Iterator would be written as \{\}/);
    expect(text(new URLSearchParams())).toContain('a URLSearchParams would be written as {}');
    expect(text(Object.assign(Object.create(null), { [Symbol.iterator]: generated }))).toContain('an Object would be');
  });

  test('what can be iterated and has properties, numbers of a typed array and boxed texts are written', () => {
    class Page {
      readonly items = [1];
      readonly next = 'b';
      [Symbol.iterator]() {
        return this.items.values();
      }
    }
    expect(encodeJson(new Page())).toBe('{"items":[1],"next":"b"}');
    expect(encodeJson([new Uint8Array([1]), new Uint8Array()])).toBe('[{"0":1},{}]');
    expect(encodeJson([Object('text'), Object('')])).toBe('["text",""]');
    expect(encodeJson([{}, Object.create(null), new (class {})()])).toBe('[{},{},{}]');
  });

  test('undefined properties are left out, dates and toJSON are written', () => {
    expect(encodeJson({ a: undefined, d: new Date(0), n: null })).toBe('{"d":"1970-01-01T00:00:00.000Z","n":null}');
  });
});

describe('a body that cannot be read is refused with its reason', () => {
  test.each<[string, Buffer, MalformedReason]>([
    ['no JSON', bytes('hello'), 'not-json'],
    ['nothing', bytes(''), 'not-json'],
    ['invalid UTF-8', Buffer.from([0x22, 0xc3, 0x28, 0x22]), 'not-json'],
    ['a hundred thousand levels', bytes(nested(100_000)), 'too-deep'],
    ['one level too many', bytes(nested(65)), 'too-deep'],
    ['a prototype key', bytes('{"a":{"__proto__":{"x":1}}}'), 'forbidden-key'],
    ['an escaped prototype key', bytes('{"\\u005f_proto__":{"x":1}}'), 'forbidden-key'],
    ['constructor.prototype', bytes('{"constructor":{"prototype":{"x":1}}}'), 'forbidden-key'],
    [
      'too many keys',
      bytes(JSON.stringify(Object.fromEntries(Array.from({ length: 10_001 }, (_, i) => [i, 0])))),
      'too-many-keys',
    ],
    ['17 MiB', Buffer.alloc(17 * 1024 * 1024, 0x20), 'too-large'],
  ])('%s', (_, body, reason) => {
    expect(malformed(() => decodeJson(body))).toBe(reason);
  });

  test('64 levels, 10,000 keys, brackets inside strings and the word constructor pass', () => {
    expect(decodeJson(bytes(nested(64)))).toBeDefined();
    expect(
      decodeJson(bytes(JSON.stringify({ text: '['.repeat(1000), constructor: 'ACME', 'prototype.id': 1 }))),
    ).toEqual({
      text: '['.repeat(1000),
      constructor: 'ACME',
      'prototype.id': 1,
    });
  });

  test.each<[string, unknown]>([
    ['no object', [1]],
    ['no payload', { eventId: 1, eventTime: '2026-01-01T00:00:00Z', eventType: 'a', aggregate: 'b' }],
    ['no id', { eventTime: '2026-01-01T00:00:00Z', eventType: 'a', aggregate: 'b', payload: 1 }],
    [
      'a type that is no string',
      { eventId: 1, eventTime: '2026-01-01T00:00:00Z', eventType: 3, aggregate: 'b', payload: 1 },
    ],
  ])('an event with %s has no envelope', (_, body) => {
    expect(malformed(() => decodeEvent(body))).toBe('no-envelope');
  });
});

describe('an id that no number holds', () => {
  const event = (id: string) =>
    bytes(`{"eventTime":"2026-01-01T00:00:00Z","eventType":"a","aggregate":"b","payload":1,"eventId":${id}}`);

  test.each([
    ['310 digits', '9'.repeat(310)],
    ['399 digits below 0', '-'.padEnd(400, '9')],
    ['1e400', '1e400'],
  ])('is refused: %s', (_, id) => {
    expect(malformed(() => decodeEvent(decodeJson(event(id))))).toBe('no-envelope');
  });

  test('of as many digits as a double reaches is read to the last of them', () => {
    const id = '1'.repeat(309);
    expect(decodeEvent(decodeJson(event(`-${id}`))).event.eventId).toBe(`-${id}`);
  });

  test('costs no more time than reading its digits, though a body be nothing else', () => {
    const digits = '7'.repeat(8_000_000);
    const before = process.cpuUsage();
    expect(malformed(() => decodeEvent(decodeJson(event(digits))))).toBe('no-envelope');
    // Of members with one name the last counts.
    const last = decodeEvent(decodeJson(event(`${digits},"eventId":9007199254740993`)));
    expect(last.event.eventId).toBe('9007199254740993');
    expect(process.cpuUsage(before).user / 1000).toBeLessThan(1500 * slowness());
  });
});

describe('times', () => {
  test.each([
    ['2026-11-22T10:00:00Z', '2026-11-22T10:00:00.000Z'],
    ['2026-11-22T10:00:00+05:00', '2026-11-22T05:00:00.000Z'],
    ['2026-11-22T10:00:00.1-0330', '2026-11-22T13:30:00.100Z'],
    ['2026-11-22 10:00:00.123456+05', '2026-11-22T05:00:00.123Z'],
    ['2026-11-22T10:00:00', '2026-11-22T10:00:00.000Z'],
    // As OffsetDateTime.toString() and LocalDateTime.toString() of Java write a whole minute.
    ['2026-11-22T10:00Z', '2026-11-22T10:00:00.000Z'],
    ['2026-11-22T10:00+05:00', '2026-11-22T05:00:00.000Z'],
    ['2026-11-22T10:00', '2026-11-22T10:00:00.000Z'],
  ])('%s is read as %s', (given, read) => {
    expect(parseTime(given, 't').toISOString()).toBe(read);
  });

  test.each([
    'yesterday',
    '2026-13-01T00:00:00Z',
    '2026-11-22',
    5,
    null,
    undefined,
    '',
    '2026-11-22T10',
    '2026-11-22T10:60Z',
  ])('%s is refused', (given) => {
    expect(malformed(() => parseTime(given, 't'))).toBe('invalid-time');
  });

  test('a whole second is written with a fraction; years that a peer cannot read are refused', () => {
    expect(formatTime(new Date('2026-11-22T10:00:00Z'))).toBe('2026-11-22T10:00:00.000Z');
    expect(failure(() => formatTime(new Date('9999-12-31T23:59:59Z'))).code).toBe('SVC_COMM_INVALID_ARGUMENT');
    expect(failure(() => formatTime(new Date(Number.NaN))).code).toBe('SVC_COMM_INVALID_ARGUMENT');
  });
});

describe('deadlines', () => {
  const now = Date.parse('2026-11-23T10:00:00Z');
  test('both ways at once, the past, year 9999 and a negative timeout are refused', () => {
    const refused = (options: Parameters<typeof resolveDeadline>[0]) =>
      failure(() => resolveDeadline(options, now)).code;
    expect(refused({ timeout: 1, expiredTime: new Date(now + 1) })).toBe('SVC_COMM_INVALID_ARGUMENT');
    expect(refused({ expiredTime: new Date(now) })).toBe('SVC_COMM_INVALID_ARGUMENT');
    expect(refused({ expiredTime: new Date('9999-12-31T23:59:59Z') })).toBe('SVC_COMM_INVALID_ARGUMENT');
    expect(refused({ timeout: -1 })).toBe('SVC_COMM_INVALID_ARGUMENT');
    expect(refused({ timeout: Number.POSITIVE_INFINITY })).toBe('SVC_COMM_INVALID_ARGUMENT');
  });

  test('a bare timeout is in seconds', () => {
    expect(resolveDeadline({ timeout: 30 }, now)).toEqual(new Date(now + 30_000));
    expect(resolveDeadline({ timeout: '250ms' }, now)).toEqual(new Date(now + 250));
    expect(resolveDeadline({}, now)).toBeUndefined();
  });

  test('strict at the deadline, later by the tolerance', () => {
    expect(isExpired(new Date(now), now)).toBe(true);
    expect(isExpired(new Date(now + 1), now)).toBe(false);
    expect(isExpired(new Date(now), now, 100)).toBe(false);
    expect(isExpired(undefined, now)).toBe(false);
  });

  test('the AMQP expiration is a whole number that RabbitMQ takes, or left out', () => {
    expect(expirationFor(0.2)).toBe('60001');
    expect(expirationFor(0)).toBe('expired');
    expect(expirationFor(-5)).toBe('expired');
    expect(expirationFor(4_294_967_295)).toBeUndefined();
    expect(expirationFor(undefined)).toBeUndefined();
  });

  test("a command's own meta is not overwritten", () => {
    expect(failure(() => encodeCommand({ arguments: { meta: 1 }, deadline: undefined })).code).toBe(
      'SVC_COMM_INVALID_ARGUMENT',
    );
  });

  test.each<[string, object]>([
    ['a Map', new Map([['a', 1]])],
    ['a Promise', Promise.resolve({ a: 1 })],
    ['a Date', new Date()],
    ['a toJSON that writes a meta', { toJSON: () => ({ meta: 1 }) }],
  ])("a command's arguments are not emptied: %s is refused", (_, args) => {
    const encode = () => encodeCommand({ arguments: args as JsonObject, deadline: undefined });
    expect(failure(encode).code).toMatch(/^SVC_COMM_(UNSERIALISABLE_PAYLOAD|INVALID_ARGUMENT)$/);
  });

  test("a command's arguments are written as their toJSON says", () => {
    const args = { secret: 1, toJSON: () => ({ told: 2 }) };
    expect(encodeCommand({ arguments: args as unknown as JsonObject, deadline: undefined })).toBe(
      '{"told":2,"meta":{}}',
    );
  });
});

describe('what receivers with the same limits would refuse is refused before it is sent', () => {
  const time = new Date(0);
  const id = 'c1';
  const kinds: Readonly<Record<string, (value: JsonObject, limits: JsonLimits) => string>> = {
    'an event': (payload, limits) =>
      encodeEvent({ eventId: id, eventTime: time, eventType: 'made', aggregate: 'order', payload }, limits),
    'a command': (args, limits) => encodeCommand({ arguments: args, deadline: time }, limits),
    'a call': (data, limits) => encodeCall({ id, replyTo: 'orders', time, deadline: time, data }, limits),
    'an answer': (data, limits) => encodeCallResponse({ id, time, data, error: { code: 'A', message: '' } }, limits),
  };
  const wide = (keys: number): JsonObject => Object.fromEntries(Array.from({ length: keys }, (_, n) => [`k${n}`, n]));
  const deep = (depth: number): JsonObject => ({ a: JSON.parse(nested(depth - 1)) });

  describe.each(Object.entries(kinds))('%s', (_kind, encode) => {
    test.each<[string, (n: number) => JsonObject, keyof JsonLimits]>([
      ['too many keys', wide, 'keys'],
      ['what is nested too deep', deep, 'depth'],
    ])('with %s, by the default limits and by others', (_what, make, limit) => {
      for (const most of [DEFAULT_JSON_LIMITS[limit], 30, 200]) {
        const limits = { ...DEFAULT_JSON_LIMITS, [limit]: most };
        let passed = 0;
        for (let n = most - 12; n <= most; n++) {
          try {
            // What it lets pass can be read.
            decodeJson(bytes(encode(make(n), limits)), limits);
            passed = n;
          } catch (error) {
            expect(error).toMatchObject({ code: 'SVC_COMM_UNSERIALISABLE_PAYLOAD' });
          }
        }
        expect(most - passed, 'what the envelope takes').toBeGreaterThan(0);
        expect(most - passed, 'what the envelope takes').toBeLessThan(10);
      }
    });

    test('with keys that reach for a prototype, wherever they are', () => {
      for (const value of [{ constructor: { prototype: 1 } }, { list: [{ constructor: { prototype: {}, a: 1 } }] }]) {
        const refused = failure(() => encode(value, DEFAULT_JSON_LIMITS));
        expect(refused).toMatchObject({
          code: 'SVC_COMM_UNSERIALISABLE_PAYLOAD',
          message: expect.stringContaining('"constructor.prototype"'),
        });
      }
    });

    test('with texts that look like keys passes', () => {
      const value = { text: '":'.repeat(60_000), prototype: 'constructor', constructor: 'prototype' };
      expect(decodeJson(bytes(encode(value, DEFAULT_JSON_LIMITS)))).toMatchObject({});
    });
  });
});
