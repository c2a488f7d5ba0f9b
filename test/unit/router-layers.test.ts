import { describe, expect, test } from 'vitest';
import {
  BrokerUnavailableError,
  DatabaseBusyError,
  DatabaseUnavailableError,
  DeliveryLostError,
  HandlerStoppedError,
  HandlerTimeoutError,
  MalformedMessageError,
  Reject,
  RetryLater,
} from '../../src/errors.ts';
import { type Logger, silentLogger } from '../../src/lifecycle/logger.ts';
import { deriveContext } from '../../src/message/context.ts';
import type { Incoming, MessageContext, Middleware, Verdict } from '../../src/message/handler.ts';
import type { Inbox, InboxGroups, InboxRequest, InboxResult } from '../../src/message/inbox.ts';
import type { MessageProperties } from '../../src/message/message.ts';
import { commandConsumer } from '../../src/router/command-consumer.ts';
import type { ConsumerOptions } from '../../src/router/kind.ts';
import { inbox as inboxLayer } from '../../src/router/middleware/inbox.ts';
import type { PipelineOptions } from '../../src/router/pipeline.ts';
import { type RawHandler, rawConsumer } from '../../src/router/raw-consumer.ts';
import { MessageRouter } from '../../src/router/router.ts';
import { currentCorrelation } from '../../src/util/correlation.ts';
import { deferred } from '../../src/util/deferred.ts';
import type { Duration } from '../../src/util/duration.ts';

/** An inbox that keeps what a database would: which claims were committed, and what was rolled back. */
class RecordingInbox implements Inbox {
  readonly committed: InboxRequest[] = [];
  readonly rolledBack: unknown[] = [];
  readonly groups: InboxGroups[] = [];
  readonly answer: 'done' | 'dead' | 'parked' | undefined;
  constructor(answer?: 'done' | 'dead' | 'parked') {
    this.answer = answer;
  }
  async handle<T>(request: InboxRequest, work: (transaction: unknown) => Promise<T>): Promise<InboxResult<T>> {
    if (this.answer) return { kind: this.answer };
    try {
      const value = await work('the transaction');
      this.committed.push(request);
      return { kind: 'handled', value };
    } catch (error) {
      this.rolledBack.push(error);
      throw error;
    }
  }
  grouped(groups: InboxGroups): Pick<Inbox, 'handle'> {
    this.groups.push(groups);
    return this;
  }
  async markDead(): Promise<void> {}
  async parkKey(): Promise<void> {}
}

interface Setup extends Partial<PipelineOptions> {
  readonly of?: ConsumerOptions;
  readonly properties?: MessageProperties;
  readonly body?: unknown;
  readonly signal?: AbortSignal;
  readonly use?: readonly Middleware[];
}

/** Runs one message through all layers of one route. */
function run(fn: RawHandler, setup: Setup = {}): Promise<Verdict> {
  const { of: options = {}, properties = { messageId: 'm1' }, body = {}, use = [], ...pipeline } = setup;
  const router = new MessageRouter();
  router.consumer('x')(rawConsumer(fn, options));
  router.use(...use);
  const incoming = {
    delivery: { queue: 'q', properties },
    exchange: 'x',
    routingKey: 'k',
    key: 'order-1',
    isRedriven: false,
    body,
  };
  const signal = setup.signal ?? new AbortController().signal;
  const { correlationId, headers = {} } = properties;
  const context: Partial<MessageContext> = { headers, correlationId, signal, transaction: undefined };
  const routed = router.handlers({ logger: silentLogger, ...pipeline })('x', 'k');
  if (!routed) throw new Error('no route');
  return routed.handle(incoming as unknown as Incoming, context as MessageContext);
}

const unreadable = (): never => {
  throw new Error('unreadable');
};

const throwing = (error: unknown): RawHandler => {
  return () => {
    throw error;
  };
};

