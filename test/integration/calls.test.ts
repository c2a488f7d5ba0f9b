import { readFileSync } from 'node:fs';
import { type ConsumeMessage, connect } from 'amqplib';
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from 'vitest';
import type { SvcCommService } from '../../src/assemble.ts';
import { PendingCalls } from '../../src/call/pending-calls.ts';
import {
  BrokerUnavailableError,
  CallLostError,
  CallTimeoutError,
  InvalidArgumentError,
  RemoteError,
  RetryLater,
  TransactionRequiredError,
  UnreadableReplyError,
  UnroutableError,
} from '../../src/errors.ts';
import type { MessageContext } from '../../src/message/handler.ts';
import { MAX_BODY_BYTES } from '../../src/message/message.ts';
import { callConsumer } from '../../src/router/call-consumer.ts';
import { type CallResponseInfo, callResponseConsumer } from '../../src/router/call-response-consumer.ts';
import { withCorrelation } from '../../src/util/correlation.ts';
import { deferred } from '../../src/util/deferred.ts';
import { until } from '../support/consumer-kit.ts';
import { late } from '../support/late.ts';
import { testBrokerUrl } from '../support/servers.ts';
import { ServiceKit } from '../support/service-kit.ts';
import { TcpProxy } from '../support/tcp-proxy.ts';

let kit: ServiceKit;
/** Asks. */
let orders: SvcCommService;
/** Answers, with a database. */
let pricing: SvcCommService;
let pricingName: string;
let pricingConsumer: ReturnType<SvcCommService['consumer']>;
const started = deferred<MessageContext>();

interface Question {
  readonly n: number;
}

beforeAll(async () => {
  kit = await ServiceKit.open('calls');
  orders = kit.service('orders');
  pricing = kit.service('pricing');
  pricingName = pricing.settings.appId;
  await orders.migrate();
  await kit.pg.query(`CREATE TABLE ${kit.table('effect')} (id text)`);
  const write = (id: string) =>
    pricing.transaction((trx) => trx.raw(`INSERT INTO ${kit.table('effect')} VALUES (?)`, [id]));
  const { messageRouter: router } = pricing;
  const on = (method: string) => router.consumer(pricingName, method);
  on('double')(callConsumer(async ({ n }: Question) => ({ result: n * 2 })));
  on('nothing')(callConsumer(async () => undefined));
  on('fail')(
    callConsumer(async () => {
      await write('fail');
      throw Object.assign(new Error('out of stock'), { code: 'OUT_OF_STOCK' });
    }),
  );
  on('leaky')(
    callConsumer(() => {
      throw new Error('cannot reach postgres://app:c4n4ry@db/shop');
    }),
  );
  on('oddCode')(
    callConsumer(({ n }: Question) => {
      throw Object.assign(new RangeError('odd'), { code: 'c'.repeat(n) });
    }),
  );
  on('typeError')(
    callConsumer(() => {
      throw new TypeError('undefined is not a price');
    }),
  );
  on('write')(
    callConsumer(async ({ n }: Question) => {
      await write(`write ${n}`);
      return { written: n };
    }),
  );
  on('slow')(
    callConsumer(
      async (_data, _call, context) => {
        started.resolve(context);
        await write('slow');
        await new Promise((resolve) => context.signal.addEventListener('abort', resolve));
        return 'too late';
      },
      { checkExpiredAfterHandling: true },
    ),
  );
  on('huge')(
    callConsumer(async () => {
      await write('huge');
      return 'x'.repeat(MAX_BODY_BYTES);
    }),
  );
  on('unserialisable')(callConsumer(async () => ({ big: 1n })));
  on('wide')(callConsumer(async () => Object.fromEntries(Array.from({ length: 10_000 }, (_, n) => [`k${n}`, n]))));
  let tries = 0;
  on('later')(
    callConsumer(async () => {
      tries += 1;
      if (tries === 1) throw new RetryLater(50);
      return { tries };
    }),
  );
  on('nested')(callConsumer(async (data: Question) => pricing.call(pricingName, 'fail', data, { timeout: 60 })));
  pricingConsumer = pricing.consumer();
  await pricingConsumer.start();
  // The first call connects, which may take longer than a short deadline.
  await orders.call(pricingName, 'double', { n: 0 }, { timeout: 60 });
});
afterAll(() => kit.close());

const effects = async (id: string) => kit.count('effect', `id = '${id}'`);
const failureOf = (promise: Promise<unknown>) =>
  promise.then(
    () => expect.fail('it was answered'),
    (error: unknown) => error,
  );

test('a call resolves with the answer; the data is what the handler returned', async () => {
  await expect(orders.call(pricingName, 'double', { n: 21 }, { timeout: 60 })).resolves.toEqual({ result: 42 });
  await expect(orders.call(pricingName, 'nothing', {}, { timeout: 60 })).resolves.toBeNull();
});

