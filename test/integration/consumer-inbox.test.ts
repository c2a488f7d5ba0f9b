import { Kysely, PostgresDialect, sql } from 'kysely';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import type { Consumer } from '../../src/consumer/consumer.ts';
import { InboxStore } from '../../src/database/inbox-store.ts';
import {
  type KnexTransaction,
  knexTransactions,
  type OpenTransaction,
  resolveTransactions,
} from '../../src/database/transactions.ts';
import { DatabaseUnavailableError, Reject } from '../../src/errors.ts';
import type { MessageContext } from '../../src/message/handler.ts';
import type { Inbox } from '../../src/message/inbox.ts';
import { HEADER } from '../../src/message/message.ts';
import type { ConsumerOptions } from '../../src/router/kind.ts';
import { rawConsumer } from '../../src/router/raw-consumer.ts';
import { deferred } from '../../src/util/deferred.ts';
import { ConsumerKit, until } from '../support/consumer-kit.ts';
import { testDatabaseUrl } from '../support/servers.ts';
import { type TestDatabase, testDatabase } from '../support/test-database.ts';

let kit: ConsumerKit;
let database: TestDatabase;
let inbox: InboxStore;
let consumer: Consumer;
beforeAll(async () => {
  kit = await ConsumerKit.create();
  database = await testDatabase('consumer_inbox', { max: 30 });
  inbox = new InboxStore({
    transactions: resolveTransactions(knexTransactions(), database.pool, database.schema),
    schema: database.schema,
  });
});
afterEach(() => consumer.stop());
afterAll(async () => {
  await kit.remove();
  await database.close();
});

const write = async ({ transaction }: MessageContext, id: string) =>
  (transaction as KnexTransaction).raw(`INSERT INTO ${database.table('effect')} VALUES (?)`, [id]);
interface Payload {
  readonly id: string;
  readonly fails: number;
  readonly isRefused: boolean;
}
const sharing = (work: (payload: Payload, context: MessageContext) => unknown, more: ConsumerOptions = {}) =>
  rawConsumer((_routingKey, body, context) => work(body as Payload, context), { group: 8, ...more });
/** Of handlers of which one is stuck: the limit is its neighbours' as well, who need some of it. */
const TIMEOUT = '3s';
const effects = (id: string) => database.count('effect', `id = '${id}'`);

test('copies of one message have one effect, however many come at the same time', async () => {
  kit.router.consumer(
    kit.exchange,
    'inbox.copies',
  )(async (_routingKey, body, context) => {
    await write(context, (body as { id: string }).id);
  });
  consumer = await kit.start({ parts: { inbox } });
  for (let copy = 0; copy < 50; copy++) {
    for (const id of ['a', 'b', 'c']) kit.send('inbox.copies', { id }, {}, { messageId: id, appId: 'sender' });
  }
  await until(() => consumer.stats.received === 150 && consumer.stats.inFlight === 0);
  expect(consumer.stats).toMatchObject({ handled: 3, duplicates: 147 });
  expect([await effects('a'), await effects('b'), await effects('c')]).toEqual([1, 1, 1]);
});

test('a failed run leaves no effect, its retry has one, and what is given up is marked dead', async () => {
  kit.router.consumer(
    kit.exchange,
    'inbox.retry',
  )(async (_routingKey, body, context) => {
    const { id } = body as { id: string };
    await write(context, id);
    if (id === 'never' || context.attempt < 3) throw new Error('not yet');
  });
  consumer = await kit.start({ parts: { inbox }, options: { retry: { attempts: 3, delaysMs: [20] } } });
  kit.send('inbox.retry', { id: 'third' }, {}, { messageId: 'm-third' });
  kit.send('inbox.retry', { id: 'never' }, {}, { messageId: 'm-never' });
  const dead = await kit.nextDead();
  await until(() => consumer.stats.handled === 1 && consumer.stats.inFlight === 0);
  expect([await effects('third'), await effects('never')]).toEqual([1, 0]);

  kit.send('inbox.retry', { id: 'never' }, {}, { messageId: 'm-never' });
  await until(() => consumer.stats.duplicates === 1);
  const headers = { ...dead.properties.headers, [HEADER.redriven]: new Date().toISOString(), [HEADER.attempt]: 0 };
  kit.channel.sendToQueue(kit.queue, dead.content, { ...dead.properties, headers });
  await kit.nextDead();
  await until(() => consumer.stats.deadLettered.attempts === 2);
});

