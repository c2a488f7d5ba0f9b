import { expect, test } from 'vitest';
import { Forwarder } from '../../src/consumer/forward.ts';
import { InFlight } from '../../src/consumer/in-flight.ts';
import { DEFAULT_CONSUMER_OPTIONS } from '../../src/consumer/options.ts';
import { ParkedKeys } from '../../src/consumer/parked-keys.ts';
import { Settler } from '../../src/consumer/settler.ts';
import { createCounters } from '../../src/consumer/stats.ts';
import { Unhandled } from '../../src/consumer/unhandled.ts';
import { DeliveryLostError } from '../../src/errors.ts';
import { systemClock } from '../../src/lifecycle/clock.ts';
import { silentLogger } from '../../src/lifecycle/logger.ts';
import { HEADER, type Headers, type Message } from '../../src/message/message.ts';
import type { Route } from '../../src/router/route.ts';
import { deferred } from '../../src/util/deferred.ts';
import { DEFAULT_JSON_LIMITS } from '../../src/wire/json.ts';

function setup(publish: (message: Message) => Promise<void> = async () => undefined) {
  const log: string[] = [];
  const counters = createCounters();
  const parked = new ParkedKeys(() => undefined);
  const forwarder = new Forwarder({
    publisher: {
      publish: async (message) => {
        log.push(`copy to ${message.routingKey}`);
        await publish(message);
      },
    },
    topology: { ensure: async () => void log.push('ensure') },
    topologySpec: {
      exchanges: [],
      queue: { name: 'q', type: 'quorum', singleActiveConsumer: false, arguments: {} },
      binds: [],
      retryDelaysMs: [],
    },
    logger: silentLogger,
  });
  const settler = new Settler({
    forwarder,
    inboxOf: () => ({
      handle: () => Promise.reject(new Error('not used')),
      grouped: () => expect.fail('not used'),
      markDead: async () => void log.push('mark dead'),
      parkKey: async (_queue, key) => void log.push(`park ${key}`),
    }),
    scheduler: undefined,
    parked,
    counters,
    retry: DEFAULT_CONSUMER_OPTIONS.retry,
    clock: systemClock,
    logger: silentLogger,
  });
  const message = (key?: string, { body = '{}', messageId = 'm', copy = undefined as Headers | undefined } = {}) => {
    const settling = new InFlight(
      {
        queue: 'q',
        exchange: copy ? '' : 'x',
        routingKey: copy ? 'q' : 'r',
        redelivered: false,
        body: Buffer.from(body),
        properties: { messageId, headers: { ...copy, ...(key === undefined ? {} : { [HEADER.key]: key }) } },
        lost: new AbortController().signal,
        ack: () => log.push('ack') > 0,
        release: () => log.push('release') > 0,
      },
      DEFAULT_JSON_LIMITS,
    );
    settling.move('running');
    settling.move('settling');
    return settling;
  };
  return { log, counters, parked, settler, message };
}

test('a dead letter is confirmed, then its key parked, then it is marked, then acked', async () => {
  const { log, counters, settler, message } = setup();
  await settler.deadLetter(message('k'), 'attempts', new Error('x'));
  expect(log).toEqual(['copy to q.dead', 'park k', 'mark dead', 'ack']);
  expect(counters.deadLettered.attempts).toBe(1);
});

test('of dead letters without a message id an event is marked by its event id; a command is not, whose eventId is an argument', async () => {
  const { log, settler, message } = setup();
  for (const hasEventId of [true, false]) {
    const letter = message(undefined, { body: '{"eventId":7}', messageId: '' });
    letter.route = { name: 'h', hasEventId } as Route;
    await settler.deadLetter(letter, 'attempts', new Error('x'));
  }
  expect(log).toEqual(['copy to q.dead', 'mark dead', 'ack', 'copy to q.dead', 'ack']);
});

test('a message that cannot be read neither parks its key nor is marked', async () => {
  const { log, settler, message } = setup();
  await settler.deadLetter(message('k'), 'malformed', new Error('x'));
  expect(log).toEqual(['copy to q.dead', 'ack']);
});

const redriven = (...codes: string[]): Headers => ({
  [HEADER.exchange]: 'x',
  [HEADER.routingKey]: 'r',
  [HEADER.redriven]: 'now',
  [HEADER.failures]: JSON.stringify(codes.map((code) => ({ time: 't', code, message: 'm', host: 'h' }))),
});

test.each(['unhandled', 'malformed'] as const)(
  'a redriven message that is %s parks its key again when a handler has had it, and does not when none ever had',
  async (reason) => {
    const { log, settler, message } = setup();
    const seen = redriven('Error', 'SVC_COMM_UNHANDLED_MESSAGE');
    const unseen = redriven('SVC_COMM_UNHANDLED_MESSAGE', 'SVC_COMM_MALFORMED_MESSAGE');
    for (const copy of [seen, unseen]) await settler.deadLetter(message('k', { copy }), reason, new Error('x'));
    expect(log).toEqual(['copy to q.dead', 'park k', 'ack', 'copy to q.dead', 'ack']);
  },
);

test('what only waited behind its key parks it again while no handler takes it, and no more once it turns out that it cannot be read', async () => {
  const { log, settler, message } = setup();
  const copies = [
    redriven('SVC_COMM_KEY_PARKED'),
    redriven('SVC_COMM_KEY_PARKED', 'SVC_COMM_UNHANDLED_MESSAGE'),
    redriven('SVC_COMM_KEY_PARKED', 'SVC_COMM_MALFORMED_MESSAGE'),
  ];
  const letters: string[][] = [];
  for (const copy of copies) {
    for (const reason of ['unhandled', 'malformed'] as const) {
      await settler.deadLetter(message('k', { copy }), reason, new Error('x'));
      letters.push(log.splice(0));
    }
  }
  const [holding, free] = [
    ['copy to q.dead', 'park k', 'ack'],
    ['copy to q.dead', 'ack'],
  ];
  expect(letters).toEqual([holding, free, holding, free, free, free]);
});

