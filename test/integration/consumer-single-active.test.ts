import { afterAll, beforeAll, expect, test } from 'vitest';
import { HEADER } from '../../src/message/message.ts';
import { MessageRouter } from '../../src/router/router.ts';
import { deferred } from '../../src/util/deferred.ts';
import { ConsumerKit, until } from '../support/consumer-kit.ts';

let kit: ConsumerKit;
beforeAll(async () => {
  kit = await ConsumerKit.create();
});
afterAll(() => kit.remove());

test('with a single active consumer, keys stay in order from one consumer that stops to the next', async () => {
  const KEYS = 10;
  const TOTAL = 1_500;
  const order = new Map<string, number[]>();
  kit.router.consumer(
    kit.exchange,
    'active',
  )(async (_routingKey, body, { key = '' }) => {
    await new Promise((resolve) => setTimeout(resolve, Math.random() * 4));
    order.set(key, [...(order.get(key) ?? []), (body as { n: number }).n]);
  });
  const queue = { singleActiveConsumer: true };
  const consumers = Array.from({ length: 5 }, () => kit.consumer({ queue }));
  await Promise.all(consumers.map((consumer) => consumer.start()));
  for (let n = 0; n < TOTAL; n++) kit.send('active', { n }, { [HEADER.key]: `k${n % KEYS}` });
  const handled = () => consumers.reduce((sum, { stats }) => sum + stats.handled, 0);
  const active = () => consumers.find(({ state, stats }) => state === 'running' && stats.received > 0);
  for (let stops = 1; stops <= 4; stops++) {
    await until(() => handled() >= stops * 300);
    await active()?.stop();
  }
  await until(() => handled() === TOTAL);
  expect(consumers.every(({ stats }) => stats.handled > 0)).toBe(true);
  for (const [key, seen] of order) {
    const inversions = seen.filter((n, i) => n < (seen[i - 1] ?? 0));
    expect([key, inversions]).toEqual([key, []]);
    expect(new Set(seen).size).toBe(TOTAL / KEYS);
  }
});

test('one whose run fails while its consumer stops is the first of its key with the next one', async () => {
  const own = await ConsumerKit.create();
  const seen: string[] = [];
  const begun = deferred();
  const failing = deferred<never>();
  const consumerOf = (who: string, run: () => Promise<void>) => {
    const router = new MessageRouter();
    router.consumer(
      own.exchange,
      'one',
    )(async (_routingKey, body) => {
      seen.push(`${who} ${(body as { n: number }).n}`);
      await run();
    });
    return own.consumer({ queue: { singleActiveConsumer: true }, parts: { router } });
  };
  const first = consumerOf('first', () => {
    begun.resolve();
    return failing.promise;
  });
  const second = consumerOf('second', async () => undefined);
  await first.start();
  await second.start();
  for (let n = 1; n <= 5; n++) own.send('one', { n }, { [HEADER.key]: 'k' });
  await begun.promise;
  await until(() => first.stats.received === 5);
  const stopped = first.stop();
  failing.reject(new Error('on purpose'));
  await stopped;
  await until(() => second.stats.handled === 5);
  expect(seen).toEqual(['first 1', 'second 1', 'second 2', 'second 3', 'second 4', 'second 5']);
  await own.remove();
});