test('a parked key stays parked for a consumer that starts later, until it is unparked', async () => {
  const done: number[] = [];
  kit.router.consumer(
    kit.exchange,
    'inbox.park',
  )(async (_routingKey, body) => {
    const { n } = body as { n: number };
    if (n === 0) throw new Reject('never');
    done.push(n);
  });
  const headers = { [HEADER.key]: 'order-1' };
  consumer = await kit.start({ parts: { inbox } });
  for (const n of [0, 1]) kit.send('inbox.park', { n }, headers);
  await kit.nextDead();
  expect((await kit.nextDead()).properties.headers).toMatchObject({ [HEADER.reason]: 'parked' });
  await consumer.stop();

  consumer = await kit.start({ parts: { inbox } });
  kit.send('inbox.park', { n: 2 }, headers);
  expect(JSON.parse((await kit.nextDead()).content.toString())).toEqual({ n: 2 });
  await until(() => consumer.stats.deadLettered.parked === 1);
  const [parked] = await inbox.parkedKeys(kit.queue);
  expect(parked?.orderKey).toBe('order-1');
  expect(parked && (await inbox.unparkKey(kit.queue, parked))).toBe(true);
  kit.send('inbox.park', { n: 3 }, headers);
  await until(() => done.length === 1);
  expect(done).toEqual([3]);
});

test('a message that cannot be told from others, having no id, is not handled either while its key is parked', async () => {
  const done: number[] = [];
  kit.router.consumer(
    kit.exchange,
    'inbox.park.nameless',
  )(async (_routingKey, body) => {
    const { n } = body as { n: number };
    if (n === 0) throw new Reject('never');
    done.push(n);
  });
  consumer = await kit.start({ parts: { inbox } });
  const send = (n: number, key: string) =>
    kit.send('inbox.park.nameless', { n }, { [HEADER.key]: key }, { messageId: '' });
  for (const n of [0, 1]) send(n, 'nameless');
  const reasons = [await kit.nextDead(), await kit.nextDead()].map((dead) => dead.properties.headers?.[HEADER.reason]);
  expect(reasons).toEqual(['rejected', 'parked']);
  send(2, 'another');
  await until(() => consumer.stats.handled === 1);
  expect(done).toEqual([2]);
});

test('while the database is away messages stay, no attempt is counted, and key order holds when it is back', async () => {
  const done: string[] = [];
  kit.router.consumer(
    kit.exchange,
    'inbox.outage',
  )(async (_routingKey, body, { key, attempt }) => {
    done.push(`${key}${(body as { n: number }).n}#${attempt}`);
  });
  let isDown = true;
  let tries = 0;
  const flaky: Inbox = {
    handle: (request, work) => {
      tries += 1;
      if (isDown) return Promise.reject(new DatabaseUnavailableError('postgres://db', 'down'));
      return inbox.handle(request, work);
    },
    grouped: () => flaky,
    markDead: (key) => inbox.markDead(key),
    parkKey: (queue, key) => inbox.parkKey(queue, key),
  };
  consumer = await kit.start({ parts: { inbox: flaky }, options: { retry: { attempts: 2, delaysMs: [10] } } });
  for (let n = 0; n < 3; n++) for (const key of ['a', 'b']) kit.send('inbox.outage', { n }, { [HEADER.key]: key });
  kit.send('inbox.outage', { n: 0 });
  await until(() => tries >= 6);
  expect(consumer.stats).toMatchObject({ inFlight: 7, handled: 0, released: 0, retried: 0 });
  isDown = false;
  await until(() => done.length === 7);
  expect(done.filter((run) => run.startsWith('a'))).toEqual(['a0#1', 'a1#1', 'a2#1']);
  expect(done.filter((run) => run.startsWith('b'))).toEqual(['b0#1', 'b1#1', 'b2#1']);
  expect(tries).toBeLessThan(40);
});

