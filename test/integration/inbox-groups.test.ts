import { AsyncLocalStorage } from 'node:async_hooks';
import { Kysely, PostgresDialect, sql } from 'kysely';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { InboxGroups } from '../../src/database/inbox-groups.ts';
import { InboxStore } from '../../src/database/inbox-store.ts';
import { type KnexTransaction, knexTransactions, resolveTransactions } from '../../src/database/transactions.ts';
import { DatabaseUnavailableError, DeliveryLostError, Reject } from '../../src/errors.ts';
import type { InboxRequest, InboxResult } from '../../src/message/inbox.ts';
import { Outbox } from '../../src/outbox/outbox.ts';
import { deferred } from '../../src/util/deferred.ts';
import { until } from '../support/consumer-kit.ts';
import { testDatabaseUrl } from '../support/servers.ts';
import { type TestDatabase, testDatabase } from '../support/test-database.ts';

const kysely = new Kysely<unknown>({
  dialect: new PostgresDialect({ pool: new pg.Pool({ connectionString: testDatabaseUrl(), max: 2 }) }),
});
let database: TestDatabase;
let inbox: InboxStore;
let outbox: Outbox;

beforeAll(async () => {
  database = await testDatabase('inbox_groups', { max: 20 });
  const transactions = resolveTransactions(knexTransactions(), database.pool);
  inbox = new InboxStore({ transactions, schema: database.schema });
  outbox = new Outbox({ transactions, appId: 'orders', schema: database.schema });
  await database.pg.query(`CREATE TABLE ${database.table('moment')} (id text, xid text)`);
  await database.pg.query(`CREATE TABLE ${database.table('account')} (id text PRIMARY KEY, total int NOT NULL)`);
});

afterAll(() => Promise.all([database.close(), kysely.destroy()]));

const request = (messageId: string, more: Partial<InboxRequest> = {}): InboxRequest => ({
  key: { queue: 'q', source: 's', messageId },
  isRedriven: false,
  handler: 'Orders.onUser',
  ...more,
});
const raw = (trx: unknown, sql: string, values: readonly string[] = []) =>
  (trx as KnexTransaction).raw(sql, [...values]);
const effect =
  (id: string, then?: () => unknown) =>
  async (trx: unknown): Promise<string> => {
    await raw(trx, `INSERT INTO ${database.table('effect')} VALUES (?)`, [id]);
    await raw(trx, `INSERT INTO ${database.table('moment')} VALUES (?, pg_current_xact_id()::text)`, [id]);
    await then?.();
    return id;
  };
const fail = (error: unknown) => () => Promise.reject(error);
const effects = (id: string) => database.count('effect', `id = '${id}'`);
const names = (prefix: string, count: number) => Array.from({ length: count }, (_, i) => `${prefix}-${i}`);
const handled = (id: string) => ({ kind: 'handled', value: id });

async function transactionsOf(prefix: string): Promise<number> {
  const sql = `SELECT count(DISTINCT xid)::int AS n FROM ${database.table('moment')} WHERE id LIKE $1`;
  return (await database.pg.query(sql, [`${prefix}-%`])).rows[0].n;
}

test('messages of one moment share one transaction, and each is told after its commit', async () => {
  const group = inbox.grouped({ size: 20, atOnce: 1 });
  const told = names('shared', 20).map(async (id) => {
    const result = await group.handle(request(id), effect(id));
    return [result, await effects(id)];
  });
  expect(await Promise.all(told)).toEqual(names('shared', 20).map((id) => [handled(id), 1]));
  expect(await transactionsOf('shared')).toBe(1);
});

test('those that come while one is under way go together in the next; no more share one than were asked for', async () => {
  const group = inbox.grouped({ size: 5, atOnce: 1 });
  const isIn = deferred();
  const goOn = deferred();
  const first = group.handle(
    request('next-0'),
    effect('next-0', () => {
      isIn.resolve();
      return goOn.promise;
    }),
  );
  await isIn.promise;
  const others = names('next', 11).slice(1);
  const rest = others.map((id) => group.handle(request(id), effect(id)));
  goOn.resolve();
  expect(await Promise.all([first, ...rest])).toEqual(names('next', 11).map(handled));
  expect(await transactionsOf('next')).toBe(3);
});