describe('what a handler returns or throws becomes a verdict', () => {
  test('returning acks, with what was returned', async () => {
    expect(await run(async () => 'value')).toEqual({ kind: 'ack', outcome: 'handled', value: 'value' });
  });

  test.each<[string, RawHandler]>([
    [
      'function*',
      function* () {
        yield unreadable();
      },
    ],
    [
      'async function*',
      async function* () {
        yield unreadable();
      },
    ],
  ])('a %s, whose body nobody would run, is no success', async (_, generator) => {
    const error = expect.objectContaining({ code: 'SVC_COMM_INVALID_CONSUMER' });
    expect(await run(generator)).toMatchObject({ kind: 'retry', error });
  });

  const url = 'amqp://localhost';
  test.each<[string, Error, Partial<Verdict>]>([
    ['Reject goes to the dead letters', new Reject('no'), { kind: 'dead', reason: 'rejected' }],
    [
      'a malformed message goes to the dead letters',
      new MalformedMessageError('not-json', ''),
      { kind: 'dead', reason: 'malformed' },
    ],
    ['RetryLater is retried after its delay', new RetryLater(1500), { kind: 'retry', delayMs: 1500 }],
    ['RetryLater takes a duration with its unit', new RetryLater('1.5s'), { kind: 'retry', delayMs: 1500 }],
    ['anything else is retried as the settings say', new TypeError('oops'), { kind: 'retry' }],
    ['a busy pool is retried', new DatabaseBusyError(10_000, []), { kind: 'retry' }],
    ['no broker gives the message back', new BrokerUnavailableError([url], ''), { kind: 'release' }],
    ['no database gives the message back', new DatabaseUnavailableError(url, ''), { kind: 'release' }],
  ])('%s', async (_, error, verdict) => {
    expect(await run(throwing(error))).toEqual({ ...verdict, error });
  });

  test.each<Duration>([
    Number.MAX_VALUE,
    1e17,
    Number.POSITIVE_INFINITY,
    Number.NaN,
    0,
    -1,
    '0s',
    '36501d',
    '1 week' as '1d',
  ])(
    'RetryLater(%s), after which no message could come again, is refused, and is a failed run like any other',
    async (delayMs) => {
      const handler = async () => {
        throw new RetryLater(delayMs);
      };
      const error = expect.objectContaining({ code: 'SVC_COMM_INVALID_ARGUMENT', argument: 'RetryLater delayMs' });
      expect(await run(handler)).toEqual({ kind: 'retry', error });
    },
  );

  test('errors of a second copy of this package count as well', async () => {
    const foreign = Object.assign(new Error('no'), { code: 'SVC_COMM_RETRY_LATER', delayMs: 7 });
    expect(await run(throwing(foreign))).toEqual({ kind: 'retry', error: foreign, delayMs: 7 });
  });

  test.each([['a text'], [undefined], [null], [Object.create(null)], [Symbol('s')]])(
    'a thrown %o, which is no Error, is a failed run like any other',
    async (thrown) => {
      const verdict = await run(throwing(thrown));
      expect(verdict).toMatchObject({ kind: 'retry', error: { code: 'SVC_COMM_THROWN_VALUE' } });
    },
  );

  test.each([
    ['a message that is no text', Object.assign(new Error(), { message: { status: 500 } })],
    ['no message', Object.assign(new Error(), { message: undefined })],
    ['a name that is no text', Object.assign(new Error('x'), { name: Symbol('s') })],
    ['a code that throws', Object.defineProperty(new Error('x'), 'code', { get: unreadable })],
    ['a message that throws', Object.defineProperty(new Error(), 'message', { get: unreadable })],
  ])('an Error with %s is a failed run like any other, and its text can be read', async (_, thrown) => {
    const verdict = await run(throwing(thrown));
    expect(verdict).toMatchObject({ kind: 'retry', error: { code: 'SVC_COMM_THROWN_VALUE' } });
    expect(verdict).toHaveProperty('error.message', expect.stringMatching(/^the handler threw /));
  });

  test.each([[new DeliveryLostError('q')], [new HandlerStoppedError(5)]])(
    'a run cut short by %s gives its message back, no attempt counted',
    async (reason) => {
      const error = new Error('aborted');
      expect(await run(throwing(error), { signal: AbortSignal.abort(reason) })).toEqual({ kind: 'release', error });
    },
  );

  test('Reject holds although the run was cut short', async () => {
    const signal = AbortSignal.abort(new HandlerStoppedError(5));
    expect(await run(throwing(new Reject('no')), { signal })).toMatchObject({ kind: 'dead', reason: 'rejected' });
  });
});