test('a deadline that is months away waits for the answer as any other, from the first call on', async () => {
  const asker = kit.service('patient');
  for (const n of [1, 2]) {
    await expect(asker.call(pricingName, 'double', { n }, { timeout: '60d' })).resolves.toEqual({ result: n * 2 });
  }
});

test('many calls at the same time get each its own answer', async () => {
  const answers = await Promise.all(
    Array.from({ length: 500 }, (_, n) =>
      orders.call<{ result: number }>(pricingName, 'double', { n }, { timeout: 60 }),
    ),
  );
  expect(answers.map(({ result }) => result)).toEqual(Array.from({ length: 500 }, (_, n) => n * 2));
  expect(orders.callStats.pending).toBe(0);
});

test('what the callee throws is a RemoteError with its code and text and no stack, and its transaction is rolled back', async () => {
  const failure = await failureOf(orders.call(pricingName, 'fail', {}, { timeout: 60 }));
  expect(failure).toBeInstanceOf(RemoteError);
  expect(failure).toMatchObject({ remoteCode: 'OUT_OF_STOCK', message: 'out of stock', callee: `${pricingName}.fail` });
  expect(await effects('fail')).toBe(0);
  const typeError = await failureOf(orders.call(pricingName, 'typeError', {}, { timeout: 60 }));
  expect(typeError).toMatchObject({ remoteCode: 'TypeError', message: 'undefined is not a price' });
});

test('of the code of what the callee throws no more than 255 characters travel; an empty one is none', async () => {
  const codeOf = async (n: number) => {
    const failure = await failureOf(orders.call(pricingName, 'oddCode', { n }, { timeout: 60 }));
    return (failure as RemoteError).remoteCode;
  };
  expect(await codeOf(100_000)).toBe('c'.repeat(255));
  expect(await codeOf(0)).toBe('RangeError');
});

test('a password in a URL of what the callee throws stays with the callee', async () => {
  const failure = await failureOf(orders.call(pricingName, 'leaky', {}, { timeout: 60 }));
  expect(failure).toMatchObject({ message: 'cannot reach postgres://app:***@db/shop' });
});

test('the error of a call that was made to answer a call keeps its code', async () => {
  const failure = await failureOf(orders.call(pricingName, 'nested', {}, { timeout: 60 }));
  expect(failure).toMatchObject({ remoteCode: 'OUT_OF_STOCK', message: 'out of stock' });
});

test('the stack of a failure shows who called', async () => {
  async function whoCalled() {
    return await orders.call(pricingName, 'fail', {}, { timeout: 60 });
  }
  const failure = await failureOf(whoCalled());
  expect(failure instanceof Error && failure.stack).toContain('whoCalled');
});

test('no stack travels', async () => {
  const replies = kit.exchangeName('look.replies');
  await kit.channel.assertExchange(replies, 'topic', { durable: true });
  await kit.channel.assertQueue(replies, { durable: true });
  await kit.channel.bindQueue(replies, replies, '#');
  const body = { id: 7, meta: { replyTo: replies, time: new Date().toISOString() }, data: {} };
  kit.channel.publish(pricingName, 'fail', Buffer.from(JSON.stringify(body)), { messageId: `${replies}-1` });
  const answer = deferred<ConsumeMessage | null>();
  await kit.channel.consume(replies, answer.resolve, { noAck: true });
  const message = await answer.promise;
  expect(message?.fields.routingKey).toBe(`call-response.${pricingName}.fail`);
  const answered = JSON.parse(message?.content.toString() ?? '');
  expect(Object.keys(answered)).toEqual(['id', 'data', 'error', 'meta']);
  expect(answered).toMatchObject({ id: 7, data: null, error: { code: 'OUT_OF_STOCK', message: 'out of stock' } });
  expect(Object.keys(answered.error)).toEqual(['code', 'message']);
});

test('an answer that JSON cannot carry, or callers do not take, is an error of the callee, and rolls back', async () => {
  for (const method of ['unserialisable', 'wide']) {
    const failure = await failureOf(orders.call(pricingName, method, {}, { timeout: 60 }));
    expect(failure).toMatchObject({ remoteCode: 'SVC_COMM_UNSERIALISABLE_PAYLOAD' });
  }
});

test('an answer that is too large to travel is an error of the callee, and rolls back', async () => {
  const failure = await failureOf(orders.call(pricingName, 'huge', {}, { timeout: 60 }));
  expect(failure).toMatchObject({ remoteCode: 'SVC_COMM_MESSAGE_TOO_LARGE' });
  expect(await effects('huge')).toBe(0);
});

test('RetryLater takes the call again, in its time', async () => {
  await expect(orders.call(pricingName, 'later', {}, { timeout: 60 })).resolves.toEqual({ tries: 2 });
});

