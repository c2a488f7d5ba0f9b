import { sql as drizzleSql } from 'drizzle-orm';
import { drizzle } from 'drizzle-orm/node-postgres';
import knexModule, { type Knex } from 'knex';
import { Kysely, sql as kyselySql, PostgresDialect } from 'kysely';
import pg from 'pg';
import { Sequelize } from 'sequelize';
import { DataSource, type EntityManager } from 'typeorm';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { InboxStore } from '../../src/database/inbox-store.ts';
import { knexTransactions, resolveTransactions, Transactions } from '../../src/database/transactions.ts';
import { Outbox } from '../../src/outbox/outbox.ts';
import { type TestDatabase, testDatabase } from '../support/test-database.ts';

/** One library: how its users open a transaction, write in it, and what they could hand over by mistake. */
interface Library {
  readonly name: string;
  open<T>(work: (handle: unknown) => Promise<T>): Promise<T>;
  insert(handle: unknown, id: string): Promise<unknown>;
  run(handle: unknown, sql: string): Promise<unknown>;
  roots(): [what: string, handle: unknown][];
  close(): Promise<unknown>;
}

const FAILING = 'SELECT 1/0';

let database: TestDatabase;
let outbox: Outbox;
let libraries: Map<string, Library>;

const event = (id: string) => ({ aggregate: 'order', eventType: 'create.base', payload: { id }, key: id });
const rowsOf = (id: string) => database.count('svc_comm_outbox', `order_key = '${id}'`);
const effectsOf = (id: string) => database.count('effect', `id = '${id}'`);

beforeAll(async () => {
  database = await testDatabase('libraries');
  outbox = new Outbox({
    transactions: resolveTransactions(knexTransactions(), database.pool),
    appId: 'orders',
    schema: database.schema,
  });
  const made = await Promise.all([overKnex(), overPg(), overDrizzle(), overKysely(), overTypeorm(), overSequelize()]);
  libraries = new Map(made.map((library) => [library.name, library]));
});

afterAll(async () => {
  await Promise.all([...libraries.values()].map((library) => library.close()));
  await database.close();
});