describe('inbox', () => {
  test('the handler runs in its transaction; the claim is by queue, sender and message id', async () => {
    const inbox = new RecordingInbox();
    const properties = { messageId: 'm1', appId: 'shop' };
    const verdict = await run((_key, _body, context) => context.transaction, { inbox, properties });
    expect(verdict).toEqual({ kind: 'ack', outcome: 'handled', value: 'the transaction' });
    expect(inbox.committed).toEqual([
      {
        key: { queue: 'q', source: 'shop', messageId: 'm1' },
        orderKey: 'order-1',
        isRedriven: false,
        handler: expect.any(String),
        signal: expect.any(AbortSignal),
        timeoutMs: 600_000,
      },
    ]);
  });

  test('a throw rolls back before it becomes a verdict', async () => {
    const inbox = new RecordingInbox();
    const error = new Reject('no');
    expect(await run(throwing(error), { inbox })).toEqual({ kind: 'dead', reason: 'rejected', error });
    expect(inbox).toMatchObject({ committed: [], rolledBack: [error] });
  });

  test('a verdict other than ack from a layer inside rolls back too, and stands', async () => {
    const inbox = new RecordingInbox();
    const refused: Verdict = { kind: 'retry', error: new Error('not now'), delayMs: 9 };
    expect(await run(() => 'unused', { inbox, use: [() => async () => refused] })).toEqual(refused);
    expect(inbox).toMatchObject({ committed: [], rolledBack: [refused.error] });
  });

  test('a consumer that asks for it shares transactions, as many at once as its concurrency has room for', async () => {
    const inbox = new RecordingInbox();
    await run(() => 'done', { inbox, of: { group: 8 }, concurrency: 20 });
    expect(inbox.groups).toEqual([{ size: 8, atOnce: 2 }]);
    expect(inbox.committed).toHaveLength(1);
  });

  test('the service’s group goes for those that do not say, never above the concurrency, and 1 is none', async () => {
    const inbox = new RecordingInbox();
    await run(() => 'done', { inbox, inboxGroup: 50, concurrency: 10 });
    await run(() => 'done', { inbox, inboxGroup: 50, concurrency: 1 });
    await run(() => 'done', { inbox, inboxGroup: 50, of: { group: 1 } });
    await run(() => 'done', { inbox });
    expect(inbox.groups).toEqual([{ size: 10, atOnce: 1 }]);
    expect(inbox.committed).toHaveLength(4);
  });

  test('a function that runs again in one delivery gets the body as it was sent, and its verdict is the last', async () => {
    const parsed = () => ({ items: ['a'] });
    let body = parsed();
    const incoming = {
      delivery: { queue: 'q', properties: { messageId: 'm' } },
      get body() {
        return body;
      },
      renewBody() {
        body = parsed();
      },
    };
    const twice: Pick<Inbox, 'handle'> = {
      handle: async (_request, work) => {
        await work('first').catch(() => undefined);
        return { kind: 'handled', value: await work('second') };
      },
    };
    const seen: unknown[] = [];
    const layer = inboxLayer({ inbox: twice, handler: 'h', hasEventId: true, timeoutMs: 1000, logger: silentLogger });
    const handle = layer(async ({ body }, context) => {
      seen.push(structuredClone(body));
      (body as { items: string[] }).items.push('changed');
      if (context.transaction === 'first') return { kind: 'dead', reason: 'rejected', error: new Reject('no') };
      return { kind: 'ack', outcome: 'handled' };
    });
    const context = { signal: new AbortController().signal } as MessageContext;
    const verdict = await handle(incoming as unknown as Incoming, context);
    expect(verdict).toEqual({ kind: 'ack', outcome: 'handled' });
    expect(seen).toEqual([{ items: ['a'] }, { items: ['a'] }]);
  });

  test.each(['done', 'dead'] as const)(
    'what is %s already is acked as a duplicate, the handler not run',
    async (mark) => {
      let runs = 0;
      const verdict = await run(() => (runs += 1), { inbox: new RecordingInbox(mark) });
      expect([verdict, runs]).toEqual([{ kind: 'ack', outcome: 'duplicate' }, 0]);
    },
  );

  test('a message of a parked key goes to the dead letters behind the first', async () => {
    expect(await run(() => undefined, { inbox: new RecordingInbox('parked') })).toMatchObject({
      kind: 'dead',
      reason: 'parked',
      error: { code: 'SVC_COMM_KEY_PARKED', key: 'order-1' },
    });
  });

  test.each([
    [{ eventId: 4 }, 'x/4'],
    [{ eventId: 'abc' }, 'x/abc'],
    [{ event_id: 'abc' }, 'x/abc'],
  ])('without a message id the event id of %j serves', async (body, messageId) => {
    const inbox = new RecordingInbox();
    await run(() => undefined, { inbox, body, properties: {} });
    expect(inbox.committed[0]?.key).toEqual({ queue: 'q', source: '', messageId });
  });

  // As the Python peer sends commands: without a message id, their arguments at the top of the body.
  test.each(['eventId', 'event_id'])(
    'two commands with the same argument %s are no copies of each other: both are handled',
    async (argument) => {
      const inbox = new RecordingInbox('done');
      const seen: unknown[] = [];
      const router = new MessageRouter();
      router.consumer('sms', 'send')(commandConsumer((args) => seen.push(args)));
      router.consumer('sms', 'raw')((_key, body) => seen.push(body));
      const bodies = ['ann', 'bob'].map((attendee) => ({ [argument]: 7, attendee, meta: {} }));
      for (const routingKey of ['send', 'raw']) {
        const handle = router.handlers({ logger: silentLogger, inbox })('sms', routingKey)?.handle;
        for (const body of bodies) {
          const incoming = { delivery: { queue: 'q', properties: {} }, exchange: 'sms', routingKey, body };
          const context = { headers: {}, signal: new AbortController().signal };
          const verdict = await handle?.(incoming as unknown as Incoming, context as unknown as MessageContext);
          expect(verdict).toMatchObject({ kind: 'ack', outcome: 'handled' });
        }
      }
      const given = bodies.map(({ meta, ...args }) => args);
      expect(seen).toEqual([...given, ...bodies]);
    },
  );

  test('ids that PostgreSQL could not store or index are stored as their digest', async () => {
    const inbox = new RecordingInbox();
    await run(() => undefined, { inbox, properties: { messageId: 'a\0b', appId: 'c\0' } });
    await run(() => undefined, { inbox, properties: {}, body: { eventId: 'x'.repeat(5_000) } });
    for (const { key } of inbox.committed) expect(key.messageId).toMatch(/^sha256:[\da-f]{64}$/);
    expect(inbox.committed[0]?.key.source).toMatch(/^sha256:/);
  });

  test('an event id that is no number to JSON tells no message from another', async () => {
    const inbox = new RecordingInbox('done');
    const body = { eventId: JSON.parse('1e400') };
    expect(await run(() => undefined, { inbox, body, properties: {} })).toMatchObject({ outcome: 'handled' });
  });

  test('a message with neither id is handled without inbox, with a warning the first time only', async () => {
    const inbox = new RecordingInbox();
    const warnings: string[] = [];
    const logger: Logger = { ...silentLogger, warn: (_, text) => warnings.push(text) };
    const router = new MessageRouter();
    router.consumer('x')((_key, _body, context) => context.transaction);
    const handle = router.handlers({ logger, inbox })('x', '')?.handle;
    const incoming = { delivery: { queue: 'q', properties: {} }, body: {} } as unknown as Incoming;
    const context = { headers: {} } as MessageContext;
    await handle?.(incoming, context);
    expect(await handle?.(incoming, context)).toEqual({ kind: 'ack', outcome: 'handled', value: undefined });
    expect(warnings).toEqual([expect.stringContaining('neither message_id nor eventId')]);
    expect(inbox.committed).toEqual([]);
  });

  test('it is left out where the consumer says so, or where it is off by default and the consumer does not ask', async () => {
    const inbox = new RecordingInbox();
    await run(() => undefined, { inbox, of: { inbox: false } });
    await run(() => undefined, { inbox, inboxByDefault: false });
    expect(inbox.committed).toHaveLength(0);
    await run(() => undefined, { inbox, inboxByDefault: false, of: { inbox: true } });
    expect(inbox.committed).toHaveLength(1);
  });

  test('a consumer that asks for it without a database is an error at start, not at the first message', () => {
    const router = new MessageRouter();
    router.consumer('x')(rawConsumer(() => undefined, { inbox: true }));
    expect(() => router.handlers({ logger: silentLogger })).toThrow(/asks for the inbox and no database is set/);
  });
});