test('no more transactions are open at once than were asked for', async () => {
  const group = inbox.grouped({ size: 4, atOnce: 3 });
  const open = new Set<string>();
  const allOpen = deferred();
  let most = 0;
  const work = (id: string) => async (trx: unknown) => {
    const { rows } = await raw(trx, 'SELECT pg_current_xact_id()::text AS xid');
    open.add(rows[0].xid);
    most = Math.max(most, open.size);
    if (open.size === 3) allOpen.resolve();
    await allOpen.promise;
    return { id, xid: rows[0].xid as string };
  };
  const all = names('at-once', 40).map((id) =>
    group.handle(request(id), work(id)).then((result) => {
      if (result.kind === 'handled') open.delete(result.value.xid);
      return result.kind;
    }),
  );
  expect(await Promise.all(all)).toEqual(Array.from({ length: 40 }, () => 'handled'));
  expect(most).toBe(3);
});

test('one that throws is told so, without any effect; the others have theirs once, with their events', async () => {
  const group = inbox.grouped({ size: 20, atOnce: 1 });
  const refused = new Reject('not this one');
  const runs = new Map<string, number>();
  const ids = names('throws', 20);
  const results = await Promise.allSettled(
    ids.map((id) =>
      group.handle(
        request(id),
        effect(id, async () => {
          runs.set(id, (runs.get(id) ?? 0) + 1);
          await outbox.publishAggregateEvent({ aggregate: 'a', eventType: 'b', payload: id, key: id });
          if (id === 'throws-7') throw refused;
        }),
      ),
    ),
  );
  expect(results[7]).toEqual({ status: 'rejected', reason: refused });
  for (const [i, id] of ids.entries()) {
    if (i !== 7) expect(results[i]).toEqual({ status: 'fulfilled', value: handled(id) });
    expect(await effects(id)).toBe(i === 7 ? 0 : 1);
    expect(await database.count('svc_comm_outbox', `order_key = '${id}'`)).toBe(i === 7 ? 0 : 1);
    expect(runs.get(id)).toBe(i < 7 ? 2 : 1);
  }
});

test('when several throw the rest have each their effect, in transactions of their own', async () => {
  const group = inbox.grouped({ size: 12, atOnce: 1 });
  const results = await Promise.allSettled(
    names('several', 12).map((id, i) =>
      group.handle(request(id), effect(id, i % 3 === 1 ? fail(new Error(id)) : undefined)),
    ),
  );
  for (const [i, result] of results.entries()) {
    expect(result.status).toBe(i % 3 === 1 ? 'rejected' : 'fulfilled');
    expect(await effects(`several-${i}`)).toBe(i % 3 === 1 ? 0 : 1);
  }
});

test('a statement that failed, its error swallowed, fails its own message alone', async () => {
  const group = inbox.grouped({ size: 3, atOnce: 1 });
  const swallow = async (trx: unknown) => {
    await raw(trx, 'SELECT 1 / 0').catch(() => undefined);
    return 'swallowed-1';
  };
  const ids = names('swallowed', 3);
  const results = await Promise.allSettled(
    ids.map((id, i) => group.handle(request(id), i === 1 ? swallow : effect(id))),
  );
  expect(results[1]).toMatchObject({ status: 'rejected', reason: { code: 'SVC_COMM_TRANSACTION_ABORTED' } });
  expect([await effects('swallowed-0'), await effects('swallowed-2')]).toEqual([1, 1]);
});

test('what is found out only at COMMIT is told to the message that brought it about, and to no other', async () => {
  const table = database.table('deferred_key');
  await database.pg.query(`CREATE TABLE ${table} (id text, UNIQUE (id) DEFERRABLE INITIALLY DEFERRED)`);
  await database.pg.query(`INSERT INTO ${table} VALUES ('taken')`);
  const group = inbox.grouped({ size: 3, atOnce: 1 });
  const ids = names('late', 3);
  const results = await Promise.allSettled(
    ids.map((id, i) =>
      group.handle(request(id), async (trx) => {
        await raw(trx, `INSERT INTO ${table} VALUES (?)`, [i === 1 ? 'taken' : id]);
        return id;
      }),
    ),
  );
  expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
  expect((await database.pg.query(`SELECT id FROM ${table} ORDER BY id`)).rows).toEqual([
    { id: 'late-0' },
    { id: 'late-2' },
    { id: 'taken' },
  ]);
});

