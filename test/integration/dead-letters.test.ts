import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, test } from 'vitest';
import { BrokerConnection } from '../../src/broker/connection.ts';
import { BrokerPublisher } from '../../src/broker/publisher.ts';
import { BrokerQueueReader } from '../../src/broker/queue-reader.ts';
import { InboxStore } from '../../src/database/inbox-store.ts';
import { knexTransactions, resolveTransactions } from '../../src/database/transactions.ts';
import { DeadLetters, type DeadLettersParts } from '../../src/dead-letters/dead-letters.ts';
import { HEADER, type Headers } from '../../src/message/message.ts';
import { deadQueueName } from '../../src/message/topology.ts';
import { MessageRouter } from '../../src/router/router.ts';
import { deferred } from '../../src/util/deferred.ts';
import { BrokerKit } from '../support/broker-kit.ts';
import { ConsumerKit, until } from '../support/consumer-kit.ts';
import { testBrokerUrl } from '../support/servers.ts';
import { type TestDatabase, testDatabase } from '../support/test-database.ts';

const url = testBrokerUrl();
const reading = new BrokerConnection({ name: 'test dead letters', url });
const publishing = new BrokerConnection({ name: 'test publish', url });
const publisher = new BrokerPublisher({ connection: publishing });
const reader = new BrokerQueueReader(reading);
let kit: BrokerKit;
beforeAll(async () => {
  kit = await BrokerKit.open('dead_letters_test');
  for (const service of [publishing, publisher, reading]) await service.start();
});
afterAll(async () => {
  for (const service of [publisher, publishing, reading]) await service.stop();
  await kit.close();
});

const deadLettersOf = (queue: string, parts: Partial<DeadLettersParts> = {}) =>
  new DeadLetters({ reader, publisher, parking: undefined, queue, keepsKeyOrder: true, ...parts });

const died = (minute: number) => new Date(Date.UTC(2026, 0, 1, 0, minute)).toISOString();

function headersOf(n: number, headers: Headers = {}): Headers {
  const failure = { time: died(n % 60), code: 'BOOM', message: `failure ${n}`, host: 'here' };
  return {
    [HEADER.exchange]: 'shop',
    [HEADER.routingKey]: 'order.made',
    [HEADER.attempt]: 5,
    [HEADER.reason]: n % 2 === 0 ? 'attempts' : 'rejected',
    [HEADER.handler]: 'Shop.onOrder',
    [HEADER.failures]: JSON.stringify([failure]),
    tenant: 'acme',
    ...headers,
  };
}

/** A work queue and its dead letters, numbered in their bodies. */
async function deadLetters(suffix: string, count: number, type = 'quorum', headers = (n: number) => headersOf(n)) {
  const queue = await kit.queue(suffix, { 'x-queue-type': type });
  const dead = await kit.queue(deadQueueName(suffix), { 'x-queue-type': type });
  for (let n = 0; n < count; n += 1) {
    const options = { persistent: true, messageId: `m${n}`, headers: headers(n), appId: 'shop' };
    kit.channel.sendToQueue(dead, Buffer.from(String(n)), options);
  }
  await until(async () => (await kit.count(dead)) === count);
  return { queue, dead };
}

/** Without what a quorum queue of some versions adds. */
const withoutCount = ({ 'x-delivery-count': _, ...headers }: Headers = {}) => headers;

/** A reader's messages are back when the queue has no consumer any more. */
async function bodies(queue: string): Promise<string[]> {
  await until(async () => (await kit.channel.checkQueue(queue)).consumerCount === 0);
  return kit.drain(queue);
}

const numbers = (count: number) => Array.from({ length: count }, (_, n) => String(n));