test('RetryLater of the last attempt is the answer: the caller is told, and nothing is dead-lettered', async () => {
  const callee = kit.service('last');
  const { appId } = callee.settings;
  let runs = 0;
  const later = callConsumer(async () => {
    runs += 1;
    throw new RetryLater(50);
  });
  callee.messageRouter.consumer(appId, 'ask')(later);
  const consumer = callee.consumer();
  await consumer.start();
  const failure = await failureOf(orders.call(appId, 'ask', {}, { timeout: 60 }));
  expect(failure).toBeInstanceOf(RemoteError);
  expect(failure).toMatchObject({ remoteCode: 'SVC_COMM_RETRY_LATER' });
  expect(runs).toBe(2);
  await until(() => consumer.stats.failed === 1);
  expect(consumer.stats).toMatchObject({ retried: 1, deadLettered: { attempts: 0 } });
});

test('RetryLater is the answer where the retry queue that it would wait in is longer than the time left', async () => {
  const callee = kit.service('longer', { retry: { attempts: 5, delays: ['60s'] } });
  const { appId } = callee.settings;
  kit.exchangeName('longer.retry.60000');
  const later = callConsumer(async () => {
    throw new RetryLater(50);
  });
  callee.messageRouter.consumer(appId, 'ask')(later);
  const consumer = callee.consumer();
  await consumer.start();
  const failure = await failureOf(orders.call(appId, 'ask', {}, { timeout: 60 }));
  expect(failure).toMatchObject({ remoteCode: 'SVC_COMM_RETRY_LATER' });
  expect(consumer.stats.retried).toBe(0);
});

test('a call that says no way back is dead-lettered when its RetryLater has no attempt left; no log says that somebody was told', async () => {
  const callee = kit.service('mute');
  const { appId } = callee.settings;
  callee.messageRouter.consumer(
    appId,
    'later',
  )(
    callConsumer(async () => {
      throw new RetryLater(50);
    }),
  );
  callee.messageRouter.consumer(
    appId,
    'fail',
  )(
    callConsumer(async () => {
      throw new RangeError('no such price');
    }),
  );
  const consumer = callee.consumer();
  await consumer.start();
  const told = kit.log.count('its caller is told');
  const meta = { replyTo: '', time: new Date().toISOString() };
  for (const method of ['later', 'fail']) {
    kit.channel.publish(appId, method, Buffer.from(JSON.stringify({ id: 1, meta, data: {} })));
  }
  await until(() => consumer.stats.failed === 1 && consumer.stats.deadLettered.attempts === 1, 5_000);
  expect(consumer.stats.retried).toBe(1);
  expect(kit.log.count('its caller is told')).toBe(told);
  expect(kit.log.count('it says no way back')).toBe(1);
});

test('at the deadline it is a CallTimeoutError; the callee that returns after it is rolled back, and its answer dropped', async () => {
  const { value: failure, lateMs } = await late(5_000, () =>
    failureOf(orders.call(pricingName, 'slow', {}, { timeout: '5s' })),
  );
  expect(lateMs).toBeLessThan(1_000);
  expect(failure).toBeInstanceOf(CallTimeoutError);
  expect(failure).toMatchObject({ service: pricingName, method: 'slow', timeoutMs: 5_000 });
  const { signal } = await started.promise;
  await until(() => signal.aborted);
  expect(signal.reason).toMatchObject({ code: 'SVC_COMM_DEADLINE_EXCEEDED' });
  await until(() => pricingConsumer.stats.expired >= 1);
  expect(await effects('slow')).toBe(0);
});

test('a call that is aborted rejects with the reason, before and after it was sent', async () => {
  const gone = new Error('the browser hung up');
  await expect(orders.call(pricingName, 'double', {}, { signal: AbortSignal.abort(gone) })).rejects.toBe(gone);
  const abort = new AbortController();
  const waiting = orders.call(pricingName, 'slow', {}, { timeout: 3, signal: abort.signal });
  setImmediate(() => abort.abort(gone));
  await expect(waiting).rejects.toBe(gone);
  expect(orders.callStats.pending).toBe(0);
});

test('an unknown service is an UnroutableError at once, a wrong deadline an InvalidArgumentError', async () => {
  const nobody = kit.exchangeName('nobody');
  expect(await failureOf(orders.call(nobody, 'x', {}, { timeout: 60 }))).toBeInstanceOf(UnroutableError);
  const wrong = (options: object) => expect(orders.call(pricingName, 'double', {}, options)).rejects;
  await wrong({ timeout: 1, expiredTime: new Date(Date.now() + 1000) }).toThrow(/either timeout or expiredTime/);
  await wrong({ timeout: 0 }).toBeInstanceOf(InvalidArgumentError);
  await wrong({ expiredTime: new Date(0) }).toThrow(/a deadline in the future/);
  expect(orders.callStats.pending).toBe(0);
});

