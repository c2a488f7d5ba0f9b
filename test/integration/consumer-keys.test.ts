import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import type { Consumer } from '../../src/consumer/consumer.ts';
import { Reject } from '../../src/errors.ts';
import { HEADER } from '../../src/message/message.ts';
import { ConsumerKit, until } from '../support/consumer-kit.ts';

let kit: ConsumerKit;
let consumer: Consumer;
beforeAll(async () => {
  kit = await ConsumerKit.create();
});
afterEach(() => consumer.stop());
afterAll(() => kit.remove());

const keyed = (key: string) => ({ [HEADER.key]: key });

test('messages of a key are handled one at a time and in order at concurrency 20, failures retried in place', async () => {
  const KEYS = 30;
  const EACH = 40;
  const order = new Map<string, number[]>();
  const running = new Set<string>();
  let overlaps = 0;
  let mostAtOnce = 0;
  kit.router.consumer(
    kit.exchange,
    'order',
  )(async (_routingKey, body, { key = '', attempt }) => {
    const { n } = body as { n: number };
    if (running.has(key)) overlaps += 1;
    running.add(key);
    mostAtOnce = Math.max(mostAtOnce, running.size);
    await new Promise((resolve) => setTimeout(resolve, Math.random() * 3));
    running.delete(key);
    if (n % 20 === 7 && attempt < 3) throw new Error('not yet');
    order.set(key, [...(order.get(key) ?? []), n]);
  });
  consumer = await kit.start({ options: { concurrency: 20, retry: { delaysMs: [10, 20] } } });
  for (let n = 0; n < EACH; n++) for (let k = 0; k < KEYS; k++) kit.send('order', { n }, keyed(`k${k}`));
  await until(() => consumer.stats.handled === KEYS * EACH);
  const expected = Array.from({ length: EACH }, (_, n) => n);
  for (const seen of order.values()) expect(seen).toEqual(expected);
  expect(order.size).toBe(KEYS);
  expect(overlaps).toBe(0);
  expect(mostAtOnce).toBeGreaterThan(10);
  expect(mostAtOnce).toBeLessThanOrEqual(20);
  expect(consumer.stats).toMatchObject({ retried: 0, rerunInPlace: 2 * 2 * KEYS });
});

test('a run in place gets the body as it was sent, whatever the run before made of it', async () => {
  const seen: unknown[] = [];
  kit.router.consumer(
    kit.exchange,
    'anew',
  )(async (_routingKey, body, { attempt }) => {
    seen.push(structuredClone(body));
    (body as { items: string[] }).items.length = 0;
    if (attempt === 1) throw new Error('once more');
  });
  consumer = await kit.start();
  kit.send('anew', { items: ['a', 'b'] }, keyed('anew'));
  await until(() => consumer.stats.handled === 1);
  expect(seen).toEqual([{ items: ['a', 'b'] }, { items: ['a', 'b'] }]);
});

test('a keyed message that keeps failing parks its key: it and those behind it go to the dead letters in order', async () => {
  const runs: string[] = [];
  let isMended = false;
  kit.router.consumer(
    kit.exchange,
    'park',
  )(async (_routingKey, body, { key, attempt }) => {
    const { n } = body as { n: number };
    runs.push(`${key}${n}#${attempt}`);
    if (key === 'a' && n === 1 && !isMended) throw new Error('stuck');
  });
  consumer = await kit.start({ options: { retry: { attempts: 3, delaysMs: [20] } } });
  for (let n = 0; n < 4; n++) {
    kit.send('park', { n }, keyed('a'));
    kit.send('park', { n }, keyed('b'));
  }
  const dead = [await kit.nextDead(), await kit.nextDead(), await kit.nextDead()];
  expect(dead.map(({ content }) => JSON.parse(content.toString()).n)).toEqual([1, 2, 3]);
  const reasons = dead.map(({ properties }) => properties.headers?.[HEADER.reason]);
  expect(reasons).toEqual(['attempts', 'parked', 'parked']);
  expect(dead.map(({ properties }) => properties.headers?.[HEADER.attempt])).toEqual([3, 0, 0]);
  expect(JSON.parse(dead[0]?.properties.headers?.[HEADER.failures])).toHaveLength(3);
  expect(runs.filter((run) => run.startsWith('a'))).toEqual(['a0#1', 'a1#1', 'a1#2', 'a1#3']);
  expect(runs.filter((run) => run.startsWith('b'))).toHaveLength(4);

  kit.send('park', { n: 4 }, keyed('a'));
  dead.push(await kit.nextDead());
  expect(JSON.parse(dead[3]?.content.toString() ?? '')).toEqual({ n: 4 });

  isMended = true;
  for (const { content, properties } of dead) {
    const headers = { ...properties.headers, [HEADER.redriven]: new Date().toISOString() };
    kit.channel.sendToQueue(kit.queue, content, { ...properties, headers });
  }
  kit.send('park', { n: 5 }, keyed('a'));
  await until(() => runs.at(-1) === 'a5#1');
  expect(runs.filter((run) => run.startsWith('a')).slice(4)).toEqual(['a1#1', 'a2#1', 'a3#1', 'a4#1', 'a5#1']);
});