describe.each(['knex', 'pg', 'drizzle', 'kysely', 'typeorm', 'sequelize'])('a transaction of %s', (name) => {
  const library = (): Library => libraries.get(name) as Library;

  test('carries the event: both are there after its commit', async () => {
    await library().open(async (handle) => {
      await library().insert(handle, `${name}-commit`);
      await outbox.publishAggregateEvent(event(`${name}-commit`), { transaction: handle });
      expect(await rowsOf(`${name}-commit`)).toBe(0);
    });
    expect([await effectsOf(`${name}-commit`), await rowsOf(`${name}-commit`)]).toEqual([1, 1]);
  });

  test('takes the event with it when it rolls back', async () => {
    const failed = library().open(async (handle) => {
      await library().insert(handle, `${name}-rollback`);
      await outbox.publishAggregateEvents([event(`${name}-rollback`), event(`${name}-rollback`)], {
        transaction: handle,
      });
      await outbox.publishFutureAggregateEvent(
        { ...event(`${name}-rollback`), eventTime: new Date() },
        { transaction: handle },
      );
      throw new Error('changed my mind');
    });
    await expect(failed).rejects.toThrow('changed my mind');
    expect([await effectsOf(`${name}-rollback`), await rowsOf(`${name}-rollback`)]).toEqual([0, 0]);
    expect(await database.count('svc_comm_future', `order_key = '${name}-rollback'`)).toBe(0);
  });

  const run = (handle: unknown, sql: string) => library().run(handle, sql);
  const swallowed = (handle: unknown, sql: string) => run(handle, sql).catch(() => undefined);

  test.each<[string, (handle: unknown) => Promise<unknown>]>([
    ['throws', (handle) => run(handle, FAILING)],
    ['swallows an error', (handle) => swallowed(handle, FAILING)],
    ['ends it', (handle) => run(handle, 'COMMIT')],
    ['ends it, whatever comes of it', (handle) => swallowed(handle, 'COMMIT')],
    ['undoes it', (handle) => run(handle, 'ROLLBACK')],
  ])(
    'is shared by messages: when one %s, the others have each their effect once, with their events',
    async (what, harm) => {
      const transactions = new Transactions({ open: (work) => library().open(work), schema: database.schema });
      const inbox = new InboxStore({ transactions, schema: database.schema });
      const shared = new Outbox({ transactions, appId: 'orders', schema: database.schema });
      const group = inbox.grouped({ size: 5, atOnce: 1 });
      const ids = Array.from({ length: 5 }, (_, i) => `${name} ${what} ${i}`);
      const work = (id: string, i: number) => async (handle: unknown) => {
        await library().insert(handle, id);
        await shared.publishAggregateEvent(event(id));
        if (i === 2) await harm(handle);
      };
      const request = (messageId: string) => ({
        key: { queue: 'q', source: 's', messageId },
        isRedriven: false,
        handler: 'Orders.onUser',
      });
      const results = await Promise.allSettled(ids.map((id, i) => group.handle(request(id), work(id, i))));
      for (const [i, id] of ids.entries()) {
        if (i !== 2) expect(results[i], id).toMatchObject({ value: { kind: 'handled' } });
        else expect(results[i]).toMatchObject({ status: 'rejected' });
        expect([await effectsOf(id), await rowsOf(id)], id).toEqual(i === 2 ? [0, 0] : [1, 1]);
      }
    },
  );

  test('is refused after its end, and nothing is written', async () => {
    let kept: unknown;
    await library().open(async (handle) => {
      kept = handle;
      await outbox.publishAggregateEvent(event(`${name}-used`), { transaction: handle });
    });
    for (const publish of [
      () => outbox.publishAggregateEvent(event(`${name}-late`), { transaction: kept }),
      () => outbox.cancelFutureAggregateEvent({ aggregate: 'a', eventType: 'b', tags: {} }, { transaction: kept }),
    ]) {
      await expect(publish()).rejects.toMatchObject({ code: 'SVC_COMM_TRANSACTION_FINISHED' });
    }
    expect(await rowsOf(`${name}-late`)).toBe(0);
  });

  test('is refused after its end also when it was never used before', async () => {
    let kept: unknown;
    await library().open(async (handle) => {
      kept = handle;
      await library().insert(handle, 'unrelated');
    });
    const late = outbox.publishAggregateEvent(event(`${name}-late`), { transaction: kept });
    await expect(late).rejects.toMatchObject({
      code: expect.stringMatching(/^SVC_COMM_(TRANSACTION_FINISHED|NOT_A_TRANSACTION)$/),
    });
    expect(await rowsOf(`${name}-late`)).toBe(0);
  });

  test('that ends with a publish under way never commits the event alone', async () => {
    const publishes: Promise<unknown>[] = [];
    for (let i = 0; i < 30; i++) {
      const forgotten = library().open(async (handle) => {
        if (i % 3 > 0) await library().insert(handle, 'unrelated');
        const publish = outbox.publishAggregateEvent(event(`${name}-forgotten-${i}`), { transaction: handle });
        publishes.push(publish.catch(() => undefined));
        if (i % 2) await Promise.resolve();
        throw new Error('rolled back');
      });
      await expect(forgotten).rejects.toThrow('rolled back');
    }
    await Promise.all(publishes);
    expect(await database.count('svc_comm_outbox', `order_key LIKE '${name}-forgotten-%'`)).toBe(0);
  });

  test('that has failed is refused with the reason', async () => {
    const failed = library().open(async (handle) => {
      await library()
        .run(handle, FAILING)
        .catch(() => undefined);
      await outbox.publishAggregateEvent(event(`${name}-failed`), { transaction: handle });
    });
    await expect(failed).rejects.toMatchObject({ code: 'SVC_COMM_TRANSACTION_ABORTED' });
  });

  test('is not mistaken: its roots would make ghost events', async () => {
    for (const [what, root] of library().roots()) {
      const publish = outbox.publishAggregateEvent(event(`${name}-root`), { transaction: root });
      await expect(publish, what).rejects.toMatchObject({ code: 'SVC_COMM_NOT_A_TRANSACTION', library: name });
    }
    expect(await rowsOf(`${name}-root`)).toBe(0);
  });

  test('can be the one that transactions.run opens: ambient, buffered, with savepoints', async () => {
    const transactions = new Transactions({ open: (work) => library().open(work) });
    const ambient = new Outbox({ transactions, appId: 'orders', schema: database.schema });
    await transactions.run(async (handle) => {
      await library().insert(handle, `${name}-outer`);
      await ambient.publishAggregateEvent(event(`${name}-outer`));
      const inner = transactions.run(async (same) => {
        await library().insert(same, `${name}-inner`);
        await ambient.publishAggregateEvent(event(`${name}-inner`));
        throw new Error('only the inner');
      });
      await expect(inner).rejects.toThrow('only the inner');
      expect(await rowsOf(`${name}-outer`)).toBe(0);
    });
    expect([await effectsOf(`${name}-outer`), await rowsOf(`${name}-outer`)]).toEqual([1, 1]);
    expect([await effectsOf(`${name}-inner`), await rowsOf(`${name}-inner`)]).toEqual([0, 0]);
  });

  test('whose failed statement was swallowed does not look committed', async () => {
    const transactions = new Transactions({ open: (work) => library().open(work) });
    const swallowed = transactions.run(async (handle) => {
      await library().insert(handle, `${name}-swallowed`);
      await library()
        .run(handle, FAILING)
        .catch(() => undefined);
    });
    await expect(swallowed).rejects.toMatchObject({ code: 'SVC_COMM_TRANSACTION_ABORTED' });
    expect(await effectsOf(`${name}-swallowed`)).toBe(0);
  });
});