test('with a broker that is down a call fails within its deadline, and works when the broker is back', async () => {
  const proxy = await TcpProxy.to(testBrokerUrl());
  const caller = kit.service('cut', { brokerUrl: proxy.url(testBrokerUrl()) });
  proxy.refuse();
  const { value: failure, lateMs } = await late(600, () =>
    failureOf(caller.call(pricingName, 'double', { n: 1 }, { timeout: '600ms' })),
  );
  expect(failure).toBeInstanceOf(BrokerUnavailableError);
  expect(lateMs).toBeLessThan(1_000);
  proxy.heal();
  await expect(caller.call(pricingName, 'double', { n: 1 }, { timeout: 60 })).resolves.toEqual({ result: 2 });
  await caller.close();
  await proxy.close();
});

test('a connection that is lost while a call waits ends it at once: its answer has no way back', async () => {
  const proxy = await TcpProxy.to(testBrokerUrl());
  const caller = kit.service('lost', { brokerUrl: proxy.url(testBrokerUrl()) });
  await caller.call(pricingName, 'double', { n: 1 }, { timeout: 60 });
  const silent = kit.exchangeName('silent');
  await kit.channel.assertExchange(silent, 'topic', { durable: true });
  await kit.channel.assertQueue(silent, { durable: true });
  await kit.channel.bindQueue(silent, silent, '#');
  const sent = vi.spyOn(PendingCalls.prototype, 'sent');
  onTestFinished(() => sent.mockRestore());
  const waiting = failureOf(caller.call(silent, 'x', {}, { timeout: 30 }));
  // When the queue has it the confirm is still on its way; of an unconfirmed one it is not known whether it is lost.
  await until(() => sent.mock.calls.length === 1);
  expect((await kit.channel.checkQueue(silent)).messageCount).toBe(1);
  proxy.cut();
  expect(await waiting).toBeInstanceOf(CallLostError);
  await expect(caller.call(pricingName, 'double', { n: 2 }, { timeout: 60 })).resolves.toEqual({ result: 4 });
  await caller.close();
  await proxy.close();
});

/** A callee that is not ours: plain amqplib, and it answers as it is told. */
async function foreignCallee(suffix: string, answer: (message: ConsumeMessage) => void): Promise<string> {
  const name = kit.exchangeName(suffix);
  await kit.channel.assertExchange(name, 'topic', { durable: true });
  await kit.channel.assertQueue(name, { durable: true });
  await kit.channel.bindQueue(name, name, '#');
  await kit.channel.consume(name, (message) => message && answer(message), { noAck: true });
  return name;
}

test('a callee that answers by message in the recorded shape works with call()', async () => {
  const recorded = JSON.parse(readFileSync(new URL('../wire/recorded/call-response.json', import.meta.url), 'utf8'));
  const name = await foreignCallee('py-shop', ({ content, fields }) => {
    const { id, meta } = JSON.parse(content.toString());
    const body = recorded.body.replace('"id": 6', `"id": ${JSON.stringify(id)}`);
    const key = `call-response.${name}.${fields.routingKey}`;
    kit.channel.publish(meta.replyTo, key, Buffer.from(body), { contentType: 'text/json', appId: 'py-shop' });
  });
  await expect(orders.call(name, 'double', { number: 21 }, { timeout: 60 })).resolves.toEqual({ result: 42 });
});

test('a call that is made while the broker is away reaches a callee that answers by message with an exchange to answer to', async () => {
  const proxy = await TcpProxy.to(testBrokerUrl());
  const caller = kit.service('away', { brokerUrl: proxy.url(testBrokerUrl()) });
  await caller.call(pricingName, 'double', { n: 1 }, { timeout: 60 });
  const seen: string[] = [];
  const name = await foreignCallee('py-away', ({ content, fields }) => {
    const { id, meta, data } = JSON.parse(content.toString());
    seen.push(meta.replyTo);
    const body = JSON.stringify({ id, data: { result: data.n * 2 }, meta: { time: new Date().toISOString() } });
    kit.channel.publish(meta.replyTo, `call-response.${name}.${fields.routingKey}`, Buffer.from(body));
  });
  await proxy.goDown();
  // One that ends by its deadline: from then on the loss is known.
  const early = await failureOf(caller.call(name, 'double', { n: 1 }, { timeout: '300ms' }));
  expect(early).toBeInstanceOf(BrokerUnavailableError);
  const late = caller.call(name, 'double', { n: 21 }, { timeout: 60 });
  await proxy.listen();
  await expect(late).resolves.toEqual({ result: 42 });
  expect(seen).toEqual([`${caller.settings.appId}.replies`]);
  await caller.close();
  await proxy.close();
});

