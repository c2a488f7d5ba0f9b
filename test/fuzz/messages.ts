import type { Options } from 'amqplib';
import { HEADER } from '../../src/message/message.ts';
import type { Random } from '../faults/random.ts';
import { damaged, randomBytes } from './mutate.ts';

export interface HostileMessage {
  readonly routingKey: string;
  readonly body: Buffer;
  readonly properties: Options.Publish;
}

/** What each route is meant to be sent; where the damage begins. */
const GOOD: readonly (readonly [routingKey: string, body: object])[] = [
  [
    'event.a',
    {
      eventId: 1,
      eventTime: '2026-01-01T00:00:00.000Z',
      eventType: 'event.a',
      aggregate: 'x',
      payload: { a: [1, null] },
    },
  ],
  [
    'event.a',
    { event_id: 'e', event_time: '2026-01-01T00:00:00Z', event_type: 'event.a', aggregate: 'x', payload: 'text' },
  ],
  ['command', { phone: '1', meta: { expiredTime: '2999-01-01T00:00:00.5+02:00' } }],
  ['command', { meta: {} }],
  ['call', { id: 'c-1', meta: { replyTo: 'nowhere', time: '2026-01-01T00:00:00.000Z' }, data: { sku: 7 } }],
  ['raw', { anything: true }],
  ['nobody.wants.it', {}],
];
const WORDS = [
  '__proto__',
  'constructor',
  'toString',
  '',
  '\0',
  '\ud800',
  '€',
  'x'.repeat(300),
  '-1',
  'NaN',
  '1e999',
  'null',
];
const TIMES = [
  '2026-13-45T99:99:99Z',
  '0000-00-00',
  '+275760-09-13T00:00:00.001Z',
  'now',
  '2026-01-01',
  '1'.repeat(400),
];

/** A JSON text by nobody's rules. */
function hostileJson(random: Random, depth = 0): string {
  switch (random.below(depth > 4 ? 5 : 8)) {
    case 0:
      return JSON.stringify(random.pick(WORDS));
    case 1:
      return JSON.stringify(random.pick(TIMES));
    case 2:
      return random.pick(['1e400', '-0', '12345678901234567890', '0.1e-400', 'true', 'null', '01', '.5']);
    case 3:
      return random.pick([
        '{}',
        '[]',
        '',
        '{"a":1,"a":2}',
        '{"__proto__":{"polluted":true}}',
        '{"constructor":{"prototype":{"polluted":1}}}',
      ]);
    case 4:
      return '['.repeat(random.below(200)) + ']'.repeat(random.below(200));
    case 5:
      return `[${Array.from({ length: random.below(5) }, () => hostileJson(random, depth + 1)).join(',')}]`;
    default: {
      const names = [...WORDS, 'meta', 'eventId', 'eventTime', 'payload', 'id', 'data', 'replyTo', 'expiredTime'];
      const member = () => `${JSON.stringify(random.pick(names))}:${hostileJson(random, depth + 1)}`;
      return `{${Array.from({ length: random.below(6) }, member).join(',')}}`;
    }
  }
}

function hostileHeader(random: Random, depth = 0): unknown {
  switch (random.below(depth > 3 ? 8 : 10)) {
    case 0:
      return random.pick(WORDS);
    case 1:
      return random.below(2 ** 31) - 2 ** 30;
    case 2:
      return random.next() * 1e300;
    case 3:
      return random.isOneIn(2);
    case 4:
      return randomBytes(random, random.below(40));
    case 5:
      return null;
    case 6:
      return random.pick(TIMES);
    case 7:
      return { '!': 'timestamp', value: random.below(2 ** 31) };
    case 8:
      return Array.from({ length: random.below(4) }, () => hostileHeader(random, depth + 1));
    default:
      return Object.fromEntries(
        Array.from({ length: random.below(4) }, () => [
          random.pick(WORDS).slice(0, 100),
          hostileHeader(random, depth + 1),
        ]),
      );
  }
}

export function hostileMessage(random: Random, number: number): HostileMessage {
  const [routingKey, good] = random.pick(GOOD);
  const whole = Buffer.from(JSON.stringify(good));
  const body = random.pick([whole, damaged(whole, random), Buffer.from(hostileJson(random))]);
  const names = [
    ...Object.values(HEADER),
    ...WORDS.map((word) => word.slice(0, 100)),
    'x-death',
    'x-delivery-count',
    'CC',
    'BCC',
  ];
  const headers: Record<string, unknown> = {};
  for (let i = random.below(4); i > 0; i--) {
    const name = random.pick(names);
    // The broker itself refuses what these two hold unless it is a list of queues.
    if (name === 'CC' || name === 'BCC') continue;
    // `__proto__` too becomes a header and not the object's prototype.
    Object.defineProperty(headers, name, { value: hostileHeader(random), enumerable: true, configurable: true });
  }
  const text = (): string => random.pick([...WORDS, ...TIMES]).slice(0, 60);
  const properties: Options.Publish = {
    headers,
    ...(random.isOneIn(2) && { messageId: random.isOneIn(4) ? text() : `m-${number}` }),
    ...(random.isOneIn(4) && { correlationId: text() }),
    ...(random.isOneIn(4) && { contentType: random.pick(['application/json', 'text/json', 'image/png', text()]) }),
    ...(random.isOneIn(4) && { contentEncoding: random.pick(['utf-8', 'gzip', 'latin1', text()]) }),
    ...(random.isOneIn(6) && { appId: text() }),
    ...(random.isOneIn(6) && { type: text() }),
    ...(random.isOneIn(6) && { replyTo: text() }),
    ...(random.isOneIn(6) && { timestamp: random.below(2 ** 31) }),
    ...(random.isOneIn(6) && { priority: random.below(10) }),
  };
  return { routingKey, body, properties };
}