test('copies have one effect, those that were given up have none, and a parked key is told, all in one group', async () => {
  const group = inbox.grouped({ size: 20, atOnce: 1 });
  await inbox.handle(request('was-done'), effect('was-done'));
  await inbox.markDead({ queue: 'q', source: 's', messageId: 'was-dead' });
  await inbox.parkKey('q', 'parked-key');
  const redriven = request('was-parked', { orderKey: 'parked-key', isRedriven: true });
  const all: [InboxRequest, string][] = [
    [request('copy'), 'copy'],
    [request('copy'), 'copy'],
    [request('was-done'), 'was-done'],
    [request('was-dead'), 'was-dead'],
    [request('parks', { orderKey: 'parked-key' }), 'parks'],
    [redriven, 'was-parked'],
    [request('plain', { orderKey: 'other-key' }), 'plain'],
    [request('was-dead', { isRedriven: true }), 'was-dead'],
    [request('copy', { key: { queue: 'q', source: 'other', messageId: 'copy' } }), 'copy'],
  ];
  const results = await Promise.all(all.map(([one, id]) => group.handle(one, effect(id))));
  expect(results.map(({ kind }) => kind)).toEqual([
    ...['handled', 'done', 'done', 'dead', 'parked', 'handled', 'handled', 'handled', 'handled'],
  ]);
  expect([await effects('copy'), await effects('was-done'), await effects('was-dead')]).toEqual([2, 1, 1]);
  expect([await effects('parks'), await effects('was-parked'), await effects('plain')]).toEqual([0, 1, 1]);
});

test('the same messages in two groups at once, in two orders, have one effect each and never a deadlock', async () => {
  const groups = [1, 2, 3].map(() => inbox.grouped({ size: 10, atOnce: 2 }));
  for (let round = 0; round < 10; round++) {
    const ids = names(`twice-${round}`, 10);
    const orders = [ids, [...ids].reverse(), [...ids.slice(5), ...ids.slice(0, 5)]];
    const results = await Promise.all(
      groups.flatMap((group, i) => (orders[i] ?? ids).map((id) => group.handle(request(id), effect(id)))),
    );
    expect(results.filter(({ kind }) => kind === 'handled')).toHaveLength(10);
    for (const id of ids) expect(await effects(id)).toBe(1);
  }
});

test('groups whose functions lock the same rows in two orders are told of no deadlock: each runs alone then', async () => {
  const account = database.table('account');
  await database.pg.query(`INSERT INTO ${account} VALUES ('left', 0), ('right', 0)`);
  const add = (row: string, before?: () => Promise<void>) => async (trx: unknown) => {
    await before?.();
    await raw(trx, `UPDATE ${account} SET total = total + 1 WHERE id = ?`, [row]);
  };
  const groups = [inbox.grouped({ size: 2, atOnce: 1 }), inbox.grouped({ size: 2, atOnce: 1 })];
  // Each second message begins when both groups hold their first row.
  const met = [deferred(), deferred()];
  const meet = (i: number) => () => {
    met[i]?.resolve();
    return Promise.all(met.map(({ promise }) => promise)).then(() => undefined);
  };
  const rows = ['left', 'right'];
  const results = await Promise.all(
    groups.flatMap((group, i) => [
      group.handle(request(`deadlock-${i}-a`), add(rows[i] as string)),
      group.handle(request(`deadlock-${i}-b`), add(rows[1 - i] as string, meet(i))),
    ]),
  );
  expect(results.map(({ kind }) => kind)).toEqual(['handled', 'handled', 'handled', 'handled']);
  const { rows: totals } = await database.pg.query(`SELECT id, total FROM ${account} ORDER BY id`);
  expect(totals).toEqual([
    { id: 'left', total: 2 },
    { id: 'right', total: 2 },
  ]);
});

test('one that is not ours any more when its turn comes is not run, and the others are', async () => {
  const group = inbox.grouped({ size: 3, atOnce: 1 });
  const lost = new AbortController();
  const reason = new DeliveryLostError('q');
  const ids = names('lost', 3);
  const results = await Promise.allSettled(
    ids.map((id, i) =>
      group.handle(
        request(id, i === 1 ? { signal: lost.signal } : {}),
        effect(id, i === 0 ? () => lost.abort(reason) : undefined),
      ),
    ),
  );
  expect(results).toEqual([
    { status: 'fulfilled', value: handled('lost-0') },
    { status: 'rejected', reason },
    { status: 'fulfilled', value: handled('lost-2') },
  ]);
  expect([await effects('lost-0'), await effects('lost-1'), await effects('lost-2')]).toEqual([1, 0, 1]);
});

