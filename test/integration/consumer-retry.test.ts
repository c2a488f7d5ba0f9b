import type { Options } from 'amqplib';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { MessageTooLargeError, Reject, RetryLater } from '../../src/errors.ts';
import type { MessageContext } from '../../src/message/handler.ts';
import { HEADER, type Message } from '../../src/message/message.ts';
import { MessageRouter } from '../../src/router/router.ts';
import { LogLines } from '../support/broker-kit.ts';
import { ConsumerKit, until } from '../support/consumer-kit.ts';

let kit: ConsumerKit;
beforeAll(async () => {
  kit = await ConsumerKit.create();
});
afterEach(() => kit.stopConsumers());
afterAll(() => kit.remove());

interface Seen {
  readonly attempt: number;
  readonly exchange: string;
  readonly routingKey: string;
  readonly key: string | undefined;
  readonly headers: object;
  readonly properties: object;
}

const see = ({ attempt, exchange, routingKey, key, headers, properties }: MessageContext): Seen => ({
  attempt,
  exchange,
  routingKey,
  key,
  headers: { ...headers },
  properties: { ...properties, headers: undefined, expiration: undefined },
});

test('on attempt 3 the handler sees the same exchange, key, headers and properties as on attempt 1', async () => {
  const seen: Seen[] = [];
  kit.router.consumer(
    kit.exchange,
    'retry.same',
  )(async (_routingKey, _body, context) => {
    seen.push(see(context));
    if (context.attempt < 3) throw new Error(`attempt ${context.attempt}`);
  });
  const consumer = await kit.start();
  const headers = {
    text: 'ä',
    int: 7,
    double: 1.5,
    big: 2 ** 40,
    yes: true,
    nothing: null,
    list: [1, 'two', { three: 3 }],
    table: { a: { b: 'c' } },
    bytes: Buffer.from([0, 255]),
    CC: ['somewhere.else', kit.queue],
    traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
  };
  kit.send('retry.same', { a: 1 }, headers, {
    contentType: 'text/json',
    correlationId: 'c-1',
    replyTo: 'somewhere',
    type: 't',
    appId: 'peer',
    timestamp: 1_700_000_000,
    priority: 3,
    expiration: '60000',
    userId: 'guest',
  });
  await until(() => consumer.stats.handled === 1);
  expect(seen.map(({ attempt }) => attempt)).toEqual([1, 2, 3]);
  expect(seen[0]).toMatchObject({ exchange: kit.exchange, routingKey: 'retry.same', key: undefined });
  expect({ ...seen[2], attempt: 1 }).toEqual(seen[0]);
  expect(seen[0]?.headers).toEqual(headers);
  expect(consumer.stats).toMatchObject({ received: 3, handled: 1, retried: 2, inFlight: 0 });
  expect(await kit.count(kit.queue)).toBe(0);
  await consumer.stop();
});

test('a message that fails goes to the dead letters after `attempts` runs, with reason, handler and history', async () => {
  let runs = 0;
  kit.router.consumer(
    kit.exchange,
    'retry.poison',
  )(async function poisoned() {
    runs += 1;
    throw Object.assign(new Error(`run ${runs} of amqp://user:secret@host`), { code: 'E_POISON' });
  });
  const consumer = await kit.start({ options: { retry: { attempts: 4, delaysMs: [20, 40] } } });
  kit.send('retry.poison', { id: 1 }, { mine: 'kept' }, { messageId: 'poison-1' });
  const dead = await kit.nextDead();
  await until(() => consumer.stats.deadLettered.attempts === 1);
  expect(runs).toBe(4);
  const { headers = {}, messageId } = dead.properties;
  expect(messageId).toBe('poison-1');
  expect(headers).toMatchObject({
    mine: 'kept',
    [HEADER.reason]: 'attempts',
    [HEADER.handler]: 'poisoned',
    [HEADER.exchange]: kit.exchange,
    [HEADER.routingKey]: 'retry.poison',
    [HEADER.attempt]: 4,
  });
  const failures = JSON.parse(headers[HEADER.failures]);
  expect(failures.map((failure: { message: string }) => failure.message)).toEqual(
    [1, 2, 3, 4].map((run) => `run ${run} of amqp://user:***@host`),
  );
  expect(failures[0]).toMatchObject({ code: 'E_POISON', host: expect.any(String), time: expect.stringMatching(/Z$/) });
  expect(JSON.parse(dead.content.toString())).toEqual({ id: 1 });
  await consumer.stop();
});