/** Where callees that answer by message answer to. */
const replyExchangeOf = ({ content }: ConsumeMessage): string => JSON.parse(content.toString()).meta.replyTo;

test('an answer by message to a caller that has gone costs its callee nothing: the exchange stays', async () => {
  const asked = deferred<ConsumeMessage>();
  const name = await foreignCallee('py-late', asked.resolve);
  const caller = kit.service('gone');
  const waiting = failureOf(caller.call(name, 'x', {}, { timeout: 60 }));
  const replies = replyExchangeOf(await asked.promise);
  await caller.close();
  expect(await waiting).toBeInstanceOf(Error);
  const callee = await connect(testBrokerUrl());
  const channel = await callee.createConfirmChannel();
  const closed = vi.fn();
  channel.on('error', closed);
  channel.publish(replies, `call-response.${name}.x`, Buffer.from('{}'));
  await channel.waitForConfirms();
  await channel.assertExchange(replies, 'topic', { durable: true });
  expect(closed).not.toHaveBeenCalled();
  await callee.close();
});

test('answers by message reach every instance of a service; each settles its own calls and counts none of the others', async () => {
  const [one, two] = [kit.service('twins'), kit.service('twins')];
  let bodyOf = (id: string) => JSON.stringify({ id, data: id, meta: { time: new Date().toISOString() } });
  const exchanges = new Set<string>();
  const name = await foreignCallee('py-twins', (message) => {
    const replies = replyExchangeOf(message);
    exchanges.add(replies);
    const { correlationId } = message.properties;
    const { id } = JSON.parse(message.content.toString());
    kit.channel.publish(replies, `call-response.${name}.x`, Buffer.from(bodyOf(id)), { correlationId });
  });
  const ids = await Promise.all([one, two].map((twin) => twin.call<string>(name, 'x', {}, { timeout: 60 })));
  const more = await Promise.all([one, two].map((twin) => twin.call<string>(name, 'x', {}, { timeout: 60 })));
  expect(new Set([...ids, ...more]).size).toBe(4);
  expect([...exchanges]).toEqual([`${one.settings.appId}.replies`]);
  bodyOf = () => 'this is no JSON';
  expect(await failureOf(one.call(name, 'x', {}, { timeout: 60 }))).toBeInstanceOf(UnreadableReplyError);
  // One that cannot be read may be the other instance's: only a call's own id says that it is ours.
  const asked = deferred<ConsumeMessage>();
  const silent = await foreignCallee('py-silent', asked.resolve);
  const waiting = failureOf(withCorrelation('order-7', () => two.call(silent, 'x', {}, { timeout: 60 })));
  const replies = replyExchangeOf(await asked.promise);
  kit.channel.publish(replies, 'rubbish', Buffer.from('rubbish'), { correlationId: 'order-7' });
  await until(() => one.callStats.foreignReplies === 1 && two.callStats.foreignReplies === 1);
  expect(one.callStats).toMatchObject({ answered: 2, unreadable: 1, lateReplies: 0, pending: 0 });
  expect(two.callStats).toMatchObject({ answered: 2, unreadable: 0, lateReplies: 0, pending: 1 });
  await two.close();
  await waiting;
});

test.each([
  ['of letters', 'a'.repeat(80)],
  ['of characters of four bytes each', '\u{1F600}'.repeat(45)],
])(
  'the exchange for answers has at most the 64 characters that the Python peer keeps, also with a long appId %s',
  async (_, long) => {
    const caller = kit.service(long);
    const seen: string[] = [];
    const name = await foreignCallee(`py-long.${long.length}`, (message) => {
      const replies = replyExchangeOf(message);
      seen.push(replies);
      const { id } = JSON.parse(message.content.toString());
      const body = JSON.stringify({ id, data: 'by message', meta: { time: new Date().toISOString() } });
      kit.channel.publish(replies, `call-response.${name}.x`, Buffer.from(body));
    });
    await expect(caller.call(name, 'x', {}, { timeout: 60 })).resolves.toBe('by message');
    const characters = [...caller.settings.appId];
    expect(seen).toEqual([`${characters.slice(0, 56).join('')}.replies`]);
  },
);

test("with declare: 'verify' the exchange for answers is not made; one that somebody has made is taken", async () => {
  const asked: string[] = [];
  const name = await foreignCallee('py-verify', (message) => {
    asked.push(replyExchangeOf(message));
    const { id } = JSON.parse(message.content.toString());
    const body = Buffer.from(JSON.stringify({ id, data: 1, meta: { time: new Date().toISOString() } }));
    const { replyTo } = message.properties;
    kit.channel.publish('', replyTo, body);
  });
  const without = kit.service('verify.without', { declare: 'verify' });
  await expect(without.call(name, 'x', {}, { timeout: 60 })).resolves.toBe(1);
  expect(kit.log.count('answers by message cannot be received')).toBe(1);
  const made = kit.service('verify.made', { declare: 'verify' });
  const replies = `${made.settings.appId}.replies`;
  await kit.channel.assertExchange(replies, 'topic', { durable: true });
  await expect(made.call(name, 'x', {}, { timeout: 60 })).resolves.toBe(1);
  expect(asked).toEqual(['', replies]);
});

