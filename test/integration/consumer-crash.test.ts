import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'amqplib';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { BrokerTopology } from '../../src/broker/topology.ts';
import type { Consumer } from '../../src/consumer/consumer.ts';
import { FileStartMarks } from '../../src/consumer/file-start-marks.ts';
import { MAX_HOLD_MS } from '../../src/consumer/next-step.ts';
import { DEFAULT_CONSUMER_OPTIONS } from '../../src/consumer/options.ts';
import { StartMarkStore } from '../../src/database/start-mark-store.ts';
import { knexTransactions, resolveTransactions } from '../../src/database/transactions.ts';
import { DatabaseUnavailableError } from '../../src/errors.ts';
import { silentLogger } from '../../src/lifecycle/logger.ts';
import { HEADER } from '../../src/message/message.ts';
import type { StartMarks } from '../../src/message/start-marks.ts';
import { deferred } from '../../src/util/deferred.ts';
import { ConsumerKit, until } from '../support/consumer-kit.ts';
import { testBrokerUrl } from '../support/servers.ts';
import { type TestDatabase, testDatabase } from '../support/test-database.ts';

let database: TestDatabase;
const folder = mkdtempSync(join(tmpdir(), 'svc-comm-marks-'));
beforeAll(async () => {
  database = await testDatabase('consumer_crash', { max: 10 });
});
afterAll(async () => {
  await database.close();
  rmSync(folder, { recursive: true, force: true });
});

const key = (messageId: string) => ({ queue: 'q', source: 's', messageId });
const stores: readonly [string, () => StartMarks][] = [
  [
    'in the database',
    () =>
      new StartMarkStore({
        transactions: resolveTransactions(knexTransactions(), database.pool),
        schema: database.schema,
      }),
  ],
  ['in files', () => new FileStartMarks(join(folder, 'marks'), silentLogger)],
];

describe.each(stores)('start marks %s', (_where, create) => {
  it('count the runs that never ended, for whoever looks next', async () => {
    const marks = create();
    await marks.begin(key('a'));
    await marks.begin(key('a'));
    await marks.begin(key('b'));
    await marks.end(key('b'));
    expect(await create().read([key('b'), key('a'), key('never')])).toEqual([
      { starts: 0, isReturned: false },
      { starts: 2, isReturned: false },
      { starts: 0, isReturned: false },
    ]);
    await marks.end(key('a'));
    expect(await marks.read([key('a')])).toMatchObject([{ starts: 0 }]);
  });

  it('say once that a message was given back alive, and take its start back', async () => {
    const marks = create();
    await marks.giveBack([key('c'), key('d')], false);
    expect(await marks.read([key('c')])).toEqual([{ starts: 0, isReturned: true }]);
    expect(await marks.read([key('c'), key('d')])).toEqual([
      { starts: 0, isReturned: false },
      { starts: 0, isReturned: true },
    ]);
    await marks.begin(key('e'));
    await marks.begin(key('e'));
    await marks.giveBack([key('e')], true);
    expect(await marks.read([key('e')])).toEqual([{ starts: 1, isReturned: true }]);
    await marks.begin(key('e'));
    expect(await marks.read([key('e')])).toEqual([{ starts: 2, isReturned: false }]);
    await marks.end(key('e'));
  });

  it('are forgotten when they are old', async () => {
    const marks = create() as StartMarkStore | FileStartMarks;
    await marks.begin(key('old'));
    expect(await marks.deleteExpired(60_000)).toBe(0);
    await until(async () => (await marks.deleteExpired(1)) === 1);
    expect(await marks.read([key('old')])).toMatchObject([{ starts: 0 }]);
  });
});

it('start marks that cannot be written are told of once, and hold nothing up', async () => {
  const warnings: string[] = [];
  const logger = { ...silentLogger, warn: (_fields: object, text: string) => void warnings.push(text) };
  const marks = new FileStartMarks(join(process.execPath, 'marks'), logger);
  await marks.begin(key('a'));
  await marks.begin(key('b'));
  expect(warnings).toEqual([expect.stringContaining('start marks cannot be written')]);
});

/** As a process that dies leaves them: delivered, and nothing said of them. */
async function comeBack(kit: ConsumerKit, count: number, topic: string, headers = {}): Promise<void> {
  for (let n = 0; n < count; n += 1) kit.send(topic, { n }, headers, { messageId: `${topic}-${n}`, appId: 'sender' });
  await until(async () => (await kit.count(kit.queue)) === count);
  const dying = await connect(testBrokerUrl());
  const channel = await dying.createChannel();
  for (let n = 0; n < count; n += 1) expect(await channel.get(kit.queue)).not.toBe(false);
  await dying.close();
  await until(async () => (await kit.count(kit.queue)) === count);
}

