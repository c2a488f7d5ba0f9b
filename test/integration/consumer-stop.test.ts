import { afterAll, beforeAll, expect, test } from 'vitest';
import { HandlerStoppedError } from '../../src/errors.ts';
import type { MessageContext } from '../../src/message/handler.ts';
import { HEADER } from '../../src/message/message.ts';
import { deferred } from '../../src/util/deferred.ts';
import { ConsumerKit, until } from '../support/consumer-kit.ts';
import { stressService } from '../support/start-stop-stress.ts';

let kit: ConsumerKit;
beforeAll(async () => {
  kit = await ConsumerKit.create();
});
afterAll(() => kit.remove());

test('stop waits for the handlers that run, and soon gives back what has not begun', async () => {
  const gate = deferred();
  let begun = 0;
  kit.router.consumer(
    kit.exchange,
    'stop.drain',
  )(async () => {
    begun += 1;
    await gate.promise;
  });
  const consumer = await kit.start({ options: { concurrency: 3 } });
  for (let n = 0; n < 10; n++) kit.send('stop.drain', { n });
  await until(() => consumer.stats.received === 10);
  const stopped = consumer.stop();
  await until(() => !consumer.isReady);
  await until(() => consumer.stats.released === 7);
  expect(consumer.stats).toMatchObject({ handled: 0, inFlight: 3 });
  gate.resolve();
  await stopped;
  expect(begun).toBe(3);
  expect(consumer.stats).toMatchObject({ received: 10, handled: 3, released: 7, inFlight: 0 });
  await until(async () => (await kit.count(kit.queue)) === 7);
  await kit.channel.purgeQueue(kit.queue);
});

test('stop with a handler that hangs aborts its signal and gives its message back within the grace time', async () => {
  const contexts: MessageContext[] = [];
  kit.router.consumer(
    kit.exchange,
    'stop.stuck',
  )((_routingKey, _body, context) => {
    contexts.push(context);
    return new Promise(() => undefined);
  });
  const consumer = await kit.start({ options: { graceMs: 300 } });
  kit.send('stop.stuck', {});
  await until(() => contexts.length === 1);
  const since = performance.now();
  await consumer.stop();
  expect(performance.now() - since).toBeGreaterThanOrEqual(295);
  expect(performance.now() - since).toBeLessThan(2_000);
  expect(contexts[0]?.signal.reason).toBeInstanceOf(HandlerStoppedError);
  expect(consumer.stats).toMatchObject({ received: 1, handled: 0, released: 1, inFlight: 0 });
  await until(async () => (await kit.count(kit.queue)) === 1);
  await kit.channel.purgeQueue(kit.queue);
});

test('a message that rests in place is given back by stop, its key in order', async () => {
  const runs: number[] = [];
  kit.router.consumer(
    kit.exchange,
    'stop.rest',
  )(async (_routingKey, body) => {
    runs.push((body as { n: number }).n);
    if (runs.length === 1) throw new Error('later');
  });
  const rest = { delaysMs: [60_000], inPlaceMs: 60_000 };
  const consumer = await kit.start({ options: { retry: rest } });
  for (let n = 0; n < 5; n++) kit.send('stop.rest', { n }, { [HEADER.key]: 'k' });
  await until(() => consumer.stats.rerunInPlace === 1 && consumer.stats.received === 5);
  await consumer.stop();
  expect(consumer.stats).toMatchObject({ released: 5, inFlight: 0 });
  const again = await kit.start({ options: { retry: rest } });
  await until(() => again.stats.handled === 5);
  expect(runs).toEqual([0, 0, 1, 2, 3, 4]);
  await again.stop();
});

test('nothing is lost or handled twice by consumers that are stopped under load', async () => {
  const seen = new Map<number, number>();
  kit.router.consumer(
    kit.exchange,
    'stop.load',
  )(async (_routingKey, body) => {
    const { n } = body as { n: number };
    await new Promise((resolve) => setTimeout(resolve, 1));
    seen.set(n, (seen.get(n) ?? 0) + 1);
  });
  // The queue is there before anything is sent to it, whichever test comes first.
  await (await kit.start()).stop();
  const TOTAL = 1_500;
  for (let n = 0; n < TOTAL; n++) kit.send('stop.load', { n });
  while (seen.size < TOTAL) {
    const consumer = await kit.start();
    const goal = Math.min(TOTAL, seen.size + 100);
    await until(() => seen.size >= goal);
    await consumer.stop();
  }
  expect([...seen.values()].every((times) => times === 1)).toBe(true);
  expect(await kit.count(kit.queue)).toBe(0);
});

test('start and stop may be repeated and crossed', async () => {
  await stressService(() => kit.consumer());
});

test('stop during a start that waits for the broker ends both', async () => {
  const neverEnsured = { ensure: () => new Promise<void>(() => undefined) };
  const consumer = kit.consumer({ parts: { topology: neverEnsured } });
  const started = consumer.start();
  await consumer.stop();
  await expect(started).rejects.toMatchObject({ code: 'SVC_COMM_START_ABORTED' });
  expect(consumer.state).toBe('idle');
});