test('a redriven letter that cannot be read frees its key of the handlers without inbox, once', async () => {
  const { parked, settler, message } = setup();
  for (const letter of ['a', 'b']) parked.park('k', `/${letter}`, false);
  const cannotBeRead = (messageId: string) =>
    settler.deadLetter(message('k', { messageId, copy: redriven('SVC_COMM_KEY_PARKED') }), 'malformed', new Error('x'));
  await cannotBeRead('a');
  await cannotBeRead('a');
  expect(parked.has('k')).toBe(true);
  await cannotBeRead('b');
  expect(parked.has('k')).toBe(false);
});

test('a redriven letter that another process had parked frees no key that one of this process holds', async () => {
  const { parked, settler, message } = setup();
  const failed = message('k', { messageId: 'a', copy: redriven('SVC_COMM_HANDLER_FAILED') });
  await settler.deadLetter(failed, 'attempts', new Error('x'));
  const behind = (messageId: string) => message('k', { messageId, copy: redriven('SVC_COMM_KEY_PARKED') });
  await settler.deadLetter(behind('b'), 'malformed', new Error('x'));
  settler.ack(behind('c'), 'handled');
  expect(parked.has('k')).toBe(true);
  settler.ack(message('k', { messageId: 'a', copy: redriven('SVC_COMM_HANDLER_FAILED') }), 'handled');
  expect(parked.has('k')).toBe(false);
});

test('while its copy is not confirmed a message is not acked; once its channel is lost no copy counts', async () => {
  const gate = deferred();
  const { log, counters, settler, message } = setup(() => gate.promise);
  const one = message();
  const settled = settler.retry(one, new Error('x'), undefined);
  settler.lose(one, new DeliveryLostError('q'));
  gate.resolve();
  await settled;
  expect(log).toEqual(['copy to q.retry.1000']);
  expect(counters).toMatchObject({ lost: 1, retried: 0 });
});

test('nothing is published for a message whose channel was lost before', async () => {
  const { log, counters, settler, message } = setup();
  const one = message();
  settler.lose(one, new DeliveryLostError('q'));
  await settler.deadLetter(one, 'attempts', new Error('x'));
  expect(log).toEqual([]);
  expect(counters).toMatchObject({ lost: 1 });
});

test('a parked key comes free when each of its letters was redriven and settled, also those that look alike', () => {
  const parked = new ParkedKeys(() => undefined);
  parked.park('k', 'a', false);
  parked.park('k', 'b', false);
  parked.park('k', 'b', false);
  parked.park('k', 'a', true);
  for (const letter of ['a', 'a', 'of another process', 'b']) parked.settle('k', letter);
  expect(parked.has('k')).toBe(true);
  parked.settle('k', 'b');
  expect(parked.has('k')).toBe(false);
  parked.settle('k', 'b');
  expect(parked.has('k')).toBe(false);
});

test('letters beyond those that are remembered, of all keys, are counted', () => {
  const parked = new ParkedKeys(() => undefined);
  for (let n = 0; n < 100_000; n++) parked.park('many', `${n}`, false);
  for (const letter of ['a', 'b', 'c']) parked.park('k', letter, false);
  parked.park('k', 'c', true);
  for (const letter of ['a', 'b']) parked.settle('k', letter);
  expect(parked.has('k')).toBe(true);
  parked.settle('k', 'c');
  expect(parked.has('k')).toBe(false);
  for (let n = 0; n < 100_000; n++) parked.settle('many', `${n}`);
  expect(parked.has('many')).toBe(false);
  // There is room for them again: each is told from one of another process.
  parked.park('k', 'a', false);
  parked.settle('k', 'of another process');
  expect(parked.has('k')).toBe(true);
});

test('parked keys are bounded: the oldest is forgotten, and said so', () => {
  const forgotten: string[] = [];
  const parked = new ParkedKeys((key) => forgotten.push(key));
  for (let n = 0; n < 100_002; n++) parked.park(`k${n}`, 'a', false);
  expect(forgotten).toEqual(['k0', 'k1']);
  expect(parked.has('k0')).toBe(false);
  expect(parked.has('k2')).toBe(true);
});

test('an unhandled route is warned about once, and at most 1,000 routes are', () => {
  const warnings: object[] = [];
  const unhandled = new Unhandled('ack', { ...silentLogger, warn: (fields) => warnings.push(fields) });
  for (let n = 0; n < 2_400; n++) {
    const route = { exchange: 'x', routingKey: `r${Math.floor(n / 2)}` };
    expect(unhandled.verdict(route)).toEqual({ kind: 'ack', outcome: 'unhandled' });
  }
  expect(warnings).toHaveLength(1_000);
});

test('what a handler of ours has had is kept whatever is set, and each fate of a route is warned about', () => {
  const warnings: string[] = [];
  const unhandled = new Unhandled('ack', { ...silentLogger, warn: (_fields, text) => warnings.push(text) });
  const route = { exchange: 'x', routingKey: 'r' };
  for (let n = 0; n < 2; n++) {
    expect(unhandled.verdict({ ...route, copyHeaders: {} })).toMatchObject({ kind: 'dead', reason: 'unhandled' });
    expect(unhandled.verdict(route)).toMatchObject({ kind: 'ack' });
  }
  expect(warnings).toEqual([expect.stringContaining('kept'), expect.stringContaining('dropped')]);
});