test('one poison message among 1,000 runs exactly `attempts` times, the others once', async () => {
  const runs = new Map<number, number>();
  kit.router.consumer(
    kit.exchange,
    'retry.thousand',
  )(async (_key, body) => {
    const { n } = body as { n: number };
    runs.set(n, (runs.get(n) ?? 0) + 1);
    if (n === 500) throw new Error('poison');
  });
  const consumer = await kit.start({ options: { retry: { attempts: 5, delaysMs: [20] } } });
  for (let n = 0; n < 1_000; n++) kit.send('retry.thousand', { n });
  const dead = await kit.nextDead();
  await until(() => consumer.stats.handled === 999 && consumer.stats.inFlight === 0);
  expect(JSON.parse(dead.content.toString())).toEqual({ n: 500 });
  expect(runs.get(500)).toBe(5);
  runs.delete(500);
  expect([...runs.values()].filter((count) => count !== 1)).toEqual([]);
  expect(consumer.stats).toMatchObject({ retried: 4, handled: 999, released: 0, lost: 0 });
  expect(await kit.count(kit.dead)).toBe(0);
  await consumer.stop();
});

test('Reject goes to the dead letters at once', async () => {
  kit.router.consumer(
    kit.exchange,
    'retry.reject',
  )(async () => {
    throw new Reject('no such user');
  });
  const consumer = await kit.start();
  kit.send('retry.reject', {});
  const dead = await kit.nextDead();
  expect(dead.properties.headers).toMatchObject({ [HEADER.reason]: 'rejected', [HEADER.attempt]: 1 });
  await consumer.stop();
  expect(consumer.stats).toMatchObject({ received: 1, retried: 0 });
});

test('RetryLater waits in the next larger retry queue, and beyond the largest in the future table, which is logged', async () => {
  const scheduled: { routingKey: string; exchange: string; inMs: number }[] = [];
  const asked = [70, 5_000];
  kit.router.consumer(
    kit.exchange,
    'retry.later',
  )(async (_key, _body, { attempt }) => {
    const delayMs = asked[attempt - 1];
    if (delayMs !== undefined) throw new RetryLater(delayMs);
  });
  const scheduler = {
    schedule: async (message: { exchange: string; routingKey: string }, at: Date) => {
      scheduled.push({ exchange: message.exchange, routingKey: message.routingKey, inMs: at.getTime() - Date.now() });
    },
  };
  const logger = new LogLines();
  const consumer = await kit.start({
    parts: { scheduler, logger },
    options: { retry: { delaysMs: [50, 100] } },
  });
  const since = performance.now();
  kit.send('retry.later', {});
  await until(() => scheduled.length === 1);
  expect(performance.now() - since).toBeGreaterThanOrEqual(95);
  expect(scheduled[0]).toMatchObject({ exchange: '', routingKey: kit.queue });
  expect(scheduled[0]?.inMs).toBeGreaterThan(4_500);
  expect(logger.lines.map(({ text }) => text)).toEqual([
    'handler failed; its message is tried again',
    'handler failed; its message is tried again, when its time has come and a publisher runs',
  ]);
  await consumer.stop();
  expect(consumer.stats).toMatchObject({ retried: 2, handled: 0, lost: 0, released: 0 });
});

test('a retry that no row of the future table can hold as it is goes there without the sender’s headers', async () => {
  const bytes: number[] = [];
  kit.router.consumer(
    kit.exchange,
    'retry.later.large',
  )(async () => {
    throw new RetryLater(60_000);
  });
  const scheduler = {
    schedule: async ({ properties: { headers } }: Message) => {
      bytes.push(JSON.stringify(headers).length);
      if (bytes.length === 1) throw new MessageTooLargeError('the header block', 70_000, 65_536);
    },
  };
  const consumer = await kit.start({ parts: { scheduler }, options: { retry: { delaysMs: [50] } } });
  kit.send('retry.later.large', {}, { large: 'x'.repeat(50_000) });
  await until(() => consumer.stats.retried === 1);
  expect(bytes.map((size) => size > 50_000)).toEqual([true, false]);
});

test('without a future table, a longer RetryLater waits in the largest retry queue', async () => {
  kit.router.consumer(
    kit.exchange,
    'retry.longest',
  )(async (_key, _body, { attempt }) => {
    if (attempt === 1) throw new RetryLater(60_000);
  });
  const consumer = await kit.start({ options: { retry: { delaysMs: [20, 60] } } });
  kit.send('retry.longest', {});
  await until(() => consumer.stats.handled === 1);
  await consumer.stop();
});