describe.each(['quorum', 'classic'])('looking at a %s queue', (type) => {
  it('leaves order, headers and bodies as they were, all of them or some', async () => {
    const COUNT = 3_000;
    const { queue, dead } = await deadLetters(`peek.${type}`, COUNT, type);
    const letters = deadLettersOf(queue);
    expect(await letters.summary()).toMatchObject({ waiting: COUNT, counted: COUNT });
    expect(await letters.show({}, 7)).toHaveLength(7);
    expect(await letters.redrive({ filter: {}, limit: 3, dryRun: true })).toMatchObject({ taken: 3 });
    expect(await letters.show({ ids: ['m1500'] }, 1)).toMatchObject([{ id: 'm1500', exchange: 'shop' }]);
    expect(await letters.redrive({ filter: {}, dryRun: true })).toMatchObject({ taken: COUNT, isComplete: true });
    const [first] = await letters.show({}, 1);
    expect(first?.headers).toMatchObject(headersOf(0));
    expect(await bodies(dead)).toEqual(numbers(COUNT));
    expect(await kit.count(queue)).toBe(0);
  });

  it('leaves what is not wanted in its order', async () => {
    const COUNT = 3_000;
    const isWanted = (n: string) => Number(n) % 50 === 49;
    const { queue, dead } = await deadLetters(`filter.${type}`, COUNT, type, (n) =>
      headersOf(n, { [HEADER.handler]: n % 50 === 49 ? 'Shop.wanted' : 'Shop.onOrder' }),
    );
    const result = await deadLettersOf(queue).redrive({ filter: { handlers: ['Shop.wanted'] } });
    expect(result).toMatchObject({ taken: COUNT / 50, heldBack: 0, refused: 0, isComplete: true });
    expect(await bodies(queue)).toEqual(numbers(COUNT).filter(isWanted));
    expect(await bodies(dead)).toEqual(numbers(COUNT).filter((n) => !isWanted(n)));
  });
});

test('a summary counts by reason and handler, with the times of the first and the last', async () => {
  const { queue } = await deadLetters('groups', 5);
  expect((await deadLettersOf(queue).summary()).groups).toEqual([
    { reason: 'attempts', handler: 'Shop.onOrder', count: 3, oldest: died(0), newest: died(4) },
    { reason: 'rejected', handler: 'Shop.onOrder', count: 2, oldest: died(1), newest: died(3) },
  ]);
});

test('filters take what fits all of them, and the limit the oldest', async () => {
  const { queue, dead } = await deadLetters('filters', 12);
  const letters = deadLettersOf(queue);
  const filter = { reasons: ['attempts'], since: new Date(died(4)) };
  expect(await letters.redrive({ filter, limit: 2 })).toMatchObject({ taken: 2 });
  expect(await letters.drop({ filter: { ids: ['m0', 'm11'] } })).toMatchObject({ taken: 2 });
  expect(await bodies(queue)).toEqual(['4', '6']);
  expect(await bodies(dead)).toEqual(['1', '2', '3', '5', '7', '8', '9', '10']);
});

test('a redriven copy is as the message first came, marked as redriven, with its history and no attempts', async () => {
  const { queue } = await deadLetters('copy', 1);
  await deadLettersOf(queue).redrive({ filter: {} });
  const copy = await kit.channel.get(queue, { noAck: true });
  if (!copy) throw new Error('there is no copy');
  const { [HEADER.reason]: _, [HEADER.handler]: __, [HEADER.attempt]: ___, ...kept } = headersOf(0);
  expect(withoutCount(copy.properties.headers)).toEqual({
    ...kept,
    [HEADER.redriven]: expect.stringMatching(/^\d{4}-.+Z$/),
  });
  expect(copy.properties).toMatchObject({ messageId: 'm0', appId: 'shop', deliveryMode: 2 });
});

test('what no consumer of ours put there stays, and is said; it can be dropped', async () => {
  const { queue, dead } = await deadLetters('foreign', 3, 'quorum', (n) => (n === 1 ? { other: 1 } : headersOf(n)));
  expect(await deadLettersOf(queue).redrive({ filter: {} })).toMatchObject({ taken: 2, refused: 1 });
  expect((await deadLettersOf(queue).summary()).waiting).toBe(1);
  expect(await deadLettersOf(queue).drop({ filter: {} })).toMatchObject({ taken: 1, refused: 0 });
  expect(await kit.count(dead)).toBe(0);
});