test('a statement that fails because nobody awaited it is told to no other message', async () => {
  const group = inbox.grouped({ size: 5, atOnce: 1 });
  const forget = async (trx: unknown) => {
    raw(trx, 'SELECT 1 / 0').catch(() => undefined);
    return 'forgotten-0';
  };
  const wrapped = async (trx: unknown) => {
    const written = effect('forgotten-1')(trx);
    return written.catch(() => Promise.reject(new Error('it could not be saved')));
  };
  const ids = names('forgotten', 5);
  const works = [forget, wrapped, ...ids.slice(2).map((id) => effect(id))];
  const results = await Promise.allSettled(works.map((work, i) => group.handle(request(`forgotten-${i}`), work)));
  expect(results[0]).toMatchObject({ status: 'rejected', reason: { code: 'SVC_COMM_TRANSACTION_ABORTED' } });
  for (const [i, id] of ids.entries()) {
    if (i > 0) expect(results[i]).toEqual({ status: 'fulfilled', value: handled(id) });
    expect(await effects(id)).toBe(i === 0 ? 0 : 1);
  }
});

test('a statement that nobody awaited is told to no other message by a library that hides its connection either', async () => {
  const transactions = resolveTransactions(
    (work) => kysely.transaction().execute((trx) => work(trx)),
    database.pool,
    database.schema,
  );
  const group = new InboxStore({ transactions, schema: database.schema }).grouped({ size: 5, atOnce: 1 });
  const run = (trx: unknown, text: string) => sql.raw(text).execute(trx as Kysely<unknown>);
  const write = (id: string) => async (trx: unknown) => {
    await run(trx, `INSERT INTO ${database.table('effect')} VALUES ('${id}')`);
    return id;
  };
  const goOn = deferred();
  let forgotten: Promise<unknown> | undefined;
  const forget = async (trx: unknown) => {
    await write('hidden-0')(trx);
    forgotten ??= goOn.promise.then(() => run(trx, 'SELECT 1 / 0')).catch(() => undefined);
    return 'hidden-0';
  };
  const wrapped = async (trx: unknown) => {
    goOn.resolve();
    await forgotten;
    return write('hidden-1')(trx).catch(() => Promise.reject(new Error('it could not be saved')));
  };
  const ids = names('hidden', 5);
  const works = [forget, wrapped, ...ids.slice(2).map(write)];
  const results = await Promise.allSettled(works.map((work, i) => group.handle(request(`hidden-${i}`), work)));
  expect(results).toEqual(ids.map((id) => ({ status: 'fulfilled', value: handled(id) })));
  for (const id of ids) expect(await effects(id)).toBe(1);
});

test('one that commits what several share is told so, and the others are handled once', async () => {
  const group = inbox.grouped({ size: 4, atOnce: 1 });
  const ids = names('commits', 4);
  const work = (id: string, i: number) => (trx: unknown) =>
    effect(id, i === 1 ? () => raw(trx, 'COMMIT') : undefined)(trx);
  const results = await Promise.allSettled(ids.map((id, i) => group.handle(request(id), work(id, i))));
  for (const [i, id] of ids.entries()) {
    if (i === 1) expect(results[i]).toMatchObject({ status: 'rejected' });
    else expect(results[i]).toEqual({ status: 'fulfilled', value: handled(id) });
    expect(await effects(id)).toBe(i === 1 ? 0 : 1);
  }
});

test('a connection that was lost once fails nobody: each has its effect, once', async () => {
  const group = inbox.grouped({ size: 3, atOnce: 1 });
  let cuts = 0;
  const cut = (id: string) => async (trx: unknown) => {
    if (id === 'cut-1' && cuts++ === 0) await raw(trx, 'SELECT pg_terminate_backend(pg_backend_pid())');
    return effect(id)(trx);
  };
  const results = await Promise.all(names('cut', 3).map((id) => group.handle(request(id), cut(id))));
  expect(results).toEqual(names('cut', 3).map(handled));
  for (const id of names('cut', 3)) expect(await effects(id)).toBe(1);
});

test.each([
  {
    how: 'by what it runs',
    code: 'SVC_COMM_DATABASE_UNAVAILABLE',
    lose: (trx: unknown) => raw(trx, 'SELECT pg_terminate_backend(pg_backend_pid())'),
  },
  {
    how: 'by idling in the transaction',
    code: 'SVC_COMM_TRANSACTION_TIMEOUT',
    lose: async (trx: unknown) => {
      await raw(trx, 'SET LOCAL idle_in_transaction_session_timeout = 50');
      const pid = (await raw(trx, 'SELECT pg_backend_pid()::text AS pid')).rows[0].pid;
      const isThere = `SELECT count(*)::int AS n FROM pg_stat_activity WHERE pid = ${pid}`;
      await until(async () => (await database.pg.query(isThere)).rows[0].n === 0);
    },
  },
])(
  'one that loses its connection each time $how is told so alone; the others are handled',
  async ({ how, code, lose }) => {
    const group = inbox.grouped({ size: 4, atOnce: 1 });
    const ids = names(how, 4);
    const work = (id: string, i: number) => (trx: unknown) => effect(id, i === 1 ? () => lose(trx) : undefined)(trx);
    const results = await Promise.allSettled(ids.map((id, i) => group.handle(request(id), work(id, i))));
    for (const [i, id] of ids.entries()) {
      if (i === 1) expect(results[i]).toMatchObject({ reason: { code } });
      else expect(results[i]).toEqual({ status: 'fulfilled', value: handled(id) });
      expect(await effects(id)).toBe(i === 1 ? 0 : 1);
    }
  },
);

