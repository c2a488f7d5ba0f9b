import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { recogniseTransaction } from '../../src/database/recognise-transaction.ts';
import {
  type KnexTransaction,
  knexTransactions,
  resolveTransactions,
  Transactions,
} from '../../src/database/transactions.ts';
import { silentLogger } from '../../src/lifecycle/logger.ts';
import { MAX_BODY_BYTES } from '../../src/message/message.ts';
import { Outbox } from '../../src/outbox/outbox.ts';
import { enqueue, enqueueStatement } from '../../src/outbox/sql/enqueue.ts';
import { withCorrelation } from '../../src/util/correlation.ts';
import { deferred } from '../../src/util/deferred.ts';
import { type TestDatabase, testDatabase } from '../support/test-database.ts';

let database: TestDatabase;
let transactions: Transactions;
let outbox: Outbox;

beforeAll(async () => {
  database = await testDatabase('outbox');
  transactions = resolveTransactions(knexTransactions(), database.pool);
  outbox = new Outbox({ transactions, appId: 'orders', schema: database.schema });
  await database.pg.query(`
    CREATE TABLE ${database.table('insert_log')} (rows int);
    CREATE FUNCTION ${database.table('log_insert')}() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN INSERT INTO ${database.table('insert_log')} SELECT count(*) FROM added; RETURN NULL; END $$;
    CREATE TRIGGER log_insert AFTER INSERT ON ${database.table('svc_comm_outbox')}
      REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION ${database.table('log_insert')}()`);
});

afterAll(() => database.close());

const event = (key: string, payload: unknown = { key }) => ({
  aggregate: 'order',
  eventType: 'create.base',
  payload,
  key,
});
const rows = async (key: string) =>
  (
    await database.pg.query(`SELECT * FROM ${database.table('svc_comm_outbox')} WHERE order_key = $1 ORDER BY id`, [
      key,
    ])
  ).rows;

const insert = (trx: unknown, id: string) =>
  (trx as KnexTransaction).raw(`INSERT INTO ${database.table('effect')} VALUES (?)`, [id]);