test('behind a parked key a message that no handler takes is like any other that none takes', async () => {
  kit.router.consumer(kit.exchange, 'taken')(() => Promise.reject(new Reject('no')));
  consumer = await kit.start({ options: { unhandled: 'ack' } });
  kit.send('taken', { n: 0 }, keyed('c'));
  await kit.nextDead();
  kit.send('untaken', { n: 1 }, keyed('c'));
  kit.send('taken', { n: 2 }, keyed('c'));
  expect(JSON.parse((await kit.nextDead()).content.toString())).toEqual({ n: 2 });
  expect(consumer.stats).toMatchObject({ unhandled: 1, deadLettered: { rejected: 1, parked: 1, unhandled: 0 } });
});

test('a keyed message whose handler throws an Error without a readable text parks its key like any other', async () => {
  kit.router.consumer(
    kit.exchange,
    'odd',
  )(async () => {
    throw Object.assign(new Error(), { message: { status: 500 } });
  });
  consumer = await kit.start({ options: { retry: { attempts: 2, delaysMs: [20] } } });
  kit.send('odd', {}, keyed('odd'));
  const { headers } = (await kit.nextDead()).properties;
  expect(headers?.[HEADER.reason]).toBe('attempts');
  expect(headers?.[HEADER.failures]).toContain('status: 500');
});

test("with retry.keyed 'skip' only the failed message goes to the dead letters, the next goes on", async () => {
  const done: number[] = [];
  kit.router.consumer(
    kit.exchange,
    'skip',
  )(async (_routingKey, body) => {
    const { n } = body as { n: number };
    if (n === 0) throw new Error('stuck');
    done.push(n);
  });
  consumer = await kit.start({ options: { retry: { attempts: 2, delaysMs: [20], keyed: 'skip' } } });
  for (let n = 0; n < 3; n++) kit.send('skip', { n }, keyed('s'));
  await until(() => done.length === 2 && consumer.stats.inFlight === 0);
  expect(done).toEqual([1, 2]);
  expect(JSON.parse((await kit.nextDead()).content.toString())).toEqual({ n: 0 });
  expect(await kit.count(kit.dead)).toBe(0);
});

test('a keyed message that is rejected parks its key at once', async () => {
  kit.router.consumer(
    kit.exchange,
    'reject',
  )(async (_routingKey, body) => {
    if ((body as { n: number }).n === 0) throw new Reject('never');
  });
  consumer = await kit.start();
  for (let n = 0; n < 2; n++) kit.send('reject', { n }, keyed('r'));
  const reasons = [await kit.nextDead(), await kit.nextDead()].map((dead) => dead.properties.headers?.[HEADER.reason]);
  expect(reasons).toEqual(['rejected', 'parked']);
});

test('retries in place end after inPlaceMs, the last wait cut to what is left', async () => {
  const at: number[] = [];
  kit.router.consumer(
    kit.exchange,
    'in-place',
  )(async () => {
    at.push(performance.now());
    throw new Error('stuck');
  });
  consumer = await kit.start({ options: { retry: { attempts: 10, delaysMs: [60, 10_000], inPlaceMs: 2_000 } } });
  kit.send('in-place', {}, keyed('p'));
  await kit.nextDead();
  expect(at).toHaveLength(3);
  const [first = 0, , last = 0] = at;
  expect(last - first).toBeGreaterThanOrEqual(1_990);
  expect(last - first).toBeLessThan(10_000);
});

test('a waiting key holds no slot: with concurrency 1 others are handled meanwhile', async () => {
  const done: string[] = [];
  kit.router.consumer(
    kit.exchange,
    'slot',
  )(async (_routingKey, body, { attempt }) => {
    const { name } = body as { name: string };
    if (name === 'failing' && attempt === 1) throw new Error('later');
    done.push(name);
  });
  consumer = await kit.start({ options: { concurrency: 1, retry: { delaysMs: [300] } } });
  kit.send('slot', { name: 'failing' }, keyed('x'));
  kit.send('slot', { name: 'behind' }, keyed('x'));
  kit.send('slot', { name: 'free' });
  await until(() => done.length === 3);
  expect(done).toEqual(['free', 'failing', 'behind']);
});