describe('messages that came back', () => {
  let kit: ConsumerKit;
  let marks: StartMarks;
  let consumer: Consumer | undefined;
  beforeAll(async () => {
    kit = await ConsumerKit.create();
    marks = stores[0]?.[1]() as StartMarks;
    // Makes queue and exchange, for those who send before they consume.
    await (await kit.start()).stop();
  });
  afterEach(() => consumer?.stop());
  afterAll(() => kit.remove());

  const table = () => database.count('svc_comm_start_mark');
  const bringBack = (count: number, topic: string, headers = {}) => comeBack(kit, count, topic, headers);
  const begin = (topic: string, n: number) =>
    marks.begin({ queue: kit.queue, source: 'sender', messageId: `${topic}-${n}` });

  it('run one at a time with nothing beside them, those with the fewest deaths first, and leave no mark', async () => {
    let running = 0;
    let alone = 0;
    let beside = 0;
    const order: number[] = [];
    const fresh: number[] = [];
    kit.router.consumer(
      kit.exchange,
      'alone',
    )(async (_key, body, { redelivered }) => {
      running += 1;
      if (redelivered) alone += 1;
      if (alone > 0 && running > 1) beside += 1;
      // Those that came first are still at work when the marks of the others are known.
      await new Promise((resolve) => setTimeout(resolve, redelivered ? 15 : 200));
      running -= 1;
      if (redelivered) alone -= 1;
      (redelivered ? order : fresh).push((body as { n: number }).n);
    });
    await bringBack(20, 'alone');
    await begin('alone', 0);
    for (let n = 100; n < 120; n += 1) kit.send('alone', { n });
    consumer = await kit.start({ parts: { startMarks: marks } });
    // The one that a process died of waits until this one has lived for 10 s.
    await until(() => order.length === 20 && fresh.length === 20, 18_000);
    expect(beside).toBe(0);
    expect(order.at(-1)).toBe(0);
    expect([...order].sort((a, b) => a - b)).toEqual(Array.from({ length: 20 }, (_, n) => n));
    await until(async () => (await table()) === 0);
  });

  it('are marked before they run, where every process sees it', async () => {
    let seen: number | undefined;
    kit.router.consumer(
      kit.exchange,
      'marked',
    )(async () => {
      seen = await database.count('svc_comm_start_mark', "starts = 1 AND message_id = 'marked-0'");
    });
    await bringBack(1, 'marked');
    consumer = await kit.start({ parts: { startMarks: marks } });
    await until(() => seen !== undefined);
    expect(seen).toBe(1);
    await until(async () => (await table()) === 0);
  });

  it.each([
    ['without a key', {}],
    ['with a key', { [HEADER.key]: 'k' }],
  ])(
    'go to the dead letters when the process died twice in their runs alone, and no neighbour does: %s',
    async (_what, headers) => {
      const topic = `dead.${Object.keys(headers).length}`;
      const handled: number[] = [];
      kit.router.consumer(kit.exchange, topic)(async (_key, body) => void handled.push((body as { n: number }).n));
      await bringBack(4, topic, headers);
      await begin(topic, 1);
      await begin(topic, 1);
      consumer = await kit.start({ parts: { startMarks: marks }, options: { retry: { keyed: 'skip' } } });
      const dead = await kit.nextDead();
      expect(dead.properties.messageId).toBe(`${topic}-1`);
      expect(dead.properties.headers).toMatchObject({ [HEADER.reason]: 'crashed', [HEADER.attempt]: 3 });
      expect(JSON.parse(dead.properties.headers?.[HEADER.failures])).toMatchObject([
        { code: 'SVC_COMM_CRASHING_MESSAGE' },
      ]);
      await until(() => handled.length === 3 && consumer?.stats.inFlight === 0);
      expect(handled.sort()).toEqual([0, 2, 3]);
      expect(consumer.stats).toMatchObject({ handled: 3, deadLettered: { crashed: 1 } });
      await until(async () => (await table()) === 0);
    },
  );

  it('are no suspects when a living process gave them back: they run beside each other', async () => {
    const gate = deferred();
    let running = 0;
    let most = 0;
    kit.router.consumer(
      kit.exchange,
      'returned',
    )(async (_key, _body, context) => {
      running += 1;
      most = Math.max(most, running);
      await Promise.race([gate.promise, new Promise((resolve) => context.signal.addEventListener('abort', resolve))]);
      running -= 1;
      context.signal.throwIfAborted();
    });
    consumer = await kit.start({ parts: { startMarks: marks }, options: { concurrency: 4, graceMs: 50 } });
    for (let n = 0; n < 10; n += 1) kit.send('returned', { n });
    // What the broker has counted as delivered and not brought yet when we stop is not ours to explain.
    await until(() => running === 4 && consumer?.stats.received === 10);
    await consumer.stop();
    most = 0;
    consumer = await kit.start({ parts: { startMarks: marks }, options: { concurrency: 4 } });
    await until(() => most === 4);
    gate.resolve();
    await until(() => consumer?.stats.handled === 10);
    expect(await table()).toBe(0);
  });

  it('a run that a stop cuts short while it runs alone is no death', async () => {
    kit.router.consumer(
      kit.exchange,
      'cut',
    )(async (_key, _body, context) => {
      await new Promise((resolve) => context.signal.addEventListener('abort', resolve));
      context.signal.throwIfAborted();
    });
    await bringBack(1, 'cut');
    for (let stop = 0; stop < 3; stop += 1) {
      consumer = await kit.start({ parts: { startMarks: marks }, options: { graceMs: 20 } });
      await until(async () => consumer?.stats.received === 1 && consumer.stats.inFlight === 1);
      await consumer.stop();
    }
    expect((await marks.read([{ queue: kit.queue, source: 'sender', messageId: 'cut-0' }]))[0]?.starts).toBe(0);
    await kit.channel.purgeQueue(kit.queue);
  });

  it('a run alone that ends within the time that a stop leaves it is no death', async () => {
    const gate = deferred();
    const handled: string[] = [];
    kit.router.consumer(
      kit.exchange,
      'ends',
    )(async (_key, _body, { messageId = '' }) => {
      await gate.promise;
      handled.push(messageId);
    });
    await bringBack(1, 'ends');
    consumer = await kit.start({ parts: { startMarks: marks } });
    await until(async () => (await database.count('svc_comm_start_mark', 'starts = 1')) === 1);
    kit.send('ends', {}, {}, { messageId: 'behind', appId: 'sender' });
    await until(() => consumer?.stats.received === 2);
    const stopping = consumer.stop();
    // What has not begun is given back while the stop waits for what runs.
    await until(() => consumer?.stats.released === 1);
    gate.resolve();
    await stopping;
    expect(handled).toEqual(['ends-0']);
    expect(await database.count('svc_comm_start_mark', 'starts > 0')).toBe(0);
    consumer = await kit.start({ parts: { startMarks: marks } });
    await until(() => consumer?.stats.handled === 1);
    expect(handled).toEqual(['ends-0', 'behind']);
    expect(await table()).toBe(0);
  });

  it('lost with their connection while we live run among the others again', async () => {
    const gate = deferred();
    let most = 0;
    let running = 0;
    kit.router.consumer(
      kit.exchange,
      'lost',
    )(async () => {
      running += 1;
      most = Math.max(most, running);
      await gate.promise;
      running -= 1;
    });
    consumer = await kit.start({ parts: { startMarks: marks }, options: { concurrency: 30, prefetch: 30 } });
    for (let n = 0; n < 10; n += 1) kit.send('lost', { n });
    await until(() => running === 10);
    kit.proxy.cut();
    await until(() => running === 20);
    gate.resolve();
    await until(() => consumer?.stats.inFlight === 0 && running === 0);
    expect(most).toBe(20);
  });

  it.each([
    ['also when the marks cannot be written meanwhile', true],
    ['when the marks can be written', false],
  ])(
    'given back because the infrastructure failed them for a minute run beside each other, %s',
    async (_what, isMarkDatabase) => {
      const topic = `failed.${isMarkDatabase}`;
      const gate = deferred();
      let isDown = true;
      let running = 0;
      let most = 0;
      const down = () => new DatabaseUnavailableError('postgres://db', 'it is down');
      const ask = async <T>(work: () => Promise<T>): Promise<T> => {
        if (isDown && isMarkDatabase) throw down();
        return work();
      };
      const failing: StartMarks = {
        read: (keys) => ask(() => marks.read(keys)),
        begin: (one) => ask(() => marks.begin(one)),
        end: (one) => ask(() => marks.end(one)),
        giveBack: (many, isBegun) => ask(() => marks.giveBack(many, isBegun)),
      };
      kit.router.consumer(
        kit.exchange,
        topic,
      )(async () => {
        if (isDown) throw down();
        running += 1;
        most = Math.max(most, running);
        await gate.promise;
        running -= 1;
      });
      // A minute passes whenever somebody looks.
      let time = 0;
      const monotonicMs = () => {
        time += MAX_HOLD_MS;
        return time;
      };
      const clock = { now: () => Date.now(), monotonicMs };
      consumer = await kit.start({ parts: { startMarks: failing, clock }, options: { concurrency: 4 } });
      for (let n = 0; n < 4; n += 1) kit.send(topic, { n });
      await until(() => (consumer?.stats.released ?? 0) >= 4);
      isDown = false;
      await until(() => most === 4);
      gate.resolve();
      await until(() => consumer?.stats.handled === 4);
      expect(await table()).toBe(0);
    },
  );

  it('after a wait in a retry queue are no suspects', async () => {
    const redelivered: boolean[] = [];
    kit.router.consumer(
      kit.exchange,
      'waited',
    )(async (_key, _body, context) => {
      redelivered.push(context.redelivered);
      if (context.attempt === 1) throw new Error('once');
    });
    let reads = 0;
    const counting: StartMarks = {
      read: (keys) => {
        reads += keys.length;
        return marks.read(keys);
      },
      begin: (one) => marks.begin(one),
      end: (one) => marks.end(one),
      giveBack: (many, isBegun) => marks.giveBack(many, isBegun),
    };
    consumer = await kit.start({ parts: { startMarks: counting } });
    kit.send('waited', {});
    await until(() => consumer?.stats.handled === 1);
    expect(redelivered).toEqual([false, false]);
    expect(reads).toBe(0);
  });

  it('run like any other when retry.crashes is 0', async () => {
    kit.router.consumer(kit.exchange, 'off')(async () => undefined);
    await bringBack(2, 'off');
    await begin('off', 0);
    await begin('off', 0);
    consumer = await kit.start({ parts: { startMarks: marks }, options: { retry: { crashes: 0 } } });
    await until(() => consumer?.stats.handled === 2);
    await marks.end({ queue: kit.queue, source: 'sender', messageId: 'off-0' });
  });
});