test('a handler that hangs at stop has its transaction rolled back, so that the message can be handled elsewhere', async () => {
  let runs = 0;
  kit.router.consumer(
    kit.exchange,
    'inbox.hang',
  )(async (_routingKey, body, context) => {
    runs += 1;
    await write(context, (body as { id: string }).id);
    if (runs === 1) await new Promise(() => undefined);
  });
  const first = await kit.start({ parts: { inbox }, options: { graceMs: 200 } });
  kit.send('inbox.hang', { id: 'hang' });
  await until(() => runs === 1);
  await first.stop();
  consumer = await kit.start({ parts: { inbox } });
  await until(() => consumer.stats.handled === 1);
  expect(await effects('hang')).toBe(1);
});

test('consumers that share transactions have each effect once, whatever fails, comes twice or is cut off', async () => {
  const moment = database.table('moment');
  await database.pg.query(`CREATE TABLE ${moment} (id text, xid text)`);
  const handler = sharing(async (payload, context) => {
    await write(context, payload.id);
    const trx = context.transaction as KnexTransaction;
    await trx.raw(`INSERT INTO ${moment} VALUES (?, pg_current_xact_id()::text)`, [payload.id]);
    if (payload.fails >= context.attempt) throw new Error('not yet');
    if (payload.isRefused) throw new Reject('never');
  });
  kit.router.consumer(kit.exchange, 'inbox.shared')(handler);
  const options = { retry: { attempts: 3, delaysMs: [20] } };
  consumer = await kit.start({ parts: { inbox }, options });
  const ids = Array.from({ length: 200 }, (_, i) => `shared-${i}`);
  for (const [i, id] of ids.entries()) {
    const payload = { id, fails: i % 20 === 3 ? 1 : 0, isRefused: i % 60 === 7 };
    const headers = i % 3 === 0 ? { [HEADER.key]: `key-${i % 30}` } : {};
    for (let copy = 0; copy < (i % 4 === 0 ? 2 : 1); copy++)
      kit.send('inbox.shared', payload, headers, { messageId: id });
  }
  await until(() => consumer.stats.handled === 196 && consumer.stats.inFlight === 0);
  expect(consumer.stats).toMatchObject({ handled: 196, duplicates: 50, deadLettered: { rejected: 4 } });
  for (const [i, id] of ids.entries()) expect(await effects(id), id).toBe(i % 60 === 7 ? 0 : 1);
  const { rows } = await database.pg.query(`SELECT count(DISTINCT xid)::int AS n FROM ${moment}`);
  expect(rows[0].n).toBeLessThan(150);
});

test('at a stop those that wait for their turn in a shared transaction go back to the queue, and have no effect', async () => {
  const runs: string[] = [];
  const handler = sharing(async ({ id }, context) => {
    runs.push(id);
    await write(context, id);
    if (id === 'stop-3' && context.redelivered === false) await new Promise(() => undefined);
  });
  kit.router.consumer(kit.exchange, 'inbox.shared-stop')(handler);
  const first = await kit.start({ parts: { inbox }, options: { graceMs: 200, concurrency: 8 } });
  const ids = Array.from({ length: 10 }, (_, i) => `stop-${i}`);
  for (const id of ids) kit.send('inbox.shared-stop', { id }, {}, { messageId: id });
  await until(() => runs.includes('stop-3'));
  await first.stop();
  expect(runs).toEqual(['stop-0', 'stop-1', 'stop-2', 'stop-3']);
  expect(await effects('stop-3')).toBe(0);
  consumer = await kit.start({ parts: { inbox } });
  await until(async () => (await database.count('effect', "id LIKE 'stop-%'")) === 10);
  for (const id of ids) expect(await effects(id)).toBe(1);
});

