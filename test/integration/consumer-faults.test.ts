import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import type { Consumer } from '../../src/consumer/consumer.ts';
import { DeliveryLostError } from '../../src/errors.ts';
import { event } from '../../src/message/contract.ts';
import type { MessageContext } from '../../src/message/handler.ts';
import { HEADER } from '../../src/message/message.ts';
import { commandConsumer } from '../../src/router/command-consumer.ts';
import type { MethodMark } from '../../src/router/kind-decorator.ts';
import type { HandlerLookup } from '../../src/router/pipeline.ts';
import { MessageRouter } from '../../src/router/router.ts';
import { deferred } from '../../src/util/deferred.ts';
import { ConsumerKit, until } from '../support/consumer-kit.ts';

let kit: ConsumerKit;
let consumer: Consumer;
beforeAll(async () => {
  kit = await ConsumerKit.create();
});
afterEach(() => consumer.stop());
afterAll(() => kit.remove());

test('dead letters whose queue was deleted meanwhile wait until it is made again, and none is lost', async () => {
  kit.router.consumer(kit.exchange, 'faults.dead')(async () => undefined);
  consumer = await kit.start();
  await kit.channel.deleteQueue(kit.dead);
  for (let n = 0; n < 5; n++) kit.send('faults.dead', Buffer.from(`no json ${n}`));
  await until(() => consumer.stats.deadLettered.malformed === 5);
  expect(await kit.count(kit.dead)).toBe(5);
  expect(consumer.stats).toMatchObject({ received: 5, released: 0, lost: 0 });
  await kit.channel.purgeQueue(kit.dead);
});

test('a retry whose queue was deleted meanwhile runs once it is made again', async () => {
  kit.router.consumer(
    kit.exchange,
    'faults.retry',
  )(async (_key, _body, { attempt }) => {
    if (attempt === 1) throw new Error('again');
  });
  consumer = await kit.start();
  await kit.channel.deleteQueue(`${kit.queue}.retry.50`);
  kit.send('faults.retry', {});
  await until(() => consumer.stats.handled === 1);
});

test('what throws before its handler runs is a failed run, and leaves its slot to the others', async () => {
  const handlers = (): HandlerLookup => () => {
    throw new Error('no handler can be made');
  };
  const options = { concurrency: 1, retry: { attempts: 1, delaysMs: [] } };
  consumer = await kit.start({ parts: { router: { handlers } }, options });
  for (let n = 0; n < 3; n++) kit.send('faults.look-up', { n });
  for (let n = 0; n < 3; n++) expect((await kit.nextDead()).properties.headers?.[HEADER.reason]).toBe('attempts');
  const since = performance.now();
  await consumer.stop();
  expect(performance.now() - since).toBeLessThan(5_000);
});

test('a message of a consumer registered late whose kind is not that of its contract ends in one dead letter', async () => {
  const router = new MessageRouter();
  consumer = await kit.start({ parts: { router }, options: { retry: { attempts: 1, delaysMs: [] } } });
  class Late {
    @router.consumer(event(kit.exchange, 'faults.kind', z.object({})))
    @(commandConsumer as MethodMark<() => void>)
    static onLate() {}
  }
  expect(Late.name).toBe('Late');
  kit.send('faults.kind', {});
  const { headers } = (await kit.nextDead()).properties;
  expect(headers).toMatchObject({ [HEADER.reason]: 'attempts', [HEADER.handler]: 'Late.onLate' });
  await until(() => consumer.stats.deadLettered.attempts === 1);
  expect(consumer.stats).toMatchObject({ received: 1, released: 0 });
});

test('when its queue is deleted, the consumer makes it again and consumes within 5 s', async () => {
  kit.router.consumer(kit.exchange, 'faults.queue')(async () => undefined);
  consumer = await kit.start();
  expect(consumer.isReady).toBe(true);
  const since = performance.now();
  await kit.channel.deleteQueue(kit.queue);
  await until(() => !consumer.isReady);
  await until(() => consumer.isReady);
  kit.send('faults.queue', {});
  await until(() => consumer.stats.handled === 1);
  expect(performance.now() - since).toBeLessThan(5_000);
});