test('a foreign caller gets its correlation id back as it is, also one that is the bytes of a number', async () => {
  const { queue } = await kit.channel.assertQueue('', { exclusive: true });
  const seen: (string | undefined)[] = [];
  await kit.channel.consume(queue, (message) => message && seen.push(message.properties.correlationId), {
    noAck: true,
  });
  const correlationId = '\0\0\0\0\0\0\0\u0001';
  const meta = { replyTo: '', time: new Date().toISOString() };
  const body = Buffer.from(JSON.stringify({ id: 1, meta, data: { n: 1 } }));
  kit.channel.publish(pricingName, 'double', body, { correlationId, replyTo: queue });
  await until(() => seen.length === 1);
  expect(seen).toEqual([correlationId]);
});

test.each([
  ['no', {}],
  ['a null', { replyTo: null }],
])('a foreign caller with reply_to and %s meta.replyTo has its answer', async (_what, replyTo) => {
  const { queue } = await kit.channel.assertQueue('', { exclusive: true });
  const answer = deferred<ConsumeMessage | null>();
  await kit.channel.consume(queue, answer.resolve, { noAck: true });
  const body = { id: 1, meta: { ...replyTo, time: new Date().toISOString() }, data: { n: 4 } };
  kit.channel.publish(pricingName, 'double', Buffer.from(JSON.stringify(body)), { correlationId: 'c', replyTo: queue });
  const { content, properties } = (await answer.promise) ?? expect.fail('the queue is gone');
  expect(properties.correlationId).toBe('c');
  expect(JSON.parse(content.toString())).toMatchObject({ id: 1, data: { result: 8 } });
});

test('an answer makes no exchange: one that its caller names and that is gone stays gone, and the answer reaches nobody', async () => {
  const relay = pricing.relay();
  await relay.start();
  const before = pricingConsumer.stats;
  const gone = `${pricingName}.gone`;
  const ask = (properties: { messageId?: string }) => {
    const meta = { replyTo: gone, time: new Date().toISOString() };
    const body = Buffer.from(JSON.stringify({ id: 1, meta, data: { n: 1 } }));
    kit.channel.publish(pricingName, 'double', body, properties);
  };
  // With an inbox the answer goes through the outbox, without one right after the handler.
  ask({ messageId: 'with-inbox' });
  ask({});
  await until(() => pricingConsumer.stats.handled - before.handled === 2);
  await until(() => relay.stats.unroutable === 1 && pricingConsumer.stats.unanswered - before.unanswered === 1);
  await relay.stop();
  expect(await kit.count('svc_comm_outbox')).toBe(0);
  const plain = await connect(testBrokerUrl());
  const channel = await plain.createChannel();
  channel.on('error', () => undefined);
  await expect(channel.checkExchange(gone)).rejects.toThrow('NOT_FOUND');
  await plain.close();
});

test("with outbox.unroutable: 'keep' an answer that reaches nobody is counted and goes all the same: its caller is gone", async () => {
  const callee = kit.service('keeper', { outbox: { unroutable: 'keep' } });
  const { appId } = callee.settings;
  callee.messageRouter.consumer(appId, 'ask')(callConsumer(async () => 1));
  const [consumer, relay] = [callee.consumer(), callee.relay()];
  await Promise.all([consumer.start(), relay.start()]);
  const unbound = kit.exchangeName('keeper.unbound');
  await kit.channel.assertExchange(unbound, 'topic', { durable: true });
  for (const replyTo of [unbound, `${appId}.gone`]) {
    const body = { id: 1, meta: { replyTo, time: new Date().toISOString() }, data: {} };
    kit.channel.publish(appId, 'ask', Buffer.from(JSON.stringify(body)), { messageId: replyTo });
  }
  await until(() => relay.stats.unroutable >= 2);
  await until(async () => (await kit.count('svc_comm_outbox', `exchange LIKE '${appId}.%'`)) === 0, 5_000);
  expect(relay.stats).toMatchObject({ unroutable: 2, published: 0 });
  await Promise.all([consumer.stop(), relay.stop()]);
});

test('an answer that is no JSON, or no answer, is an UnreadableReplyError', async () => {
  let body = 'this is no JSON';
  const name = await foreignCallee('rubbish', ({ properties }) => {
    const { correlationId, replyTo } = properties;
    kit.channel.sendToQueue(replyTo, Buffer.from(body), { correlationId });
  });
  const failure = await failureOf(orders.call(name, 'x', {}, { timeout: 60 }));
  expect(failure).toBeInstanceOf(UnreadableReplyError);
  expect(failure).toMatchObject({ service: name, method: 'x', cause: { code: 'SVC_COMM_MALFORMED_MESSAGE' } });
  body = '{"result":42}';
  expect(await failureOf(orders.call(name, 'x', {}, { timeout: 60 }))).toBeInstanceOf(UnreadableReplyError);
});