describe('in an ambient transaction', () => {
  test('the level of isolation may be set by the first statement', async () => {
    const level = await transactions.run(async (trx) => {
      const handle = trx as KnexTransaction;
      await handle.raw('SET TRANSACTION ISOLATION LEVEL SERIALIZABLE');
      await outbox.publishAggregateEvent(event('serializable'));
      return (await handle.raw('SHOW transaction_isolation')).rows[0].transaction_isolation;
    });
    expect(level).toBe('serializable');
    expect(await rows('serializable')).toHaveLength(1);
  });

  test('a hundred events are written by one statement, in their order', async () => {
    await database.pg.query(`TRUNCATE ${database.table('insert_log')}`);
    const ids: string[] = [];
    await transactions.run(async () => {
      for (let i = 0; i < 100; i++) ids.push((await outbox.publishAggregateEvent(event('hundred', { i }))).eventId);
    });
    expect((await database.pg.query(`SELECT rows FROM ${database.table('insert_log')}`)).rows).toEqual([{ rows: 100 }]);
    expect((await rows('hundred')).map((row) => row.message_id)).toEqual(ids);
  });

  test('more than one statement can carry is written by several, in their order', async () => {
    await database.pg.query(`TRUNCATE ${database.table('insert_log')}`);
    // JSON has two characters for each.
    const text = '"'.repeat(3.5 * 1024 * 1024);
    const bodies = Array.from({ length: 5 }, (_, n) => ({ n, text }));
    await transactions.run(() => outbox.publishAggregateEvents(bodies.map((payload) => event('large', payload))));
    expect((await database.pg.query(`SELECT rows FROM ${database.table('insert_log')}`)).rows).toEqual([
      { rows: 2 },
      { rows: 2 },
      { rows: 1 },
    ]);
    expect((await rows('large')).map(({ body }) => JSON.parse(body).payload.n)).toEqual([0, 1, 2, 3, 4]);
  });

  test('an event that was not awaited is written all the same', async () => {
    await transactions.run(async () => void outbox.publishAggregateEvent(event('not-awaited')));
    expect(await rows('not-awaited')).toHaveLength(1);
  });

  test('code that outlives its transaction is told, and can still ask for one of its own', async () => {
    const gate = deferred();
    let escaped: Promise<unknown> = Promise.resolve();
    await transactions.run(async () => {
      escaped = gate.promise.then(async () => {
        const late = outbox.publishAggregateEvent(event('escaped'));
        await expect(late).rejects.toMatchObject({ code: 'SVC_COMM_TRANSACTION_FINISHED' });
        await outbox.publishAggregateEvent(event('escaped-own'), { transaction: 'own' });
        await transactions.run(() => outbox.publishAggregateEvent(event('escaped-run')));
      });
    });
    gate.resolve();
    await escaped;
    const counts = [await rows('escaped'), await rows('escaped-own'), await rows('escaped-run')].map(
      (found) => found.length,
    );
    expect(counts).toEqual([0, 1, 1]);
  });

  test('a nested one that throws loses only its own rows and events', async () => {
    await transactions.run(async (trx) => {
      await outbox.publishAggregateEvent(event('nested-1'));
      const inner = transactions.run(async () => {
        await outbox.publishAggregateEvent(event('nested-2'));
        await transactions.run(() => outbox.publishAggregateEvent(event('nested-3')));
        throw new Error('inner');
      });
      await expect(inner).rejects.toThrow('inner');
      await transactions.run(() => outbox.publishAggregateEvent(event('nested-4')));
      await (trx as { raw(sql: string): Promise<unknown> }).raw('SELECT 1');
    });
    const counts = await Promise.all(['nested-1', 'nested-2', 'nested-3', 'nested-4'].map(rows));
    expect(counts.map((found) => found.length)).toEqual([1, 0, 0, 1]);
  });

  test('a nested one that waits for long for an earlier one, which may await it, is told of, and no other', async () => {
    const warned = deferred<object>();
    let warnings = 0;
    const logger = {
      ...silentLogger,
      warn: (fields: object, text: string) => {
        warnings += 1;
        warned.resolve({ ...fields, text });
      },
    };
    const open = <T>(work: (handle: unknown) => Promise<T>) => database.pool.knex.transaction(work);
    const watched = new Transactions({ open, logger, savepointWaitMs: 100 });
    const order: string[] = [];
    await watched.run(
      async () => {
        const later = deferred<Promise<unknown>>();
        const first = watched.run(async () => {
          await Promise.race([later.promise.then((it) => it), warned.promise]);
          order.push('first');
        });
        const second = watched.run(async () => order.push('second'));
        later.resolve(second);
        await Promise.all([first, second]);
        await watched.run(async () => order.push('third'));
      },
      { name: 'Orders.onOrder' },
    );
    expect(order).toEqual(['first', 'second', 'third']);
    expect(await warned.promise).toEqual({
      transaction: 'Orders.onOrder',
      waitedMs: 100,
      text: expect.stringContaining('when the earlier awaits the later neither ever ends'),
    });
    expect(warnings).toBe(1);
  });

  test('nested ones that run at the same time, or were not awaited, keep rows and events together', async () => {
    await transactions.run(async () => {
      const children = Array.from({ length: 10 }, (_, i) =>
        transactions.run(async (trx) => {
          await insert(trx, `side-${i}`);
          await outbox.publishAggregateEvent(event(`side-${i}`));
          if (i % 2) throw new Error('odd');
        }),
      );
      for (const child of children) child.catch(() => undefined);
    });
    for (let i = 0; i < 10; i++) {
      expect([await database.count('effect', `id = 'side-${i}'`), (await rows(`side-${i}`)).length]).toEqual(
        i % 2 ? [0, 0] : [1, 1],
      );
    }
  });

  test('nested ones that wait in one that fails do not begin, and what has begun in it leaves neither row nor event', async () => {
    let children: Promise<string>[] = [];
    await transactions.run(async (trx) => {
      const failing = transactions.run(() => {
        children = ['fails', 'next', 'last'].map((id) =>
          transactions.run(async (savepoint) => {
            await insert(savepoint, `within-${id}`);
            await outbox.publishAggregateEvent(event(`within-${id}`));
            if (id === 'fails') throw new Error('inner');
            return id;
          }),
        );
        return Promise.all(children);
      });
      await expect(failing).rejects.toThrow('inner');
      await insert(trx, 'around');
      await outbox.publishAggregateEvent(event('around'));
    });
    expect((await Promise.allSettled(children)).at(-1)).toMatchObject({
      reason: { code: 'SVC_COMM_TRANSACTION_FINISHED' },
    });
    expect(await database.count('effect', "id LIKE 'within-%'")).toBe(0);
    for (const id of ['fails', 'next', 'last']) expect(await rows(`within-${id}`)).toEqual([]);
    expect([await database.count('effect', "id = 'around'"), (await rows('around')).length]).toEqual([1, 1]);
  });

  test('its own handle counts as ambient: events keep the order in which they were published', async () => {
    await transactions.run(async (trx) => {
      await outbox.publishAggregateEvent(event('mixed', 1));
      await outbox.publishAggregateEvent(event('mixed', 2), { transaction: trx });
      await outbox.publishAggregateEvent(event('mixed', 3), { transaction: 'ambient' });
    });
    expect((await rows('mixed')).map((row) => JSON.parse(row.body).payload)).toEqual([1, 2, 3]);
  });

  test("'own' commits although the ambient one rolls back", async () => {
    const run = transactions.run(async () => {
      await outbox.publishAggregateEvent(event('own'), { transaction: 'own' });
      await outbox.publishAggregateEvent(event('ambient'));
      throw new Error('back');
    });
    await expect(run).rejects.toThrow('back');
    expect([(await rows('own')).length, (await rows('ambient')).length]).toEqual([1, 0]);
  });
});

