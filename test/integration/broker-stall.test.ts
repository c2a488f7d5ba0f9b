import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { BrokerConnection } from '../../src/broker/connection.ts';
import { DEFAULT_STALL_OPTIONS } from '../../src/broker/stall-watch.ts';
import { BrokerSubscriber, type BrokerSubscriberOptions } from '../../src/broker/subscriber.ts';
import type { Delivery, SubscribeOptions } from '../../src/message/subscriber.ts';
import { deliveryFilter } from '../support/amqp-filter.ts';
import { BrokerKit, LogLines } from '../support/broker-kit.ts';
import { until } from '../support/consumer-kit.ts';
import { testBrokerUrl } from '../support/servers.ts';
import { TcpProxy } from '../support/tcp-proxy.ts';

let kit: BrokerKit;
beforeAll(async () => {
  kit = await BrokerKit.open('stall');
});
afterAll(() => kit.close());

const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

/** Two nodes to choose from; the first, and it alone, can stop bringing deliveries with all else going on. */
async function setup(options: Partial<SubscribeOptions> = {}, stall: BrokerSubscriberOptions['stall'] = FAST) {
  const isDropping = { value: false };
  const proxies = [await TcpProxy.to(testBrokerUrl()), await TcpProxy.to(testBrokerUrl())] as const;
  for (const proxy of proxies) cleanups.push(() => proxy.close());
  proxies[0].filterToClient = () => deliveryFilter(() => isDropping.value);
  const log = new LogLines();
  const url = proxies.map((proxy) => proxy.url(testBrokerUrl()));
  const backoff = { initialMs: 10, maxMs: 20 };
  const connection = new BrokerConnection({ name: 'stalled consume', url, backoff, logger: log });
  cleanups.push(() => connection.stop());
  await connection.start();
  const queue = await kit.queue(`q${cleanups.length}${Math.random().toString(36).slice(2)}`, {
    'x-queue-type': 'quorum',
  });
  const deliveries: Delivery[] = [];
  const onDelivery = (delivery: Delivery) => void deliveries.push(delivery);
  const subscriber = new BrokerSubscriber({ connection, logger: log, ...(stall ? { stall } : {}) });
  const subscription = subscriber.subscribe({ queue, prefetch: 10, onDelivery, ...options });
  cleanups.push(() => subscription.stop());
  await subscription.start();
  const send = (text: string) => kit.channel.sendToQueue(queue, Buffer.from(text));
  return { isDropping, proxies, connection, queue, deliveries, send, log };
}

const FAST = { everyMs: 40, afterMs: 200 };
/** What a busy broker needs for its first deliveries is less. */
const SLOWER = { everyMs: 40, afterMs: 1_000 };

describe('a connection that is alive and brings nothing', () => {
  it('is given up for the next node when messages wait and there is room for them, and they are brought there', async () => {
    const deliveries: Delivery[] = [];
    let whenBrought: object | undefined;
    const onDelivery = (delivery: Delivery) => {
      deliveries.push(delivery);
      if (!isDropping.value) return;
      // Later a busy broker may take as long once more.
      whenBrought ??= {
        reconnects: connection.stats.reconnects,
        accepted: proxies.map((proxy) => proxy.accepted),
        told: log.count('messages wait and none is brought though there is room'),
      };
    };
    const { isDropping, proxies, connection, send, log } = await setup({ onDelivery }, SLOWER);
    send('before');
    await until(() => deliveries.length === 1);
    deliveries[0]?.ack();
    isDropping.value = true;
    const from = performance.now();
    // What is dropped counts as handed out: more than the prefetch, so that some stay in the queue.
    for (let n = 0; n < 30; n += 1) send(String(n));
    await until(() => deliveries.length > 1);
    const tookMs = performance.now() - from;
    console.info(`brought again after ${tookMs.toFixed(0)} ms, given up after ${SLOWER.afterMs} ms`);
    expect(tookMs).toBeGreaterThan(SLOWER.afterMs);
    expect(whenBrought).toEqual({ reconnects: 1, accepted: [1, 1], told: 1 });
    while (new Set(deliveries.map(({ body }) => body.toString())).size < 31) {
      for (const delivery of deliveries) delivery.ack();
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  });

  it('is found within 45 s by the times of the settings', () => {
    // A look is at most `every` after the messages came, and the one that ends it at most `every` after `after`.
    const { everyMs, afterMs } = DEFAULT_STALL_OPTIONS;
    expect(2 * everyMs + afterMs).toBeLessThanOrEqual(45_000);
  });

  it('is given up later each time, when the next one brings nothing either', async () => {
    const { isDropping, proxies, connection, send } = await setup({}, { everyMs: 10, afterMs: 50 });
    proxies[1].filterToClient = () => deliveryFilter(() => isDropping.value);
    isDropping.value = true;
    const losses: number[] = [];
    connection.listen({ lost: () => void losses.push(performance.now()) });
    for (let n = 0; n < 30; n += 1) send(String(n));
    await until(() => losses.length === 4);
    const gaps = losses.slice(1).map((at, index) => at - (losses[index] ?? 0));
    expect(gaps[2]).toBeGreaterThan(2 * 50 * 2);
  });

  const STAYS_MS = 5 * FAST.afterMs;
  it.each<[string, (kitted: Awaited<ReturnType<typeof setup>>) => void | Promise<void>, Partial<SubscribeOptions>]>([
    ['there is nothing to bring', () => undefined, {}],
    [
      'there is no room: handlers are slow',
      ({ send }) => {
        for (let n = 0; n < 30; n += 1) send(String(n));
      },
      {},
    ],
    [
      'it waits for its turn as the single active consumer',
      ({ send, isDropping }) => {
        isDropping.value = true;
        for (let n = 0; n < 30; n += 1) send(String(n));
      },
      { isSingleActive: true },
    ],
  ])('is kept when %s', async (_why, begin, options) => {
    const kitted = await setup(options);
    await begin(kitted);
    await new Promise((resolve) => setTimeout(resolve, STAYS_MS));
    expect(kitted.connection.stats.reconnects).toBe(0);
  });
});