test.each([
  ["with declare: 'none' to a service that there is none of", 'none', 'typo'],
  ["with declare: 'none' to a built-in exchange that there is none of", 'none', 'amq.nope'],
  ['to a built-in exchange that there is none of', 'create', 'amq.nope'],
] as const)('a call %s is refused alone: calls that wait keep their way back', async (_, declare, wrong) => {
  const caller = kit.service(`neighbour.${declare}.${wrong}`, { declare });
  const asked = deferred<ConsumeMessage>();
  const name = await foreignCallee(`slow.${declare}.${wrong}`, asked.resolve);
  const waiting = caller.call(name, 'x', {}, { timeout: 60 });
  const { content, properties } = await asked.promise;
  const exchange = wrong.startsWith('amq.') ? wrong : `${name}.${wrong}`;
  const failure = await failureOf(caller.call(exchange, 'x', {}, { timeout: 60 }));
  expect(failure).toMatchObject({ code: 'SVC_COMM_PUBLISH_REFUSED', exchange });
  const { id } = JSON.parse(content.toString());
  const answer = { id, data: 'late, and there', meta: { time: new Date().toISOString() } };
  kit.channel.sendToQueue(properties.replyTo, Buffer.from(JSON.stringify(answer)));
  await expect(waiting).resolves.toBe('late, and there');
});

test('late and foreign answers are counted and dropped, and a second answer settles nothing', async () => {
  const asked = deferred<ConsumeMessage>();
  const name = await foreignCallee('late', asked.resolve);
  const before = orders.callStats;
  expect(await failureOf(orders.call(name, 'x', {}, { timeout: 3 }))).toBeInstanceOf(CallTimeoutError);
  const { content, properties } = await asked.promise;
  const { id } = JSON.parse(content.toString());
  const answer = (of: unknown) =>
    kit.channel.sendToQueue(
      properties.replyTo,
      Buffer.from(JSON.stringify({ id: of, data: 1, meta: { time: new Date().toISOString() } })),
    );
  answer(id);
  answer(id);
  answer(`${id}x`.replace(/^./, (first: string) => (first === '0' ? '1' : '0')));
  kit.channel.sendToQueue(properties.replyTo, Buffer.from('rubbish'));
  await until(() => orders.callStats.foreignReplies - before.foreignReplies === 2);
  expect(orders.callStats.lateReplies - before.lateReplies).toBe(2);
  expect(orders.callStats.pending).toBe(0);
});

test("with declare: 'none' nothing is declared for answers, and the direct way works", async () => {
  const caller = kit.service('none', { declare: 'none' });
  const asked = deferred<ConsumeMessage>();
  const name = await foreignCallee('none.callee', asked.resolve);
  await expect(caller.call(pricingName, 'double', { n: 4 }, { timeout: 60 })).resolves.toEqual({ result: 8 });
  const abort = new AbortController();
  const unanswered = failureOf(caller.call(name, 'x', {}, { timeout: 60, signal: abort.signal }));
  expect(JSON.parse((await asked.promise).content.toString()).meta.replyTo).toBe('');
  abort.abort();
  await unanswered;
});

test('sendCall asks with the commit and is answered by message, with what the callee wrote in one transaction with the answer', async () => {
  const asker = kit.service('asker');
  const { appId } = asker.settings;
  const answers: { data: unknown; response: CallResponseInfo }[] = [];
  asker.messageRouter.consumer(
    appId,
    `call-response.${pricingName}.*`,
  )(
    callResponseConsumer(async (data, response) => {
      answers.push({ data, response });
    }),
  );
  const relay = asker.relay();
  await Promise.all([asker.consumer().start(), relay.start()]);
  const undone = asker.transaction(async () => {
    await asker.sendCall(pricingName, 'write', { n: 0 });
    throw new Error('rolled back');
  });
  await expect(undone).rejects.toThrow('rolled back');
  const callId = await asker.transaction(() => asker.sendCall(pricingName, 'write', { n: 1 }, { timeout: 30 }));
  const failing = await asker.sendCall(pricingName, 'fail', {}, { transaction: 'own' });
  await until(() => answers.length === 2, 20_000);
  expect(answers.find(({ response }) => response.callId === callId)).toMatchObject({
    data: { written: 1 },
    response: { error: undefined },
  });
  expect(answers.find(({ response }) => response.callId === failing)).toMatchObject({
    data: null,
    response: { error: { code: 'SVC_COMM_REMOTE', remoteCode: 'OUT_OF_STOCK', callee: `${pricingName}.fail` } },
  });
  expect(await effects('write 0')).toBe(0);
  expect(await effects('write 1')).toBe(1);
  await relay.stop();
});