test('what was given up longer ago than the inbox remembers is refused, its key waits, and force puts it back', async () => {
  const day = 86_400_000;
  const ago = (ms: number) => new Date(Date.now() - ms).toISOString();
  const { queue, dead } = await deadLetters('forgotten', 4, 'quorum', (n) => ({
    ...headersOf(n, { [HEADER.key]: n < 2 ? 'old' : 'new' }),
    [HEADER.failures]: JSON.stringify([
      { time: ago(n === 0 ? 8 * day : 6 * day), code: 'NO', message: 'no', host: 'here' },
    ]),
  }));
  const letters = deadLettersOf(queue, { retentionMs: 7 * day });
  const result = await letters.redrive({ filter: {} });
  expect(result).toMatchObject({ taken: 2, refused: 1, heldBack: 1, isComplete: true });
  expect(result.lastRefusal).toMatch(/m0: expected .* inbox\.retention \(7 d\), or --force, got one given up 8 d ago/);
  expect(await bodies(queue)).toEqual(['2', '3']);
  expect(await letters.redrive({ filter: {}, force: true })).toMatchObject({ taken: 2, refused: 0 });
  expect(await bodies(queue)).toEqual(['0', '1']);
  expect(await bodies(dead)).toEqual([]);
});

test('a letter whose copy goes nowhere stays', async () => {
  const { queue, dead } = await deadLetters('nowhere', 3);
  await kit.channel.deleteQueue(queue);
  await expect(deadLettersOf(queue).redrive({ filter: {} })).rejects.toMatchObject({ code: 'SVC_COMM_UNROUTABLE' });
  expect(await bodies(dead)).toEqual(numbers(3));
});

test('no letter is put back before an earlier one of its key that stays', async () => {
  const { queue, dead } = await deadLetters('blocked', 6, 'quorum', (n) =>
    headersOf(n, { [HEADER.key]: n < 3 ? 'a' : 'b' }),
  );
  const filter = { ids: ['m1', 'm2', 'm3', 'm4'] };
  expect(await deadLettersOf(queue).redrive({ filter })).toMatchObject({ taken: 2, heldBack: 2 });
  expect(await bodies(queue)).toEqual(['3', '4']);
  expect(await bodies(dead)).toEqual(['0', '1', '2', '5']);
});

test('with a rate no more than so many pass each second, and a stop leaves the rest', async () => {
  const { queue, dead } = await deadLetters('rate', 40);
  const stop = new AbortController();
  const began = performance.now();
  const onProgress = (taken: number) => taken === 10 && stop.abort();
  const result = await deadLettersOf(queue).redrive({ filter: {}, perSecond: 50, signal: stop.signal, onProgress });
  expect(performance.now() - began).toBeGreaterThan(170);
  expect(result.isComplete).toBe(false);
  expect(await bodies(queue)).toEqual(numbers(40).slice(0, result.taken));
  expect(await bodies(dead)).toEqual(numbers(40).slice(result.taken));
});

test('what onProgress throws ends it, and every letter is in one place', async () => {
  const { queue, dead } = await deadLetters('progress', 500);
  const broken = new Error('the display is gone');
  const onProgress = () => {
    throw broken;
  };
  await expect(deadLettersOf(queue).redrive({ filter: {}, onProgress })).rejects.toBe(broken);
  const redriven = await bodies(queue);
  expect(redriven).toEqual(numbers(redriven.length));
  expect(await bodies(dead)).toEqual(numbers(500).slice(redriven.length));
});