test('a pg client is told from one that never began, and from one that another has checked out', async () => {
  const pool = new pg.Pool({ connectionString: database.url, max: 1 });
  try {
    const client = await pool.connect();
    await client.query('BEGIN');
    await outbox.publishAggregateEvent(event('pg-client'), { transaction: client });
    await client.query('COMMIT');
    const ended = outbox.publishAggregateEvent(event('pg-client'), { transaction: client });
    await expect(ended).rejects.toMatchObject({ code: 'SVC_COMM_TRANSACTION_FINISHED' });
    await client.query('BEGIN');
    client.release();
    const released = outbox.publishAggregateEvent(event('pg-client'), { transaction: client });
    await expect(released).rejects.toMatchObject({ code: 'SVC_COMM_TRANSACTION_FINISHED' });
    expect(await rowsOf('pg-client')).toBe(1);
  } finally {
    await pool.end();
  }
});

test('a COMMIT of pg that was not awaited cannot be followed by the event', async () => {
  const client = new pg.Client({ connectionString: database.url });
  await client.connect();
  try {
    await client.query('BEGIN');
    const rollback = client.query('ROLLBACK');
    const publish = outbox.publishAggregateEvent(event('overtaken'), { transaction: client });
    await expect(publish).rejects.toMatchObject({ code: 'SVC_COMM_TRANSACTION_FINISHED' });
    await rollback;
    expect(await rowsOf('overtaken')).toBe(0);
  } finally {
    await client.end();
  }
});

test('a drizzle transaction that ended does not write into the next one on its connection', async () => {
  const pool = new pg.Pool({ connectionString: database.url, max: 1 });
  try {
    const db = drizzle(pool);
    let kept: unknown;
    await db.transaction(async (tx) => {
      kept = tx;
      await outbox.publishAggregateEvent(event('drizzle-first'), { transaction: tx });
    });
    await db.transaction(async () => {
      const late = outbox.publishAggregateEvent(event('drizzle-reused'), { transaction: kept });
      await expect(late).rejects.toMatchObject({ code: 'SVC_COMM_TRANSACTION_FINISHED' });
    });
    expect(await rowsOf('drizzle-reused')).toBe(0);
  } finally {
    await pool.end();
  }
});

test('nor does one over a single client, whose transactions look all the same', async () => {
  const client = new pg.Client({ connectionString: database.url });
  await client.connect();
  try {
    const db = drizzle(client);
    let kept: unknown;
    await db.transaction(async (tx) => {
      kept = tx;
      await outbox.publishAggregateEvent(event('drizzle-client'), { transaction: tx });
      await outbox.publishAggregateEvents([event('drizzle-client'), event('drizzle-client')], { transaction: tx });
    });
    const late = () => outbox.publishAggregateEvent(event('drizzle-client'), { transaction: kept });
    await expect(late()).rejects.toMatchObject({ code: 'SVC_COMM_TRANSACTION_FINISHED' });
    await db.transaction(async (tx) => {
      await expect(late()).rejects.toMatchObject({ code: 'SVC_COMM_TRANSACTION_FINISHED' });
      await outbox.publishAggregateEvent(event('drizzle-client'), { transaction: tx });
    });
    expect(await rowsOf('drizzle-client')).toBe(4);
  } finally {
    await client.end();
  }
});

test('a kysely savepoint that is rolled back takes its events, and the transaction goes on', async () => {
  const db = new Kysely<unknown>({
    dialect: new PostgresDialect({ pool: new pg.Pool({ connectionString: database.url }) }),
  });
  try {
    const trx = await db.startTransaction().execute();
    const inner = await trx.savepoint('inner').execute();
    await outbox.publishAggregateEvent(event('kysely-undone'), { transaction: trx });
    await inner.rollbackToSavepoint('inner').execute();
    await outbox.publishAggregateEvent(event('kysely-kept'), { transaction: trx });
    await trx.commit().execute();
    expect([await rowsOf('kysely-undone'), await rowsOf('kysely-kept')]).toEqual([0, 1]);
  } finally {
    await db.destroy();
  }
});

