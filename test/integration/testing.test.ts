import { connect } from 'amqplib';
import { afterEach, describe, expect, it } from 'vitest';
import type { KnexTransaction } from '../../src/database/transactions.ts';
import { Reject } from '../../src/errors.ts';
import { close, commandConsumer, publishAggregateEvent, sendCommand, transaction } from '../../src/index.ts';
import { eventConsumer } from '../../src/router/event-consumer.ts';
import { MessageRouter } from '../../src/router/router.ts';
import { type TestService, type TestServiceOptions, testService } from '../../src/testing/test-service.ts';

const running: TestService[] = [];
afterEach(async () => {
  for (const t of running.splice(0)) await t.stop();
});
async function start(options: TestServiceOptions): Promise<TestService> {
  const t = await testService(options);
  running.push(t);
  return t;
}
const order = (id: number) => ({ aggregate: 'order', eventType: 'create.base', payload: { id } });

/** A shop whose orders cause invoices, which cause mails. */
function shop() {
  const router = new MessageRouter();
  const mails: number[] = [];
  router.consumer(
    'order',
    'create.*',
  )(
    eventConsumer(async function bill(payload: { id: number }) {
      await publishAggregateEvent({ aggregate: 'invoice', eventType: 'create.base', payload });
    }),
  );
  router.consumer(
    'invoice',
    'create.*',
  )(
    eventConsumer(async function mail({ id }: { id: number }) {
      mails.push(id);
    }),
  );
  return { messageRouter: router, mails };
}