test('who comes while another reads is turned away: two who give back would mix the order', async () => {
  const { queue, dead } = await deadLetters('two', 5);
  const open = await reader.open(dead);
  await expect(deadLettersOf(queue).summary()).rejects.toMatchObject({ code: 'SVC_COMM_QUEUE_UNAVAILABLE' });
  await open.close();
  expect(await bodies(dead)).toEqual(numbers(5));
});

test('a queue without dead letters, and one that is not there, are told apart', async () => {
  const { queue } = await deadLetters('none', 0);
  expect(await deadLettersOf(queue).summary()).toMatchObject({ waiting: 0, groups: [] });
  await expect(deadLettersOf(`${queue}.gone`).summary()).rejects.toMatchObject({ code: 'SVC_COMM_QUEUE_UNAVAILABLE' });
});

describe('a parked key', () => {
  let consumers: ConsumerKit;
  let database: TestDatabase;
  let inbox: InboxStore;
  beforeAll(async () => {
    database = await testDatabase('dead_letters_test');
    inbox = new InboxStore({
      transactions: resolveTransactions(knexTransactions(), database.pool),
      schema: database.schema,
    });
  });
  beforeEach(async () => {
    consumers = await ConsumerKit.create();
  });
  afterEach(() => consumers.remove());
  afterAll(() => database.close());

  it('is redriven in order, stays parked while a letter is left, and comes free with the last', async () => {
    const handled: number[] = [];
    let isMended = false;
    consumers.router.consumer(
      consumers.exchange,
      '#',
    )(async (_routingKey, body) => {
      if (!isMended) throw new Error('stuck');
      handled.push((body as { n: number }).n);
    });
    const consumer = await consumers.start({
      options: { retry: { attempts: 2, delaysMs: [10] }, inboxByDefault: true },
      parts: { inbox },
    });
    const send = (n: number) => consumers.send('x', { n }, { [HEADER.key]: 'k' });
    for (let n = 0; n < 50; n += 1) send(n);
    await until(() => consumer.stats.deadLettered.attempts + consumer.stats.deadLettered.parked === 50);
    isMended = true;
    const letters = deadLettersOf(consumers.queue, { parking: inbox });

    expect(await letters.redrive({ filter: {}, limit: 20 })).toMatchObject({ taken: 20, unparked: 0 });
    await until(() => handled.length === 20);
    expect(await inbox.parkedKeys(consumers.queue)).toMatchObject([{ orderKey: 'k' }]);
    send(50);
    await until(() => consumer.stats.deadLettered.attempts + consumer.stats.deadLettered.parked === 51);

    expect(await letters.redrive({ filter: {} })).toMatchObject({ taken: 31, unparked: 1 });
    send(51);
    await until(() => handled.length === 52);
    expect(handled).toEqual(Array.from({ length: 52 }, (_, n) => n));
    expect(await inbox.parkedKeys(consumers.queue)).toEqual([]);
  });

  it('stays parked when its last redriven letter fails again between the walk and the end of the redrive', async () => {
    let isMended = false;
    const handled: number[] = [];
    let runs = 0;
    const walkIsOver = deferred();
    consumers.router.consumer(
      consumers.exchange,
      '#',
    )(async (_routingKey, body) => {
      runs += 1;
      if (runs === 2) await walkIsOver.promise;
      if (!isMended) throw new Error('stuck');
      handled.push((body as { n: number }).n);
    });
    const consumer = await consumers.start({
      options: { retry: { attempts: 1 }, inboxByDefault: true },
      parts: { inbox },
    });
    const send = (n: number) => consumers.send('x', { n }, { [HEADER.key]: 'again' });
    const dead = (reason: 'attempts' | 'parked', count: number) =>
      until(() => consumer.stats.deadLettered[reason] === count);
    send(0);
    await dead('attempts', 1);
    const letters = deadLettersOf(consumers.queue, {
      parking: {
        parkedKeys: (queue) => inbox.parkedKeys(queue),
        unparkKey: async (queue, key) => {
          walkIsOver.resolve();
          await dead('attempts', 2);
          return inbox.unparkKey(queue, key);
        },
      },
    });
    expect(await letters.redrive({ filter: {} })).toMatchObject({ taken: 1, unparked: 0 });
    isMended = true;
    send(1);
    await dead('parked', 1);
    expect(await deadLettersOf(consumers.queue, { parking: inbox }).redrive({ filter: {} })).toMatchObject({
      taken: 2,
      unparked: 1,
    });
    await until(() => handled.length === 2);
    expect(handled).toEqual([0, 1]);
  });

  it('is parked again by a redriven letter that no handler takes any more, and its letters keep their order', async () => {
    const handled: string[] = [];
    const record = async (_routingKey: string, body: unknown) => void handled.push((body as { n: string }).n);
    const { exchange, queue } = consumers;
    const [failing, rolledBack, mended] = [new MessageRouter(), new MessageRouter(), new MessageRouter()];
    failing.consumer(exchange, 'new')(() => Promise.reject(new Error('stuck')));
    mended.consumer(exchange, 'new')(record);
    for (const router of [failing, rolledBack, mended]) router.consumer(exchange, 'old')(record);
    const running = (router: MessageRouter) =>
      consumers.start({ options: { retry: { attempts: 1 } }, parts: { inbox, router } });
    const send = (route: string, n: string) => consumers.send(route, { n }, { [HEADER.key]: 'back' });
    const letters = deadLettersOf(queue, { parking: inbox });

    let consumer = await running(failing);
    for (const n of ['1', '2']) send('new', n);
    await until(() => consumer.stats.deadLettered.parked === 1);
    await consumer.stop();

    consumer = await running(rolledBack);
    expect(await letters.redrive({ filter: {} })).toMatchObject({ taken: 2 });
    await until(() => consumer.stats.deadLettered.unhandled === 2);
    expect(await inbox.parkedKeys(queue)).toMatchObject([{ orderKey: 'back' }]);
    send('old', '3');
    await until(() => consumer.stats.deadLettered.parked === 1);
    expect(await letters.redrive({ filter: { reasons: ['parked'] } })).toMatchObject({ taken: 0, heldBack: 1 });
    await consumer.stop();

    consumer = await running(mended);
    expect(await letters.redrive({ filter: {} })).toMatchObject({ taken: 3, unparked: 1 });
    await until(() => handled.length === 3);
    expect(handled).toEqual(['1', '2', '3']);
    expect(await inbox.parkedKeys(queue)).toEqual([]);
  });

  it('comes free with the letter that parked it, whatever becomes of one behind it that no handler ever could take', async () => {
    const handled: number[] = [];
    let isMended = false;
    const { exchange, queue, router } = consumers;
    router.consumer(
      exchange,
      'x',
    )(async (_routingKey, body) => {
      if (!isMended) throw new Error('stuck');
      handled.push((body as { n: number }).n);
    });
    const consumer = await consumers.start({
      options: { retry: { attempts: 1 }, unhandled: 'dead-letter' },
      parts: { inbox },
    });
    const send = (route: string, body: unknown) => consumers.send(route, body, { [HEADER.key]: 'behind' });
    const dead = (reason: 'attempts' | 'malformed' | 'parked' | 'unhandled', count: number) =>
      until(() => consumer.stats.deadLettered[reason] === count);
    send('x', { n: 1 });
    await dead('attempts', 1);
    send('x', Buffer.from('no JSON'));
    send('nobody', {});
    await dead('parked', 1);
    await dead('unhandled', 1);
    isMended = true;

    const letters = deadLettersOf(queue, { parking: inbox });
    for (let times = 1; times <= 2; times++) {
      await letters.redrive({ filter: {} });
      await dead('malformed', times);
      await dead('unhandled', 1 + times);
      expect(await inbox.parkedKeys(queue)).toEqual([]);
      send('x', { n: 1 + times });
      await until(() => handled.length === 1 + times);
    }
    expect(handled).toEqual([1, 2, 3]);
  });
});