test('when the channel is lost, signals abort, no copy is published, and each message comes again', async () => {
  const contexts: MessageContext[] = [];
  const gate = deferred();
  kit.router.consumer(
    kit.exchange,
    'faults.lost',
  )(async (_key, _body, context) => {
    contexts.push(context);
    if (context.redelivered) return;
    await gate.promise;
    throw new Error('too late to count');
  });
  consumer = await kit.start({ options: { concurrency: 5 } });
  for (let n = 0; n < 20; n++) kit.send('faults.lost', { n });
  await until(() => contexts.length === 5 && consumer.stats.received === 20);
  const signals = contexts.map(({ signal }) => signal);
  kit.proxy.cut();
  await until(() => signals.every(({ aborted }) => aborted));
  expect(signals[0]?.reason).toBeInstanceOf(DeliveryLostError);
  expect(consumer.stats).toMatchObject({ lost: 20 });
  gate.resolve();
  await until(() => consumer.stats.handled === 20);
  expect(contexts).toHaveLength(25);
  expect(contexts.every(({ attempt }) => attempt === 1)).toBe(true);
  expect(consumer.stats).toMatchObject({ received: 40, retried: 0, inFlight: 0 });
  expect(await kit.count(kit.queue)).toBe(0);
});

test('a keyed message that comes again waits for the run of its lost delivery, and its key stays in order', async () => {
  const log: string[] = [];
  const gate = deferred();
  kit.router.consumer(
    kit.exchange,
    'faults.keyed',
  )(async (_key, body, { redelivered }) => {
    const { n } = body as { n: number };
    log.push(`begin ${n}`);
    if (n === 0 && !redelivered) await gate.promise;
    log.push(`end ${n}`);
  });
  consumer = await kit.start();
  for (let n = 0; n < 3; n++) kit.send('faults.keyed', { n }, { [HEADER.key]: 'k' });
  await until(() => consumer.stats.received === 3);
  kit.proxy.cut();
  await until(() => consumer.stats.received === 6);
  expect(log).toEqual(['begin 0']);
  gate.resolve();
  await until(() => consumer.stats.handled === 3);
  expect(log).toEqual(['begin 0', 'end 0', 'begin 0', 'end 0', 'begin 1', 'end 1', 'begin 2', 'end 2']);
});

test('when the connection is lost while a failed message rests, those behind it do not overtake it', async () => {
  const log: string[] = [];
  kit.router.consumer(
    kit.exchange,
    'faults.resting',
  )(async (_key, body, { redelivered }) => {
    const { n } = body as { n: number };
    log.push(`begin ${n}`);
    if (n === 0 && !redelivered) throw new Error('once');
    log.push(`end ${n}`);
  });
  consumer = await kit.start({ options: { retry: { attempts: 3, delaysMs: [5_000] } } });
  for (let n = 0; n < 3; n++) kit.send('faults.resting', { n }, { [HEADER.key]: 'k' });
  await until(() => consumer.stats.received === 3 && log.length === 1);
  kit.proxy.cut();
  await until(() => consumer.stats.handled === 3);
  expect(log).toEqual(['begin 0', 'begin 0', 'end 0', 'begin 1', 'end 1', 'begin 2', 'end 2']);
});

test('connections lost under load, with retries and dead letters under way, lose nothing', async () => {
  const TOTAL = 400;
  const done = new Set<number>();
  kit.router.consumer(
    kit.exchange,
    'faults.load',
  )(async (_key, body, { attempt }) => {
    const { n } = body as { n: number };
    await new Promise((resolve) => setTimeout(resolve, 2));
    if (n % 10 === 3 && attempt < 2) throw new Error('once');
    if (n % 50 === 7) throw new Error('always');
    done.add(n);
  });
  consumer = await kit.start({ options: { retry: { attempts: 2, delaysMs: [20] } } });
  for (let n = 0; n < TOTAL; n++) kit.send('faults.load', { n });
  for (let cut = 1; cut <= 4; cut++) {
    await until(() => done.size >= cut * 60);
    kit.proxy.cut();
  }
  const poison = TOTAL / 50;
  await until(() => done.size === TOTAL - poison && consumer.stats.inFlight === 0, 20_000);
  const dead = new Set<number>();
  while (dead.size < poison) dead.add(JSON.parse((await kit.nextDead()).content.toString()).n);
  expect([...dead].every((n) => n % 50 === 7)).toBe(true);
});