test.each(['commit', 'rollback'] as const)(
  'a %s of the ambient handle fails, and says how to end it instead',
  async (end) => {
    const run = transactions.run(async (handle) => {
      await (handle as Record<typeof end, () => Promise<void>>)[end]();
      await new Promise((resolve) => setTimeout(resolve, 100));
    });
    await expect(run).rejects.toThrow(/by returning or throwing, not by a commit or rollback/);
  },
);

test('without a transaction in sight nothing is written', async () => {
  for (const choice of [undefined, 'ambient']) {
    const publish = outbox.publishAggregateEvent(event('nowhere'), { transaction: choice });
    await expect(publish).rejects.toMatchObject({ code: 'SVC_COMM_TRANSACTION_REQUIRED' });
  }
  expect(await rows('nowhere')).toEqual([]);
});

test('a row says what the relay needs: partition, ids, app, correlation, and no properties when they are the defaults', async () => {
  const plain = await outbox.publishAggregateEvent(event('row'), { transaction: 'own' });
  const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
  const traced = await withCorrelation({ correlationId: 'c-1', traceparent }, () =>
    outbox.publishAggregateEvent({ aggregate: 'order', eventType: 'x', payload: 1, key: 7n }, { transaction: 'own' }),
  );
  const { rows: found } = await database.pg.query(
    `SELECT *, part = (hashtext(order_key) & 63) AS hashed FROM ${database.table('svc_comm_outbox')}
     WHERE message_id = ANY($1) ORDER BY id`,
    [[plain.eventId, traced.eventId]],
  );
  expect(found[0]).toMatchObject({
    hashed: true,
    exchange: 'order',
    routing_key: 'create.base',
    app_id: 'orders',
    properties: null,
  });
  expect(JSON.parse(found[0].body)).toEqual({
    eventId: plain.eventId,
    eventTime: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z$/),
    eventType: 'create.base',
    aggregate: 'order',
    payload: { key: 'row' },
  });
  expect(plain.eventId).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7/);
  expect(found[1]).toMatchObject({ hashed: true, order_key: '7' });
  expect(JSON.parse(found[1].properties)).toEqual({ correlationId: 'c-1', headers: { traceparent } });
});

test('any text survives: NUL, lone surrogates, quotes and backslashes', async () => {
  const payload = { nul: 'a\u0000b', lone: '\ud800', quote: '"\\\'{}, NULL', emoji: '🐇', key: '\\u0000' };
  await outbox.publishAggregateEvent(event('any "text" \\ {NULL}', payload), { transaction: 'own' });
  const [row] = await rows('any "text" \\ {NULL}');
  expect(JSON.parse(row.body).payload).toEqual(payload);
});

test.each<[string, object, string]>([
  ['an aggregate over 255 bytes', { aggregate: 'ä'.repeat(128) }, 'SVC_COMM_INVALID_NAME'],
  ['an empty aggregate', { aggregate: '' }, 'SVC_COMM_INVALID_NAME'],
  ['an event type with NUL', { eventType: 'a\u0000b' }, 'SVC_COMM_INVALID_NAME'],
  ['an event type with a line break', { eventType: 'a\nb' }, 'SVC_COMM_INVALID_NAME'],
  ['half a surrogate pair in a name', { aggregate: '\ud800' }, 'SVC_COMM_INVALID_NAME'],
  ['a key over 255 bytes', { key: 'k'.repeat(256) }, 'SVC_COMM_INVALID_NAME'],
  ['a key that is an object', { key: { id: 1 } }, 'SVC_COMM_INVALID_ARGUMENT'],
  ['a payload with a BigInt', { payload: { n: 1n } }, 'SVC_COMM_UNSERIALISABLE_PAYLOAD'],
  ['no payload', { payload: undefined }, 'SVC_COMM_UNSERIALISABLE_PAYLOAD'],
  ['a body over 16 MiB', { payload: 'x'.repeat(MAX_BODY_BYTES) }, 'SVC_COMM_MESSAGE_TOO_LARGE'],
])('%s is refused, and none of the list is written', async (_what, wrong, code) => {
  const good = event('refused');
  const events = [good, { ...good, ...wrong } as typeof good];
  await expect(outbox.publishAggregateEvents(events, { transaction: 'own' })).rejects.toMatchObject({ code });
  expect(await rows('refused')).toEqual([]);
});