describe('a test service', () => {
  it('is settled when all is relayed and handled, and what that caused too', async () => {
    const { messageRouter, mails } = shop();
    const t = await start({ messageRouter });
    for (let id = 1; id <= 50; id++) await transaction(() => publishAggregateEvent(order(id)));
    await t.settled();
    expect(mails.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 50 }, (_, n) => n + 1));
    expect(t.published.map(({ exchange }) => exchange).filter((name) => name === 'invoice')).toHaveLength(50);
    expect(t.published.find(({ exchange }) => exchange === 'order')).toMatchObject({
      routingKey: 'create.base',
      payload: { id: 1 },
      body: { aggregate: 'order', payload: { id: 1 } },
    });
    expect(t.handled.filter(({ handler }) => handler === 'mail')).toHaveLength(50);
    expect(t.deadLetters).toEqual([]);
  });

  it('takes back what a failed run did, and runs it again when its time has come', async () => {
    const { messageRouter, mails } = shop();
    const t = await start({ messageRouter, settings: { retry: { attempts: 3, delays: ['10m', '2h'] } } });
    t.failNext('bill', 2);
    await transaction(() => publishAggregateEvent(order(1)));
    await t.settled();
    expect(t.handled).toEqual([]);
    await t.advance('9m');
    expect(t.handled).toEqual([]);
    await t.advance('2m');
    expect(mails).toEqual([]);
    await t.advance('2h');
    expect(mails).toEqual([1]);
    expect(t.handled[0]).toMatchObject({ handler: 'bill', attempt: 3 });
  });

  it('shows what was given up, and why', async () => {
    const messageRouter = new MessageRouter();
    messageRouter.consumer('order')(
      eventConsumer(async function refuse() {
        throw new Reject('no such customer');
      }),
    );
    const t = await start({ messageRouter });
    await transaction(() => publishAggregateEvent(order(1)));
    await t.settled();
    expect(t.deadLetters).toMatchObject([
      { exchange: 'order', routingKey: 'create.base', reason: 'rejected', handler: 'refuse', payload: { id: 1 } },
    ]);
    expect(t.deadLetters[0]?.error).toContain('no such customer');
  });

  it('publishes future events when their time has come, and forgets those that were cancelled', async () => {
    const { messageRouter, mails } = shop();
    const t = await start({ messageRouter });
    const inAnHour = new Date(Date.now() + 3_600_000);
    for (const id of [1, 2]) {
      await t.service.publishFutureAggregateEvent(
        { ...order(id), eventTime: inAnHour, tags: { id } },
        { transaction: 'own' },
      );
    }
    const filter = { aggregate: 'order', eventType: 'create.base', tags: { id: 2 } };
    expect(await t.service.cancelFutureAggregateEvent(filter, { transaction: 'own' })).toBe(1);
    await t.advance('59m');
    expect(mails).toEqual([]);
    await t.advance('2m');
    expect(mails).toEqual([1]);
  });

  it('does not run a command whose time has passed meanwhile', async () => {
    const ran: string[] = [];
    const messageRouter = new MessageRouter();
    messageRouter.consumer(
      'test',
      'print',
    )(
      commandConsumer(async function print({ page }: { page: string }) {
        ran.push(page);
      }),
    );
    const t = await start({ messageRouter, settings: { retry: { attempts: 2, delays: ['1h'] } } });
    t.failNext('print', 1);
    await sendCommand('test', { page: 'late' }, { commandName: 'print', timeout: 60 });
    await sendCommand('test', { page: 'in time' }, { commandName: 'print', timeout: 60 });
    await t.settled();
    await t.advance('2h');
    expect(ran).toEqual(['in time']);
  });

  it('says what still moves when it does not settle', async () => {
    const messageRouter = new MessageRouter();
    let release = () => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    messageRouter.consumer('order')(eventConsumer(() => held, { inbox: false }));
    const t = await start({ messageRouter });
    await transaction(() => publishAggregateEvent(order(1)));
    await expect(t.settled({ timeoutMs: 1000 })).rejects.toMatchObject({
      code: 'SVC_COMM_NOT_SETTLED',
      message: expect.stringContaining('1 messages with the consumer'),
    });
    release();
    await t.settled();
  });

  it('says so in its time too when what does not end holds the one backend of the database', async () => {
    const messageRouter = new MessageRouter();
    let release = () => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    messageRouter.consumer('order')(eventConsumer(() => held));
    const t = await start({ messageRouter });
    await transaction(() => publishAggregateEvent(order(1)));
    await expect(t.settled({ timeoutMs: 1000 })).rejects.toMatchObject({
      code: 'SVC_COMM_NOT_SETTLED',
      message: expect.stringContaining('1 messages with the consumer'),
    });
    release();
    await t.settled();
    await transaction(() =>
      // A limit beyond the ten seconds after which the database gives up what waits.
      expect(t.settled({ timeoutMs: 11_000 })).rejects.toMatchObject({
        code: 'SVC_COMM_NOT_SETTLED',
        pending: ['a transaction, which has the database to itself'],
      }),
    );
    await t.settled({ timeoutMs: 0 });
  });

  it('starts with the settings of a project, which has its servers and queues elsewhere', async () => {
    for (const declare of ['verify', 'none'] as const) {
      const { messageRouter, mails } = shop();
      const settings = {
        appId: 'shop',
        brokerUrl: 'amqp://127.0.0.1:1',
        databaseUrl: 'postgres://127.0.0.1:1/shop',
        declare,
      };
      const t = await testService({ messageRouter, settings });
      await transaction(() => publishAggregateEvent(order(1)));
      await t.settled();
      expect(mails).toEqual([1]);
      await t.stop();
    }
  });

  it('names retries in place when they keep it from settling, and parks the key at once where there are none', async () => {
    const { messageRouter } = shop();
    const ofKey = (id: number) => transaction(() => publishAggregateEvent({ ...order(id), key: 'k' }));
    const patient = await testService({ messageRouter, settings: { retry: { inPlace: '1h' } } });
    patient.failNext('bill', Number.POSITIVE_INFINITY);
    await ofKey(1);
    await expect(patient.settled({ timeoutMs: 1000 })).rejects.toThrow(/retry\.inPlace/);
    await patient.stop();
    const t = await start({ messageRouter, settings: { retry: { inPlace: '0s' } } });
    t.failNext('bill');
    for (const id of [1, 2]) await ofKey(id);
    await t.settled();
    expect(t.deadLetters.map(({ payload, reason }) => ({ payload, reason }))).toEqual([
      { payload: { id: 1 }, reason: 'attempts' },
      { payload: { id: 2 }, reason: 'parked' },
    ]);
  });

  it('names the handlers that there are when asked to fail another', async () => {
    const t = await start({ messageRouter: shop().messageRouter });
    expect(() => t.failNext('bil')).toThrow(expect.objectContaining({ code: 'SVC_COMM_INVALID_ARGUMENT' }));
    expect(() => t.failNext('bil')).toThrow(/bill, mail/);
  });

  it('refuses a number of runs, a wait and a time that are none, and works on', async () => {
    const { messageRouter, mails } = shop();
    const t = await start({ messageRouter });
    const isRefused = expect.objectContaining({ code: 'SVC_COMM_INVALID_ARGUMENT' });
    for (const times of [0, -1, 1.5, Number.NaN, JSON.parse('"2"')]) {
      expect(() => t.failNext('bill', times)).toThrow(isRefused);
    }
    for (const timeoutMs of [Number.NaN, -1, JSON.parse('"1s"')]) {
      await expect(t.settled({ timeoutMs })).rejects.toEqual(isRefused);
    }
    for (const by of [-1, 1e300, '36501d'] as const) await expect(t.advance(by)).rejects.toEqual(isRefused);
    await transaction(() => publishAggregateEvent(order(1)));
    await t.advance('36500d');
    expect(mails).toEqual([1]);
  });

  it('fails all runs of a handler when asked for ever, with whatever was given', async () => {
    const { messageRouter, mails } = shop();
    const t = await start({ messageRouter, settings: { retry: { attempts: 3, delays: ['1m'] } } });
    t.failNext('bill', Number.POSITIVE_INFINITY, new TypeError('no such column'));
    await transaction(() => publishAggregateEvent(order(1)));
    for (let run = 1; run <= 3; run += 1) await t.advance('1m');
    expect(mails).toEqual([]);
    expect(t.deadLetters).toMatchObject([{ handler: 'bill', reason: 'attempts', error: 'no such column' }]);
  });

  it('gives its database and broker to the user’s own tools', async () => {
    const t = await start({ messageRouter: shop().messageRouter });
    const { rows } = await t.service.transaction((trx: KnexTransaction) => trx.raw('SELECT now() AS now'));
    await t.advance('1d');
    const later = await t.service.transaction((trx: KnexTransaction) => trx.raw('SELECT now() AS now'));
    expect(later.rows[0].now - rows[0].now).toBeGreaterThanOrEqual(86_400_000);
    const connection = await connect(t.brokerUrl);
    await connection.close();
  });

  it('goes on when what is tested ends as a script does, with close()', async () => {
    const { messageRouter, mails } = shop();
    const t = await start({ messageRouter });
    for (const id of [1, 2]) {
      await transaction(() => publishAggregateEvent(order(id)));
      await close();
    }
    await t.settled();
    expect(mails).toEqual([1, 2]);
  });

  it('leaves the router as it was, and the package’s functions to the next', async () => {
    const { messageRouter, mails } = shop();
    const first = await testService({ messageRouter });
    await first.stop();
    const second = await start({ messageRouter });
    await transaction(() => publishAggregateEvent(order(2)));
    await second.settled();
    expect(mails).toEqual([2]);
    expect(first.handled).toEqual([]);
    expect(second.handled).toHaveLength(2);
  });
});
