import { queryObjects } from 'node:v8';
import { describe, expect, it } from 'vitest';
import { BrokerConnection } from '../../src/broker/connection.ts';
import { OnDemandPublisher } from '../../src/broker/on-demand-publisher.ts';
import { ReplyQueue } from '../../src/broker/reply-queue.ts';
import { within } from '../../src/broker/within.ts';
import type { DatabaseConnection } from '../../src/database/connection.ts';
import { DatabaseLink } from '../../src/database/link.ts';
import { silentLogger } from '../../src/lifecycle/logger.ts';
import { Lifecycle } from '../../src/lifecycle/service.ts';
import { SharedService } from '../../src/lifecycle/shared.ts';
import type { Publisher } from '../../src/message/publisher.ts';
import { TaskWatch } from '../../src/task/watch.ts';
import { deferred } from '../../src/util/deferred.ts';
import { leavable } from '../../src/util/leavable.ts';
import { unlessAborted } from '../../src/util/unless-aborted.ts';

const TIMES = 200;

/** What `await` and `Promise.race` leave at a promise is one at least. Counted behind a full garbage collection. */
const promises = (): number => queryObjects(Promise, { format: 'count' });

/** How many promises stay for one call that has given up. */
async function left(giveUp: () => Promise<unknown>): Promise<number> {
  const times = async () => {
    const calls = Array.from({ length: TIMES }, () => giveUp());
    return (await Promise.allSettled(calls)).filter(({ status }) => status === 'fulfilled').length;
  };
  expect(await times()).toBe(0);
  const before = promises();
  await times();
  return Math.max(0, Math.floor((promises() - before) / (TIMES / 2)));
}

const brokerThatIsDown = () => new BrokerConnection({ name: 'down', url: 'amqp://127.0.0.1:1' });
const notYet = () => new Error('not yet');

describe('a promise of which everybody has his own end', () => {
  it('settles all of them as it settles, in their order', async () => {
    const [good, bad] = [deferred<number>(), deferred<number>()];
    const order: string[] = [];
    const waits = ['first', 'second'].map((name) => leavable(good.promise).promise.then(() => order.push(name)));
    const failing = [leavable(bad.promise), leavable(bad.promise)].map(({ promise }) => promise);
    good.resolve(1);
    bad.reject(notYet());
    await Promise.all(waits);
    expect(order).toEqual(['first', 'second']);
    for (const promise of failing) await expect(promise).rejects.toThrow('not yet');
    await expect(leavable(good.promise).promise).resolves.toBe(1);
    await expect(leavable(bad.promise).promise).rejects.toThrow('not yet');
  });

  it('settles no end that was left, and its failure is nobody’s then', async () => {
    const long = deferred<number>();
    const { promise, leave } = leavable(long.promise);
    let isSettled = false;
    promise.finally(() => {
      isSettled = true;
    });
    leave();
    long.reject(notYet());
    await expect(leavable(long.promise).promise).rejects.toThrow('not yet');
    expect(isSettled).toBe(false);
  });
});

describe('whoever gives up waiting leaves nothing at what goes on', () => {
  it('by a count that sees what Promise.race leaves', async () => {
    const long = deferred();
    const { signal } = new AbortController();
    expect(await left(() => Promise.race([long.promise, Promise.reject(notYet())]))).toBeGreaterThan(0);
    expect(signal.aborted).toBe(false);
    long.resolve();
  });

  it('with a time, or a signal', async () => {
    const long = deferred();
    expect(await left(() => within(1, long.promise, notYet))).toBe(0);
    expect(await left(() => unlessAborted(long.promise, AbortSignal.timeout(1)))).toBe(0);
    long.resolve();
  });

  it('for a database that is down', async () => {
    const link = new DatabaseLink({
      name: 'down',
      connect: () => Promise.reject(new Error('down')),
      logger: silentLogger,
    });
    expect(await left(() => link.within(1).query('SELECT 1', []))).toBe(0);
    await link.close();
  });

  it('for the start of what its message is sent by', async () => {
    const gate = deferred();
    const service = new Lifecycle('sender', { start: () => gate.promise, stop: async () => undefined });
    const onDemand = new OnDemandPublisher({
      publisher: {} as Publisher,
      service,
      connection: brokerThatIsDown(),
      timeoutMs: 1,
    });
    expect(await left(() => onDemand.ready(1))).toBe(0);
    gate.resolve();
  });

  it('for a service that others start as well', async () => {
    const gate = deferred();
    const start = () => gate.promise;
    const shared = new SharedService(new Lifecycle('pool', { start, stop: async () => undefined }));
    const first = shared.use().start();
    const giveUp = async () => {
      const user = shared.use();
      const starting = user.start();
      await Promise.all([starting, user.stop()]);
    };
    expect(await left(giveUp)).toBe(0);
    gate.resolve();
    await first;
  });

  it('for the way back of its call', async () => {
    const queue = new ReplyQueue({
      connection: brokerThatIsDown(),
      exchange: 'down.replies',
      declare: 'create',
      onReply: () => undefined,
      logger: silentLogger,
    });
    await queue.start();
    expect(queue.isReady).toBe(false);
    expect(await left(() => queue.ready(1))).toBe(0);
    await queue.stop();
  });
});

describe('who waits for tasks while nothing can be heard of them', () => {
  it('has one attempt to listen under way, however often the rows are looked at', async () => {
    const [lost, heard] = [new AbortController(), [] as string[]];
    const connection = {
      lost: lost.signal,
      query: async (sql: string) => {
        heard.push(sql);
        return [];
      },
      listen: async () => undefined,
      close: async () => undefined,
    } as unknown as DatabaseConnection;
    const enough = deferred();
    let looks = 0;
    const db = {
      query: async () => {
        looks += 1;
        if (looks === TIMES) enough.resolve();
        return [];
      },
    };
    const connected = deferred<DatabaseConnection>();
    const connect = () => connected.promise;
    const watch = new TaskWatch({ connect, db, schema: 'svc_comm', logger: silentLogger, pollMs: 0, listen: true });
    const opened = watch.open(new AbortController().signal);
    watch.watch('019b0000-0000-7000-8000-000000000000', () => undefined);
    await enough.promise;
    connected.resolve(connection);
    await opened;
    await watch.close();
    expect(heard.length).toBeLessThanOrEqual(1);
  });
});