describe('time limit', () => {
  test('a run over its limit fails, its transaction rolled back, its signal aborted, although it goes on', async () => {
    const inbox = new RecordingInbox();
    const aborted = deferred<unknown>();
    const hang: RawHandler = (_key, _body, { signal }) => {
      signal.addEventListener('abort', () => aborted.resolve(signal.reason));
      return new Promise(() => undefined);
    };
    const verdict = await run(hang, { inbox, of: { timeout: '20ms' } });
    expect(verdict).toMatchObject({ kind: 'retry', error: { code: 'SVC_COMM_HANDLER_TIMEOUT', timeoutMs: 20 } });
    expect(inbox.rolledBack).toHaveLength(1);
    expect(await aborted.promise).toBeInstanceOf(HandlerTimeoutError);
  });

  test('the limit of the consumer goes before that of the service', async () => {
    const hang = () => new Promise(() => undefined);
    expect(await run(hang, { handlerTimeoutMs: 60_000, of: { timeout: 0.01 } })).toMatchObject({
      error: { timeoutMs: 10 },
    });
    expect(await run(hang, { handlerTimeoutMs: 15 })).toMatchObject({ error: { timeoutMs: 15 } });
  });

  test('of many runs at once only those over the limit are ended', async () => {
    const router = new MessageRouter();
    const released = deferred();
    const isSlow = new Set([1, 4]);
    router.consumer('x')((routingKey) => (isSlow.has(Number(routingKey)) ? released.promise : routingKey));
    const lookup = router.handlers({ logger: silentLogger, handlerTimeoutMs: 30 });
    const context = { headers: {}, signal: new AbortController().signal } as MessageContext;
    const verdicts = [0, 1, 2, 3, 4, 5].map((n) =>
      lookup('x', String(n))?.handle({ routingKey: String(n) } as Incoming, context),
    );
    expect((await Promise.all(verdicts)).map((verdict) => verdict?.kind)).toEqual([
      'ack',
      'retry',
      'ack',
      'ack',
      'retry',
      'ack',
    ]);
    released.resolve();
  });

  test('the signal follows the delivery, and no listener is left on it when the run has ended', async () => {
    const outer = new AbortController();
    let listeners = 0;
    const { addEventListener, removeEventListener } = outer.signal;
    outer.signal.addEventListener = (...args: Parameters<typeof addEventListener>) => {
      listeners += 1;
      addEventListener.apply(outer.signal, args);
    };
    outer.signal.removeEventListener = (...args: Parameters<typeof removeEventListener>) => {
      listeners -= 1;
      removeEventListener.apply(outer.signal, args);
    };
    expect(await run((_key, _body, { signal }) => signal.aborted, { signal: outer.signal })).toMatchObject({
      value: false,
    });
    expect(listeners).toBe(0);
    const reason = new Error('gone');
    const verdict = run(
      (_key, _body, { signal }) =>
        new Promise((resolve) => signal.addEventListener('abort', () => resolve(signal.reason))),
      { signal: outer.signal },
    );
    outer.abort(reason);
    expect(await verdict).toMatchObject({ value: reason });
  });
});