test('a statement that outlives its handler is ended: connection and room are free for the next message', async () => {
  const locker = await database.pg.connect();
  const locked = database.table('locked_alone');
  await locker.query(`CREATE TABLE ${locked} (id text)`);
  await locker.query(`BEGIN; LOCK TABLE ${locked}`);
  const handler = rawConsumer(
    async (_routingKey, body, context) => {
      const { id } = body as Payload;
      if (id === 'alone-stuck')
        await (context.transaction as KnexTransaction).raw(`INSERT INTO ${locked} VALUES (?)`, [id]);
      await write(context, id);
    },
    { timeout: TIMEOUT },
  );
  kit.router.consumer(kit.exchange, 'inbox.alone-stuck')(handler);
  consumer = await kit.start({ parts: { inbox }, options: { concurrency: 1, retry: { attempts: 1, delaysMs: [] } } });
  for (const id of ['alone-stuck', 'alone-next']) kit.send('inbox.alone-stuck', { id }, {}, { messageId: id });
  try {
    await until(() => consumer.stats.handled === 1 && consumer.stats.deadLettered.attempts === 1);
  } finally {
    await locker.query('COMMIT');
    locker.release();
  }
  expect([await effects('alone-stuck'), await effects('alone-next')]).toEqual([0, 1]);
});

test('a statement that outlives its handler in a shared transaction is ended: the others do not wait for it', async () => {
  const locker = await database.pg.connect();
  const locked = database.table('locked');
  await locker.query(`CREATE TABLE ${locked} (id text)`);
  await locker.query(`BEGIN; LOCK TABLE ${locked}`);
  const handler = sharing(
    async ({ id }, context) => {
      if (id === 'stuck-1')
        await (context.transaction as KnexTransaction).raw(`INSERT INTO ${locked} VALUES (?)`, [id]);
      await write(context, id);
    },
    { timeout: TIMEOUT },
  );
  kit.router.consumer(kit.exchange, 'inbox.shared-stuck')(handler);
  consumer = await kit.start({ parts: { inbox }, options: { retry: { attempts: 2, delaysMs: [20] } } });
  const ids = Array.from({ length: 5 }, (_, i) => `stuck-${i}`);
  for (const id of ids) kit.send('inbox.shared-stuck', { id }, {}, { messageId: id });
  try {
    await until(() => consumer.stats.handled === 4);
  } finally {
    await locker.query('COMMIT');
    locker.release();
  }
  await until(
    () => consumer.stats.inFlight === 0 && consumer.stats.handled + consumer.stats.deadLettered.attempts === 5,
  );
  for (const id of ids) if (id !== 'stuck-1') expect(await effects(id)).toBe(1);
});

test('a handler over its time in a shared transaction fails alone, and nothing that it still does is written', async () => {
  const goOn = deferred();
  let late: Promise<unknown> | undefined;
  const handler = sharing(
    async (payload, context) => {
      if (payload.id === 'slow-1' && context.attempt === 1) {
        late = goOn.promise.then(() => write(context, 'slow-late'));
        late.catch(() => undefined);
        return late;
      }
      await write(context, payload.id);
    },
    { timeout: TIMEOUT },
  );
  kit.router.consumer(kit.exchange, 'inbox.shared-slow')(handler);
  consumer = await kit.start({ parts: { inbox }, options: { retry: { attempts: 2, delaysMs: [20] } } });
  const ids = Array.from({ length: 5 }, (_, i) => `slow-${i}`);
  for (const id of ids) kit.send('inbox.shared-slow', { id }, {}, { messageId: id });
  await until(() => consumer.stats.handled === 5);
  goOn.resolve();
  await expect(late).rejects.toThrow();
  for (const id of ids) expect(await effects(id)).toBe(1);
  expect(await effects('slow-late')).toBe(0);
  expect(consumer.stats).toMatchObject({ handled: 5, retried: 1 });
});

const pool = new pg.Pool({ connectionString: testDatabaseUrl(), max: 4 });
const kysely = new Kysely<unknown>({ dialect: new PostgresDialect({ pool }) });
afterAll(() => kysely.destroy());
const ofKysely = () =>
  new InboxStore({
    transactions: resolveTransactions(
      (work) => kysely.transaction().execute((trx) => work(trx)),
      database.pool,
      database.schema,
    ),
    schema: database.schema,
  });
