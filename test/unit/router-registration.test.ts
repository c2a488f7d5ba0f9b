import { describe, expect, test } from 'vitest';
import { event as defineEvent } from '../../src/message/contract.ts';
import type { Incoming, MessageContext } from '../../src/message/handler.ts';
import { eventConsumer } from '../../src/router/event-consumer.ts';
import { explanationText } from '../../src/router/explain-text.ts';
import { rawConsumer } from '../../src/router/raw-consumer.ts';
import { MessageRouter } from '../../src/router/router.ts';

const context = {} as MessageContext;
const message = (routingKey: string, body: unknown) => ({ routingKey, body }) as Incoming;
const event = {
  eventId: 4,
  event_time: '2026-11-22T10:36:59Z',
  event_type: 'update.base',
  aggregate: 'user',
  payload: { userId: 1 },
};

const contract = defineEvent('user', 'a.b', {
  '~standard': { version: 1, vendor: 'test', validate: (value) => ({ value }) },
});

const thrownBy = (run: () => unknown): unknown => {
  try {
    run();
  } catch (error) {
    return error;
  }
  return 'nothing thrown';
};

describe('a free function', () => {
  test('gets routing key, body and context, and is handed back, so that it can be registered again', async () => {
    const router = new MessageRouter();
    const seen: unknown[] = [];
    const fn = (...args: readonly unknown[]) => seen.push(...args);
    expect(router.consumer('a', 'x')(router.consumer('b', 'y')(fn))).toBe(fn);
    await router.resolve('a', 'x')?.invoke(message('x', { k: 1 }), context);
    expect(seen).toEqual(['x', { k: 1 }, context]);
    expect(router.resolve('b', 'y')?.name).toBe('fn');
  });

  test('with eventConsumer gets payload, event and context, and stays callable', async () => {
    const router = new MessageRouter();
    const onUser = eventConsumer((payload: { userId: number }, { eventType }, given) => [
      payload.userId,
      eventType,
      given === context,
    ]);
    router.consumer('user')(onUser);
    const route = router.resolve('user', 'update.base');
    expect(JSON.parse(JSON.stringify(route))).toEqual({
      level: 'exchange',
      exchange: 'user',
      name: "consumer('user')",
      file: 'test/unit/router-registration.test.ts',
      kind: 'event',
      options: {},
    });
    expect(await route?.invoke(message('update.base', event), context)).toEqual([1, 'update.base', true]);
    const info = { eventId: '1', eventTime: new Date(0), eventType: 't', aggregate: 'user' };
    expect(onUser({ userId: 2 }, info, context)).toEqual([2, 't', true]);
  });

  test('may be registered twice with different options', () => {
    const router = new MessageRouter();
    const fn = () => undefined;
    router.consumer('a')(eventConsumer(fn, { inbox: false }));
    router.consumer('b')(eventConsumer(fn, { inbox: true, timeout: '1m' }));
    expect(router.routes.map((route) => route.options)).toEqual([
      { inbox: false, timeoutMs: undefined, group: undefined },
      { inbox: true, timeoutMs: 60_000 },
    ]);
  });

  test('that throws at once rejects, and a body that is no event rejects as malformed', async () => {
    const router = new MessageRouter();
    router.consumer('a')(() => {
      throw new Error('mine');
    });
    router.consumer('b')(eventConsumer(() => undefined));
    await expect(router.resolve('a', '')?.invoke(message('', {}), context)).rejects.toThrow('mine');
    await expect(router.resolve('b', '')?.invoke(message('', []), context)).rejects.toMatchObject({
      code: 'SVC_COMM_MALFORMED_MESSAGE',
    });
  });

  test('can be the default consumer', async () => {
    const router = new MessageRouter();
    router.defaultConsumer((routingKey) => `took ${routingKey}`);
    expect(await router.resolve('any', 'thing')?.invoke(message('thing', 0), context)).toBe('took thing');
  });
});