test.each([
  ['failed and waits for its next run', undefined],
  ['was put off, in the future table', 60_000],
])(
  'a message that %s goes to the dead letters when no handler takes it any more, unhandled: ack or not',
  async (_, putOffMs) => {
    const routingKey = `retry.gone.${putOffMs}`;
    kit.router.consumer(
      kit.exchange,
      routingKey,
    )(async () => {
      throw putOffMs === undefined ? new Error('not yet') : new RetryLater(putOffMs);
    });
    const scheduled: Message[] = [];
    const scheduler = { schedule: async (message: Message) => void scheduled.push(message) };
    const before = await kit.start({ parts: { scheduler }, options: { retry: { delaysMs: [1_000] } } });
    kit.send(routingKey, { n: 1 });
    await until(() => before.stats.retried === 1);
    await before.stop();
    const after = await kit.start({
      parts: { router: new MessageRouter() },
      options: { retry: { delaysMs: [1_000] } },
    });
    for (const { body, properties } of scheduled) {
      kit.channel.sendToQueue(kit.queue, Buffer.from(body), properties as Options.Publish);
    }
    kit.send(routingKey, { n: 2 });
    const dead = await kit.nextDead();
    expect(JSON.parse(dead.content.toString())).toEqual({ n: 1 });
    expect(dead.properties.headers).toMatchObject({
      [HEADER.reason]: 'unhandled',
      [HEADER.exchange]: kit.exchange,
      [HEADER.routingKey]: routingKey,
    });
    await until(() => after.stats.unhandled === 1 && after.stats.deadLettered.unhandled === 1);
  },
);

test('headers of ours that a foreign exchange brings are passed over', async () => {
  const seen: Seen[] = [];
  kit.router.consumer(
    kit.exchange,
    'retry.spoof',
  )(async (_key, _body, context) => {
    seen.push(see(context));
  });
  const consumer = await kit.start();
  kit.send('retry.spoof', {}, { [HEADER.exchange]: 'admin', [HEADER.routingKey]: 'x', [HEADER.attempt]: 99 });
  await until(() => consumer.stats.handled === 1);
  expect(seen[0]).toMatchObject({ exchange: kit.exchange, routingKey: 'retry.spoof', attempt: 1 });
  await consumer.stop();
});

test('nor are they believed on its retries: neither the sender’s word for its user, nor a mark that begins its attempts anew', async () => {
  const seen: Seen[] = [];
  kit.router.consumer(
    kit.exchange,
    'retry.claims',
  )(async (_key, _body, context) => {
    seen.push(see(context));
    throw new Error('failed');
  });
  await kit.start({ options: { retry: { attempts: 3, delaysMs: [20] } } });
  kit.send('retry.claims', {}, { [HEADER.userId]: 'admin', [HEADER.reason]: 'attempts', [HEADER.redriven]: 'now' });
  const dead = await kit.nextDead();
  expect(dead.properties.headers).toMatchObject({ [HEADER.attempt]: 3 });
  expect(dead.properties.headers).not.toHaveProperty([HEADER.redriven]);
  expect(seen.map(({ attempt }) => attempt)).toEqual([1, 2, 3]);
  expect(seen.flatMap(({ properties }) => Object.values(properties))).not.toContain('admin');
});

test('a message that says it has expired in this queue before is not taken for one that goes in a circle, and lost', async () => {
  const deaths = [{ queue: kit.queue, reason: 'expired', count: 1, exchange: 'elsewhere', 'routing-keys': ['k'] }];
  const seen: unknown[] = [];
  kit.router.consumer(
    kit.exchange,
    'retry.deaths',
  )(async (_key, _body, { attempt, headers }) => {
    seen.push(headers['x-death']);
    if (attempt === 1) throw new Error('failed');
  });
  const consumer = await kit.start({ options: { retry: { delaysMs: [20] } } });
  kit.send('retry.deaths', {}, { 'x-death': deaths });
  await until(() => consumer.stats.handled === 1);
  expect(seen).toEqual([deaths, deaths]);
});

test('a dead letter moved back by hand starts its attempts anew', async () => {
  const attempts: number[] = [];
  let isMended = false;
  kit.router.consumer(
    kit.exchange,
    'retry.moved',
  )(async (_key, _body, { attempt, exchange }) => {
    attempts.push(attempt);
    expect(exchange).toBe(kit.exchange);
    if (!isMended) throw new Error('not yet');
  });
  const consumer = await kit.start({ options: { retry: { attempts: 2, delaysMs: [20] } } });
  kit.send('retry.moved', {});
  const dead = await kit.nextDead();
  isMended = true;
  kit.channel.sendToQueue(kit.queue, dead.content, dead.properties);
  await until(() => consumer.stats.handled === 1);
  expect(attempts).toEqual([1, 2, 1]);
  await consumer.stop();
});