const knexSql = (trx: unknown, text: string) => (trx as KnexTransaction).raw(text);
const kyselySql = (trx: unknown, text: string) => sql.raw(text).execute(trx as Kysely<unknown>);

test.each<[string, () => InboxStore, typeof kyselySql | typeof knexSql, (trx: unknown) => unknown]>([
  ['commit() of knex', () => inbox, knexSql, (trx) => (trx as KnexTransaction).commit()],
  ['COMMIT on knex', () => inbox, knexSql, (trx) => knexSql(trx, 'COMMIT')],
  [
    'COMMIT on knex and a throw',
    () => inbox,
    knexSql,
    async (trx) => {
      await knexSql(trx, 'COMMIT');
      throw new Error('behind the commit');
    },
  ],
  ['COMMIT on kysely', ofKysely, kyselySql, (trx) => kyselySql(trx, 'COMMIT')],
  [
    'COMMIT with a new BEGIN behind it',
    () => inbox,
    knexSql,
    async (trx) => {
      await knexSql(trx, 'COMMIT');
      await knexSql(trx, 'BEGIN');
      await knexSql(trx, `INSERT INTO ${database.table('effect')} VALUES ('of-no-message')`);
    },
  ],
  ['COMMIT AND CHAIN', () => inbox, knexSql, (trx) => knexSql(trx, 'COMMIT AND CHAIN')],
  [
    'COMMIT with a new BEGIN behind it, on kysely',
    ofKysely,
    kyselySql,
    async (trx) => {
      await kyselySql(trx, 'COMMIT');
      await kyselySql(trx, 'BEGIN');
    },
  ],
])(
  'a handler that commits its transaction by %s runs once, and its message lies in the dead letters with the reason',
  async (how, store, run, end) => {
    const id = how.replaceAll(/\W+/g, '-');
    const overlap = deferred();
    let runs = 0;
    kit.router.consumer(
      kit.exchange,
      `inbox.${id}`,
    )(
      rawConsumer(async (_routingKey, _body, { transaction }) => {
        runs += 1;
        await run(transaction, `INSERT INTO ${database.table('effect')} VALUES ('${id}')`);
        await end(transaction);
        // knex has settled its promise by now: what is done here must be waited for all the same.
        await new Promise(setImmediate);
        overlap.resolve();
      }),
    );
    consumer = await kit.start({ parts: { inbox: store() } });
    kit.send(`inbox.${id}`, {}, {}, { messageId: id, appId: 'sender' });
    let letter = await kit.nextDead();
    // Those of the tests before lie there as well.
    while (letter.properties.messageId !== id) letter = await kit.nextDead();
    await until(() => consumer.stats.inFlight === 0);
    if (!how.endsWith('throw')) await overlap.promise;
    expect(runs).toBe(1);
    expect(await effects(id)).toBe(1);
    expect(await effects('of-no-message')).toBe(0);
    expect(consumer.stats).toMatchObject({ received: 1, handled: 0, duplicates: 0, retried: 0 });
    expect(String(letter.properties.headers?.[HEADER.failures])).toContain('SVC_COMM_TRANSACTION_ENDED_INSIDE');
  },
);