describe('correlation', () => {
  const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';

  test('what the handler sends carries the id and the trace of the message on, also after an await', async () => {
    const properties = { messageId: 'm', correlationId: 'c1', headers: { traceparent } };
    const verdict = await run(
      async () => {
        await new Promise((resolve) => setImmediate(resolve));
        return currentCorrelation();
      },
      { properties },
    );
    expect(verdict).toMatchObject({ value: { correlationId: 'c1', traceparent } });
    expect(currentCorrelation()).toBeUndefined();
  });

  test('a traceparent that is none is not passed on', async () => {
    for (const wrong of ['x'.repeat(60_000), `${traceparent}\r\nx: y`, 7]) {
      const properties = { messageId: 'm', headers: { traceparent: wrong } };
      const alone = await run(() => currentCorrelation() ?? 'none', { properties });
      expect(alone).toMatchObject({ value: 'none' });
      const withId = await run(() => currentCorrelation(), { properties: { ...properties, correlationId: 'c1' } });
      expect(withId).toMatchObject({ value: { correlationId: 'c1', traceparent: undefined } });
    }
  });
});

describe('layers of the user', () => {
  test('stand inside inbox and time limit, the first outermost, built once for a route', async () => {
    const said: string[] = [];
    const layer =
      (name: string): Middleware =>
      (next) => {
        said.push(`build ${name}`);
        return (incoming, context) => {
          said.push(`${name} in ${context.transaction}`);
          return next(incoming, deriveContext(context, { transaction: name }));
        };
      };
    const verdict = await run((_key, _body, context) => said.push(`handler in ${context.transaction}`), {
      inbox: new RecordingInbox(),
      use: [layer('first'), layer('second')],
    });
    expect(verdict).toMatchObject({ kind: 'ack' });
    expect(said).toEqual([
      'build second',
      'build first',
      'first in the transaction',
      'second in first',
      'handler in second',
    ]);
  });

  test('one that throws, at once or later, is a failed run', async () => {
    const error = new Error('layer');
    const atOnce: Middleware = () => () => {
      throw error;
    };
    expect(await run(() => undefined, { use: [atOnce] })).toEqual({ kind: 'retry', error });
    expect(await run(() => undefined, { use: [() => () => Promise.reject(error)] })).toEqual({ kind: 'retry', error });
  });

  test('a route registered after the start gets its layers too, and a message that no route takes finds none', async () => {
    const router = new MessageRouter();
    const lookup = router.handlers({ logger: silentLogger });
    expect(lookup('x', 'late')).toBeUndefined();
    router.consumer('x', 'late')(() => 'late');
    const context = { headers: {} } as MessageContext;
    expect(await lookup('x', 'late')?.handle({} as Incoming, context)).toMatchObject({ value: 'late' });
  });

  test('a route registered after the start that asks for what is not there fails its messages, and no look-up throws', async () => {
    const router = new MessageRouter();
    const lookup = router.handlers({ logger: silentLogger });
    router.consumer('x', 'late')(rawConsumer(() => undefined, { inbox: true }));
    for (let n = 0; n < 2; n++) {
      const verdict = await lookup('x', 'late')?.handle({} as Incoming, {} as MessageContext);
      expect(verdict).toMatchObject({ kind: 'retry', error: { code: 'SVC_COMM_INVALID_CONSUMER' } });
    }
  });
});