test('the answer by message waits in the outbox of the callee: no relay, no answer, and the effect is there', async () => {
  const callee = kit.service('atomic');
  const { appId } = callee.settings;
  callee.messageRouter.consumer(appId, 'ask')(callConsumer(async () => ({ done: true })));
  const consumer = callee.consumer();
  await consumer.start();
  const replies = kit.exchangeName('atomic.replies');
  const body = { id: 6, meta: { replyTo: replies, time: new Date().toISOString() }, data: {} };
  kit.channel.publish(appId, 'ask', Buffer.from(JSON.stringify(body)), { messageId: `${replies}-1` });
  await until(() => consumer.stats.handled === 1);
  expect(await kit.count('svc_comm_outbox', `exchange = '${replies}'`)).toBe(1);
  // The same call once more: its effect and its answer are there already.
  kit.channel.publish(appId, 'ask', Buffer.from(JSON.stringify(body)), { messageId: `${replies}-1` });
  await until(() => consumer.stats.duplicates === 1);
  expect(await kit.count('svc_comm_outbox', `exchange = '${replies}'`)).toBe(1);
  await kit.pg.query(`DELETE FROM ${kit.table('svc_comm_outbox')} WHERE exchange = '${replies}'`);
});

test('a call as the Python peer recorded it is answered to its exchange, its numeric id a number', async () => {
  const callee = kit.service('peer', { databaseUrl: undefined });
  const { appId } = callee.settings;
  callee.messageRouter.consumer(
    appId,
    'double',
  )(callConsumer(async ({ number }: { number: number }) => ({ result: number * 2 })));
  await callee.consumer().start();
  const replies = kit.exchangeName('peer.replies');
  await kit.channel.assertExchange(replies, 'topic', { durable: true });
  await kit.channel.assertQueue(replies, { durable: true });
  await kit.channel.bindQueue(replies, replies, '#');
  const recorded = JSON.parse(readFileSync(new URL('../wire/recorded/call.json', import.meta.url), 'utf8'));
  const body = recorded.body
    .replace('"replies"', `"${replies}"`)
    .replace('"2026-11-22T10:37:36', '"2226-11-22T10:37:36');
  kit.channel.publish(appId, recorded.routing_key, Buffer.from(body), { contentType: 'text/json', appId: 'py-shop' });
  const answer = deferred<ConsumeMessage | null>();
  await kit.channel.consume(replies, answer.resolve, { noAck: true });
  const message = await answer.promise;
  expect(message?.fields.routingKey).toBe(`call-response.${appId}.double`);
  expect(JSON.parse(message?.content.toString() ?? '')).toMatchObject({ id: 6, data: { result: 42 } });
});

test('what is wrong with sendCall is said before anything is written', async () => {
  await expect(orders.sendCall(pricingName, 'x', {})).rejects.toBeInstanceOf(TransactionRequiredError);
  const wrong = (options: object) =>
    expect(orders.transaction(() => orders.sendCall(pricingName, 'x', {}, options))).rejects;
  await wrong({ replyTo: '' }).toThrow(/the exchange for the answer/);
  await wrong({ timeout: 1, expiredTime: new Date(Date.now() + 9999) }).toThrow(/either timeout or expiredTime/);
  await expect(orders.sendCall('', 'x', {}, { transaction: 'own' })).rejects.toThrow(/service "" is empty/);
});

test('takeOne answers one call: with what the handler returns, or with what it throws, which takeOne throws too', async () => {
  const callee = kit.service('one');
  const { appId } = callee.settings;
  await kit.channel.assertExchange(appId, 'topic', { durable: true });
  await kit.channel.assertQueue(appId, { durable: true, arguments: { 'x-queue-type': 'quorum' } });
  await kit.channel.bindQueue(appId, appId, '#');
  const asked = orders.call(appId, 'x', { n: 21 }, { timeout: 60 });
  const waits = async () => (await kit.channel.checkQueue(appId)).messageCount === 1;
  await until(waits);
  const double = callConsumer(async ({ n }: Question) => n * 2);
  await expect(callee.takeOne(appId, double)).resolves.toBe(42);
  await expect(asked).resolves.toBe(42);
  const failed = failureOf(orders.call(appId, 'x', {}, { timeout: 60 }));
  await until(waits);
  const fail = callConsumer(() => {
    throw new RangeError('no such price');
  });
  await expect(callee.takeOne(appId, fail)).rejects.toThrow('no such price');
  expect(await failed).toMatchObject({ remoteCode: 'RangeError' });
  await expect(callee.takeOne(appId, double)).resolves.toBeUndefined();
});