test.each<[string, () => InboxStore, typeof kyselySql | typeof knexSql, (trx: unknown) => unknown]>([
  ['rollback() of knex', () => inbox, knexSql, (trx) => (trx as KnexTransaction).rollback()],
  [
    'ROLLBACK on kysely, as by a library whose time for it is over',
    ofKysely,
    kyselySql,
    (trx) => kyselySql(trx, 'ROLLBACK'),
  ],
  ['ROLLBACK AND CHAIN', () => inbox, knexSql, (trx) => knexSql(trx, 'ROLLBACK AND CHAIN')],
  ['ROLLBACK AND CHAIN, on kysely', ofKysely, kyselySql, (trx) => kyselySql(trx, 'ROLLBACK AND CHAIN')],
  [
    'ROLLBACK with a new BEGIN behind it',
    () => inbox,
    knexSql,
    async (trx) => {
      await knexSql(trx, 'ROLLBACK');
      await knexSql(trx, 'BEGIN');
      await knexSql(trx, `INSERT INTO ${database.table('effect')} VALUES ('of-no-message')`);
    },
  ],
  [
    'ROLLBACK AND CHAIN with a write behind it',
    () => inbox,
    knexSql,
    async (trx) => {
      await knexSql(trx, 'ROLLBACK AND CHAIN');
      await knexSql(trx, `INSERT INTO ${database.table('effect')} VALUES ('of-no-message')`);
    },
  ],
])(
  'a message whose transaction is rolled back under its handler by %s is tried again, and has one effect',
  async (how, store, run, end) => {
    const id = how.replaceAll(/\W+/g, '-');
    const attempts: number[] = [];
    kit.router.consumer(
      kit.exchange,
      `inbox.${id}`,
    )(
      rawConsumer(async (_routingKey, _body, { transaction, attempt }) => {
        attempts.push(attempt);
        await run(transaction, `INSERT INTO ${database.table('effect')} VALUES ('${id}')`);
        if (attempt === 1) await end(transaction);
      }),
    );
    consumer = await kit.start({ parts: { inbox: store() }, options: { retry: { attempts: 3, delaysMs: [20] } } });
    kit.send(`inbox.${id}`, {}, {}, { messageId: id, appId: 'sender' });
    await until(() => consumer.stats.handled === 1 && consumer.stats.inFlight === 0);
    expect(attempts).toEqual([1, 2]);
    expect(await effects(id)).toBe(1);
    expect(await effects('of-no-message')).toBe(0);
    expect(consumer.stats).toMatchObject({ received: 2, retried: 1, duplicates: 0 });
  },
);

test('a run that loses to another transaction is repeated at once, and no attempt is counted; what the handler makes of it stands', async () => {
  const counter = database.table('counter');
  await database.pg.query(`CREATE TABLE ${counter} (n int); INSERT INTO ${counter} VALUES (0)`);
  const runs: Record<string, number[]> = {};
  const handler = rawConsumer(async (_routingKey, body, { transaction, attempt }) => {
    const { id } = body as Payload;
    runs[id] = [...(runs[id] ?? []), attempt];
    const n = Number(
      (await sql<{ n: number }>`SELECT n FROM ${sql.raw(counter)}`.execute(transaction as Kysely<unknown>)).rows[0]?.n,
    );
    // Another transaction's write behind the snapshot: PostgreSQL ends this one with 40001.
    if (runs[id].length < 3) await database.pg.query(`UPDATE ${counter} SET n = n + 1`);
    try {
      await kyselySql(transaction, `UPDATE ${counter} SET n = ${n + 100}`);
    } catch (error) {
      if (id === 'conflict-decided') throw new Reject('not worth it', { cause: error });
      throw error;
    }
    await kyselySql(transaction, `INSERT INTO ${database.table('effect')} VALUES ('${id}')`);
  });
  kit.router.consumer(kit.exchange, 'inbox.conflict')(handler);
  const open = (work: (trx: unknown) => Promise<unknown>) =>
    kysely
      .transaction()
      .setIsolationLevel('repeatable read')
      .execute((trx) => work(trx));
  const store = new InboxStore({
    transactions: resolveTransactions(open as OpenTransaction, database.pool, database.schema),
    schema: database.schema,
  });
  consumer = await kit.start({
    parts: { inbox: store },
    options: { concurrency: 1, retry: { attempts: 1, delaysMs: [] } },
  });
  for (const id of ['conflict', 'conflict-decided']) kit.send('inbox.conflict', { id }, {}, { messageId: id });
  await until(() => consumer.stats.handled + consumer.stats.deadLettered.rejected === 2);
  expect(runs).toEqual({ conflict: [1, 1, 1], 'conflict-decided': [1] });
  expect([await effects('conflict'), await effects('conflict-decided')]).toEqual([1, 0]);
  expect((await database.pg.query(`SELECT n FROM ${counter}`)).rows).toEqual([{ n: 103 }]);
});