it('a message that has had its deaths holds nothing up while the dead letters refuse it, and they are not forgotten', async () => {
  const kit = await ConsumerKit.create();
  const marks = stores[0]?.[1]() as StartMarks;
  const isMarked = async () => (await marks.read([{ queue: kit.queue, source: 'sender', messageId: 'deadly-0' }]))[0];
  try {
    // All but the dead letters, which are full.
    await kit.topology.ensure({ ...kit.spec(DEFAULT_CONSUMER_OPTIONS), retryDelaysMs: [], hasDeadLetters: false });
    const full = { 'x-queue-type': 'quorum', 'x-max-length': 1, 'x-overflow': 'reject-publish' };
    await kit.channel.assertQueue(kit.dead, { durable: true, arguments: full });
    for (let n = 0; n < 5; n += 1) kit.channel.sendToQueue(kit.dead, Buffer.from('{}'));
    await until(async () => (await kit.count(kit.dead)) > 0);

    const handled: number[] = [];
    kit.router.consumer(kit.exchange, 'deadly')(async (_key, body) => void handled.push((body as { n: number }).n));
    await comeBack(kit, 1, 'deadly');
    for (let deaths = 0; deaths < 2; deaths += 1) {
      await marks.begin({ queue: kit.queue, source: 'sender', messageId: 'deadly-0' });
    }
    const topology = new BrokerTopology({ connection: kit.receiving, declare: 'none' });
    const consumer = await kit.start({ parts: { startMarks: marks, topology } });
    for (let n = 1; n < 5; n += 1) kit.send('deadly', { n });
    await until(() => handled.length === 4);
    expect(handled.sort()).toEqual([1, 2, 3, 4]);
    expect(consumer.stats.inFlight).toBe(1);
    // Lost meanwhile, it comes again with its deaths.
    kit.proxy.cut();
    await until(() => consumer.stats.received >= 6 && consumer.isReady);
    expect(await isMarked()).toMatchObject({ starts: 2 });
    await kit.channel.purgeQueue(kit.dead);
    expect((await kit.nextDead(30_000)).properties.messageId).toBe('deadly-0');
    await until(async () => (await isMarked())?.starts === 0);
    // Acks that the cut took along bring their messages again; the deadly one has not run.
    expect(new Set(handled)).toEqual(new Set([1, 2, 3, 4]));
    expect(consumer.stats.deadLettered.crashed).toBe(1);
  } finally {
    await kit.remove();
  }
});