test('when the database has gone in the middle of a group, all are told so, and only one of them asks for it again', async () => {
  const transactions = resolveTransactions(knexTransactions(), database.pool);
  let asked = 0;
  const alone: Pick<InboxStore, 'handle'> = {
    handle: () => {
      asked += 1;
      return Promise.reject(new DatabaseUnavailableError('postgres://db', 'down'));
    },
  };
  const groups = { size: 3, atOnce: 1 };
  const group = new InboxGroups({ transactions, schema: database.schema, alone, groups });
  const cut = async (trx: unknown) => raw(trx, 'SELECT pg_terminate_backend(pg_backend_pid())');
  const results = await Promise.allSettled(names('gone', 3).map((id) => group.handle(request(id), cut)));
  for (const result of results) {
    expect(result).toMatchObject({ status: 'rejected', reason: { code: 'SVC_COMM_DATABASE_UNAVAILABLE' } });
  }
  expect(asked).toBe(1);
});

test('each function runs in the asynchronous context that its message came in', async () => {
  const correlation = new AsyncLocalStorage<string>();
  const group = inbox.grouped({ size: 8, atOnce: 1 });
  const seen = await Promise.all(
    names('context', 8).map((id) =>
      correlation.run(id, () =>
        group.handle(request(id), async () => {
          const before = correlation.getStore();
          await outbox.publishAggregateEvent({ aggregate: 'a', eventType: 'b', payload: id });
          return [before, correlation.getStore()];
        }),
      ),
    ),
  );
  expect(seen).toEqual(names('context', 8).map((id) => ({ kind: 'handled', value: [id, id] })));
});

test('what a function publishes after it has returned is refused, although the transaction is still open', async () => {
  const group = inbox.grouped({ size: 2, atOnce: 1 });
  let late: Promise<unknown> | undefined;
  const isSecondIn = deferred();
  const first = group.handle(request('outlived-0'), async () => {
    late = isSecondIn.promise.then(() =>
      outbox.publishAggregateEvent({ aggregate: 'a', eventType: 'b', payload: 1, key: 'outlived' }),
    );
    late.catch(() => undefined);
  });
  const second = group.handle(request('outlived-1'), async () => {
    isSecondIn.resolve();
    await expect(late).rejects.toMatchObject({ code: 'SVC_COMM_TRANSACTION_FINISHED' });
  });
  expect((await Promise.all([first, second])).map(({ kind }) => kind)).toEqual(['handled', 'handled']);
  expect(await database.count('svc_comm_outbox', "order_key = 'outlived'")).toBe(0);
});

test('two hundred messages with copies, throws and lost ones at random: an effect for each that is told handled, none else', async () => {
  let seed = 41;
  const random = () => {
    seed = (seed * 16_807) % 2_147_483_647;
    return seed / 2_147_483_647;
  };
  const groups = [inbox.grouped({ size: 7, atOnce: 2 }), inbox.grouped({ size: 16, atOnce: 1 })];
  const told = new Map<string, InboxResult<unknown>['kind'][]>();
  const one = async (): Promise<void> => {
    const id = `random-${Math.floor(random() * 120)}`;
    const group = groups[Math.floor(random() * groups.length)] ?? inbox;
    const dice = random();
    const lost = new AbortController();
    const then = dice < 0.15 ? fail(new Error('dice')) : dice < 0.2 ? () => lost.abort(new Error('lost')) : undefined;
    const isLost = dice > 0.95;
    if (isLost) lost.abort(new Error('lost'));
    const result = await group.handle(request(id, { signal: lost.signal }), effect(id, then)).catch(() => undefined);
    if (result) told.set(id, [...(told.get(id) ?? []), result.kind]);
  };
  await Promise.all(Array.from({ length: 200 }, one));
  for (const id of names('random', 120)) {
    const kinds = told.get(id) ?? [];
    expect(await effects(id), `${id}: ${kinds}`).toBe(kinds.filter((kind) => kind === 'handled').length);
    expect(kinds.filter((kind) => kind === 'handled').length).toBeLessThanOrEqual(1);
  }
});