describe('the enqueue', () => {
  test.each([
    [1, false],
    [1, true],
    [2, true],
  ])('of %i rows has the key lock in its plan (names its transaction: %s)', async (count, isGuarded) => {
    const row = { orderKey: 'a', messageId: randomUUID(), exchange: 'e', routingKey: 'r', body: '{}' };
    const rest = { properties: null, appId: null, expiresInMs: null };
    const written = Array.from({ length: count }, () => ({ ...row, ...rest }));
    const { sql, params } = enqueueStatement(database.schema, written, isGuarded);
    const values = isGuarded ? [...params, null] : [...params];
    const plan = await database.pg.query(`EXPLAIN (VERBOSE) ${sql}`, values);
    expect(plan.rows.map((line) => line['QUERY PLAN']).join('\n')).toContain('pg_advisory_xact_lock');
  });

  test.each([
    ['one row', ['race-1']],
    ['two rows', ['race', 'race-2']],
  ])('of %s makes id order commit order within a key, for sixteen writers at once', async (_what, names) => {
    const commits: string[] = [];
    const [raced = ''] = names;
    const writer = async (n: number) => {
      for (let i = 0; i < 12; i++) {
        const client = await database.pg.connect();
        try {
          await client.query('BEGIN');
          const keys = n % 2 ? names : names.toReversed();
          const published = await outbox.publishAggregateEvents(
            keys.map((key) => event(key)),
            { transaction: client },
          );
          await client.query('SELECT pg_sleep(0.003)');
          // Before COMMIT is sent nobody else can pass the lock, so the order of this list is the order of the commits.
          commits.push(published[keys.indexOf(raced)]?.eventId as string);
          await client.query('COMMIT');
        } finally {
          client.release();
        }
      }
    };
    await Promise.all(Array.from({ length: 16 }, (_, n) => writer(n)));
    expect((await rows(raced)).map((row) => row.message_id)).toEqual(commits);
  });

  test('reports a deadlock of two transactions that take keys in two orders as such', async () => {
    const [one, two] = [await database.pg.connect(), await database.pg.connect()];
    try {
      for (const client of [one, two]) await client.query("BEGIN; SET LOCAL deadlock_timeout = '20ms'");
      await outbox.publishAggregateEvent(event('dead-a'), { transaction: one });
      await outbox.publishAggregateEvent(event('dead-b'), { transaction: two });
      const crossing = await Promise.allSettled([
        outbox.publishAggregateEvent(event('dead-b'), { transaction: one }).finally(() => one.query('ROLLBACK')),
        outbox.publishAggregateEvent(event('dead-a'), { transaction: two }).finally(() => two.query('ROLLBACK')),
      ]);
      const failed = crossing.filter((result) => result.status === 'rejected');
      expect(failed.map(({ reason }) => reason.code)).toEqual(['SVC_COMM_DEADLOCK']);
    } finally {
      one.release();
      two.release();
    }
  });

  test('of a thousand events with keys and without is one statement as well', async () => {
    const client = await database.pg.connect();
    try {
      await client.query('BEGIN');
      const executor = await recogniseTransaction(client);
      const many = Array.from({ length: 1000 }, (_, i) => ({
        orderKey: i % 3 ? `k${i}` : null,
        messageId: crypto.randomUUID(),
        exchange: 'bulk',
        routingKey: 'r',
        body: String(i),
        properties: null,
        appId: null,
        expiresInMs: i % 2 ? 60_000 : null,
      }));
      await enqueue(executor, database.schema, many);
      const { rows: written } = await client.query(
        `SELECT body, expires_at - clock_timestamp() BETWEEN '55 s' AND '60 s' AS timed FROM ${database.table('svc_comm_outbox')}
         WHERE exchange = 'bulk' ORDER BY id`,
      );
      expect(written.map(({ body }) => Number(body))).toEqual(many.map((_, i) => i));
      expect(written[1].timed).toBe(true);
    } finally {
      await client.query('ROLLBACK');
      client.release();
    }
  });
});

test('a missing table says what to do', async () => {
  const elsewhere = new Outbox({ transactions, appId: 'orders', schema: 'no_such_schema' });
  const publish = elsewhere.publishAggregateEvent(event('lost'), { transaction: 'own' });
  await expect(publish).rejects.toMatchObject({ code: 'SVC_COMM_MIGRATION_REQUIRED', table: 'svc_comm_outbox' });
  await expect(publish).rejects.toThrow('svc-comm migrate');
});
