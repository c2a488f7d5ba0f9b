import { afterAll, beforeAll, expect, test } from 'vitest';
import { HEADER } from '../../src/message/message.ts';
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