describe('what cannot be registered says so at once', () => {
  test('the same exchange and pattern twice, naming both functions and their files', () => {
    const router = new MessageRouter();
    router.consumer('user', 'a.*')(function first() {});
    const error = thrownBy(() => router.consumer('user', 'a.*')(function second() {}));
    expect(error).toMatchObject({ code: 'SVC_COMM_DUPLICATE_CONSUMER', route: 'exchange "user", pattern "a.*"' });
    expect(String(error)).toMatch(/first \(test\/unit\/router-registration\.test\.ts\) and second \(test/);
    expect(router.routes).toHaveLength(1);
  });

  test.each([
    ['an exact key', (router: MessageRouter) => router.consumer('user', 'a')],
    ['an exchange', (router: MessageRouter) => router.consumer('user')],
    ['every exchange', (router: MessageRouter) => router.consumer()],
    ['the default', (router: MessageRouter) => router.defaultConsumer],
  ])('%s twice', (_, mark) => {
    const router = new MessageRouter();
    mark(router)(() => undefined);
    expect(thrownBy(() => mark(router)(() => undefined))).toMatchObject({ code: 'SVC_COMM_DUPLICATE_CONSUMER' });
  });

  test.each([
    [{ inbx: true }],
    [{ inbox: 'yes' }],
    [{ timeout: 0 }],
    [{ timeout: '5 s' }],
    [{ timeout: -1 }],
    [{ timeout: '25d' }],
    [{ timeout: Number.NaN }],
    [{ group: 0 }],
    [{ group: 1001 }],
    [{ group: 2.5 }],
    [{ group: '5' }],
    [{ group: 5, inbox: false }],
  ])('the options %j', (options: object) => {
    expect(thrownBy(() => eventConsumer(() => undefined, options))).toMatchObject({
      code: 'SVC_COMM_INVALID_ARGUMENT',
    });
    expect(thrownBy(() => eventConsumer(options))).toMatchObject({ code: 'SVC_COMM_INVALID_ARGUMENT' });
  });

  test('two kinds for one function, a class, and what is no function', () => {
    const untyped = (value: unknown) => value as () => undefined;
    const invalid = { code: 'SVC_COMM_INVALID_CONSUMER' };
    expect(thrownBy(() => rawConsumer(untyped(eventConsumer(() => undefined))))).toMatchObject(invalid);
    expect(thrownBy(() => new MessageRouter().consumer('x')(untyped(class {})))).toMatchObject(invalid);
    expect(thrownBy(() => new MessageRouter().consumer('x')(untyped('text')))).toMatchObject(invalid);
    expect(thrownBy(() => new MessageRouter().register(untyped(null)))).toMatchObject(invalid);
    expect(thrownBy(() => eventConsumer(untyped('text')))).toMatchObject({ code: 'SVC_COMM_INVALID_ARGUMENT' });
  });

  test('a function where the names stand: it would never be called, and its messages be acked', () => {
    const consumer = new MessageRouter().consumer as (...args: readonly unknown[]) => unknown;
    const fn = () => undefined;
    const invalid = {
      code: 'SVC_COMM_INVALID_CONSUMER',
      message: expect.stringContaining('messageRouter.consumer(exchange, pattern)(fn)'),
    };
    for (const given of [[fn], ['user', fn], ['user', 'a.*', fn], ['user', 'a.*', { inbox: false }], [contract, fn]]) {
      expect(thrownBy(() => consumer(...given))).toMatchObject(invalid);
    }
    // What it gets as a decorator without its parentheses, standard and legacy.
    expect(thrownBy(() => consumer(fn, { kind: 'method', name: 'onUser' }))).toMatchObject(invalid);
    expect(thrownBy(() => consumer({}, 'onUser', { value: fn }))).toMatchObject(invalid);
  });
});

describe('what the queue must be bound to', () => {
  test('is each exchange and pattern once; an exchange without a pattern is `#`, and those without an exchange add none', () => {
    const router = new MessageRouter();
    const fn = () => undefined;
    router.consumer('user', 'a.*')(fn);
    router.consumer('user', 'b')(fn);
    router.consumer('audit')(fn);
    router.consumer('audit', '#')(fn);
    router.consumer('', 'my-queue')(fn);
    router.consumer()(fn);
    router.defaultConsumer(fn);
    expect(router.bindings()).toEqual([
      { exchange: 'user', pattern: 'a.*' },
      { exchange: 'user', pattern: 'b' },
      { exchange: 'audit', pattern: '#' },
    ]);
  });
});

describe('explain', () => {
  const router = new MessageRouter();
  router.consumer('user', 'update.#')(function byHash() {});
  router.consumer('user', 'update.*')(function byStar() {});
  router.consumer('user', 'upsert.*')(function other() {});
  router.consumer('user')(eventConsumer(function whole() {}));
  router.consumer('shop')(function elsewhere() {});
  router.defaultConsumer(function rest() {});

  test('says which route takes a message, which others were considered in their order, and why', () => {
    const explanation = router.explain('user', 'update.base');
    expect(explanation.taken).toBe(router.resolve('user', 'update.base'));
    expect(explanation.considered.map(({ route, verdict }) => `${route.name} ${verdict}`)).toEqual([
      'byStar taken',
      'other differs',
      'byHash next',
      'whole next',
      'rest next',
    ]);
  });

  test('reads as text for people', () => {
    const file = '(test/unit/router-registration.test.ts)';
    expect(explanationText(router.explain('user', 'update.base'))).toBe(
      [
        'exchange "user", routing key "update.base"',
        `→ byStar ${file}`,
        `  ✓ "update.*" (raw) byStar ${file}: the most specific of the patterns that match`,
        `  ✗ "upsert.*" (raw) other ${file}: its pattern does not match`,
        `  · "update.#" (raw) byHash ${file}: "update.*" is more specific: at word 2 \`*\` comes before \`#\``,
        `  · whole exchange (event) whole ${file}: a pattern comes before the consumer of the whole exchange`,
        `  · default (raw) rest ${file}: a pattern comes before the default consumer`,
      ].join('\n'),
    );
  });

  test('says that nothing takes a message, and counts the many that do not match', () => {
    const many = new MessageRouter();
    for (let i = 0; i < 25; i += 1) many.consumer('user', `type${i}`)(() => undefined);
    const lines = explanationText(many.explain('user', 'x')).split('\n');
    expect(lines[1]).toBe('→ no consumer takes it');
    expect(lines).toHaveLength(13);
    expect(lines.at(-1)).toBe('    and 15 more that do not match');
  });
});