test('anything else is refused with what it looks like', async () => {
  for (const handle of [null, 42, 'knex', {}, () => undefined, Promise.resolve()]) {
    const publish = outbox.publishAggregateEvent(event('unknown'), { transaction: handle });
    await expect(publish).rejects.toMatchObject({ code: 'SVC_COMM_NOT_A_TRANSACTION', library: 'unknown' });
  }
});

async function overKnex(): Promise<Library> {
  // Mappers such as objection's change the names in every result.
  const postProcessResponse = (result: unknown) => (Array.isArray(result) ? result.map(() => ({})) : {});
  const knex = knexModule.default({
    client: 'pg',
    connection: database.url,
    pool: { min: 0, max: 4 },
    postProcessResponse,
  });
  return {
    name: 'knex',
    open: (work) => knex.transaction(work),
    insert: (handle, id) => (handle as Knex.Transaction).withSchema(database.schema).insert({ id }).into('effect'),
    run: (handle, sql) => (handle as Knex.Transaction).raw(sql),
    roots: () => [['knex', knex]],
    close: () => knex.destroy(),
  };
}

async function overPg(): Promise<Library> {
  const pool = new pg.Pool({ connectionString: database.url, max: 4 });
  const idle = new pg.Client({ connectionString: database.url });
  await idle.connect();
  return {
    name: 'pg',
    async open(work) {
      const client = await pool.connect();
      try {
        await client.query('BEGIN');
        const value = await work(client);
        await client.query('COMMIT');
        return value;
      } catch (error) {
        await client.query('ROLLBACK');
        throw error;
      } finally {
        client.release();
      }
    },
    insert: (handle, id) =>
      (handle as pg.PoolClient).query(`INSERT INTO ${database.table('effect')} VALUES ($1)`, [id]),
    run: (handle, sql) => (handle as pg.PoolClient).query(sql),
    roots: () => [
      ['pool', pool],
      ['client outside a transaction', idle],
    ],
    close: () => Promise.all([pool.end(), idle.end()]),
  };
}

async function overDrizzle(): Promise<Library> {
  const pool = new pg.Pool({ connectionString: database.url, max: 4 });
  const db = drizzle(pool);
  type Tx = Parameters<Parameters<typeof db.transaction>[0]>[0];
  return {
    name: 'drizzle',
    open: (work) => db.transaction((tx) => work(tx)),
    insert: (handle, id) =>
      (handle as Tx).execute(drizzleSql`INSERT INTO ${drizzleSql.raw(database.table('effect'))} VALUES (${id})`),
    run: async (handle, sql) => (handle as Tx).execute(drizzleSql.raw(sql)),
    roots: () => [['drizzle(pool)', db]],
    close: () => pool.end(),
  };
}

async function overKysely(): Promise<Library> {
  const pool = new pg.Pool({ connectionString: database.url, max: 4 });
  const db = new Kysely<unknown>({ dialect: new PostgresDialect({ pool }) });
  type Trx = typeof db;
  return {
    name: 'kysely',
    open: (work) => db.transaction().execute((trx) => work(trx)),
    insert: (handle, id) =>
      kyselySql`INSERT INTO ${kyselySql.raw(database.table('effect'))} VALUES (${id})`.execute(handle as Trx),
    run: (handle, sql) => kyselySql.raw(sql).execute(handle as Trx),
    roots: () => [['Kysely', db]],
    close: () => db.destroy(),
  };
}

async function overTypeorm(): Promise<Library> {
  const source = new DataSource({ type: 'postgres', url: database.url, entities: [] });
  await source.initialize();
  return {
    name: 'typeorm',
    open: (work) => source.transaction((manager) => work(manager)),
    insert: (handle, id) =>
      (handle as EntityManager).query(`INSERT INTO ${database.table('effect')} VALUES ($1)`, [id]),
    run: (handle, sql) => (handle as EntityManager).query(sql),
    roots: () => [
      ['DataSource', source],
      ['its manager', source.manager],
      ['query runner outside a transaction', source.createQueryRunner()],
    ],
    close: () => source.destroy(),
  };
}

async function overSequelize(): Promise<Library> {
  const sequelize = new Sequelize(database.url, { logging: false, dialectModule: pg, pool: { max: 4 } });
  return {
    name: 'sequelize',
    open: (work) => sequelize.transaction((transaction) => work(transaction)),
    insert: (handle, id) =>
      sequelize.query(`INSERT INTO ${database.table('effect')} VALUES ($1)`, {
        bind: [id],
        transaction: handle as never,
      }),
    run: (handle, sql) => sequelize.query(sql, { transaction: handle as never }),
    roots: () => [['Sequelize', sequelize]],
    close: () => sequelize.close(),
  };
}
