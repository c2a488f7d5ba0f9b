import pg from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { InboxStore } from '../../src/database/inbox-store.ts';
import { DatabasePool } from '../../src/database/pool.ts';
import {
  type KnexTransaction,
  knexTransactions,
  resolveTransactions,
  Transactions,
} from '../../src/database/transactions.ts';
import { CommitAbortedError, CommitUnknownError } from '../../src/errors.ts';
import { Outbox } from '../../src/outbox/outbox.ts';
import { deferred } from '../../src/util/deferred.ts';
import { ConsumerKit, until } from '../support/consumer-kit.ts';
import { incarnationLearned } from '../support/incarnation.ts';
import { TcpProxy } from '../support/tcp-proxy.ts';
import { type TestDatabase, testDatabase } from '../support/test-database.ts';

// Each loss makes a new connection: a busy machine needs its time.

/** What happens to the next COMMITs: `request` never reaches the server, `reply` never the client; both end the connection. */
type Loss = 'none' | 'request' | 'reply';

let database: TestDatabase;
let proxy: TcpProxy;
let pool: DatabasePool;
let transactions: Transactions;
let outbox: Outbox;
/** For each COMMIT in turn, as it comes by. */
let losses: () => Loss = () => 'none';
const lost = { request: 0, reply: 0 };

beforeAll(async () => {
  database = await testDatabase('commit_lost');
  proxy = await TcpProxy.to(database.url);
  // The fate of a COMMIT is drawn when it is sent; its connection keeps it for the answer.
  const fates = new Map<() => void, Loss>();
  let last: (() => void) | undefined;
  proxy.filterToClient = (cut) => {
    const key = cut;
    last = key;
    return (bytes) => {
      if (fates.get(key) !== 'reply' || !bytes.includes('COMMIT\0')) return bytes;
      lost.reply += 1;
      cut();
      return Buffer.alloc(0);
    };
  };
  proxy.filterToServer = (cut) => {
    const key = last ?? cut;
    return (bytes) => {
      if (!/COMMIT;?\0/i.test(bytes.toString('latin1'))) return bytes;
      const loss = losses();
      fates.set(key, loss);
      if (loss !== 'request') return bytes;
      lost.request += 1;
      cut();
      return Buffer.alloc(0);
    };
  };
  const url = proxy.url(database.url);
  pool = new DatabasePool({ url, max: 8, applicationName: `${database.schema} lost` });
  await pool.start();
  transactions = resolveTransactions(knexTransactions(), pool, database.schema);
  outbox = new Outbox({ transactions, appId: 'orders', schema: database.schema });
  await incarnationLearned(transactions);
});
afterEach(() => {
  losses = () => 'none';
  proxy.keepsUpstream = false;
});
afterAll(async () => {
  await pool.stop();
  await proxy.close();
  await database.close();
});

/** Draws of three: none, the request, the reply; each question afterwards gets through. */
function byTurns(): () => Loss {
  let n = 0;
  return () => {
    n += 1;
    return (['none', 'request', 'none', 'reply', 'none'] as const)[n % 5] ?? 'none';
  };
}

const insert = (trx: unknown, id: string) =>
  (trx as KnexTransaction).raw(`INSERT INTO ${database.table('effect')} VALUES (?)`, [id]);

async function outcomeOf(run: Promise<unknown>): Promise<'committed' | 'aborted' | 'unknown'> {
  try {
    await run;
    return 'committed';
  } catch (error) {
    if (error instanceof CommitAbortedError) return 'aborted';
    if (error instanceof CommitUnknownError) return 'unknown';
    throw error;
  }
}

const COUNT = 200;

describe('a COMMIT whose answer is lost', () => {
  it.each([
    ['with an event', true],
    ['without one', false],
  ])('is resolved to what became of it, 200 times, %s', async (what, hasEvent) => {
    const before = { ...lost };
    losses = byTurns();
    const outcomes = new Map<string, string>();
    let next = 0;
    const worker = async () => {
      while (next < COUNT) {
        const id = `${what} ${next++}`;
        const run = transactions.runOwn(async (trx) => {
          await insert(trx, id);
          if (hasEvent) await outbox.publishAggregateEvent({ aggregate: 'a', eventType: id, payload: {} });
        });
        outcomes.set(id, await outcomeOf(run));
      }
    };
    await Promise.all([worker(), worker(), worker(), worker()]);
    losses = () => 'none';
    const { rows } = await database.pg.query(`SELECT id FROM ${database.table('effect')}`);
    const written = new Set(rows.map(({ id }) => id));
    const outboxed = await database.pg.query(
      `SELECT routing_key AS id, count(*)::int AS n FROM ${database.table('svc_comm_outbox')} GROUP BY 1`,
    );
    const events = new Map(outboxed.rows.map(({ id, n }) => [id, n]));
    const tally = { committed: 0, aborted: 0, unknown: 0 };
    for (const [id, outcome] of outcomes) {
      tally[outcome as keyof typeof tally] += 1;
      expect(`${id}: ${written.has(id)}`).toBe(`${id}: ${outcome === 'committed'}`);
      if (hasEvent) expect(`${id}: ${events.get(id) ?? 0}`).toBe(`${id}: ${outcome === 'committed' ? 1 : 0}`);
    }
    console.info(`${lost.request - before.request} requests and ${lost.reply - before.reply} replies lost:`, tally);
    expect(tally.unknown).toBe(0);
    expect(lost.reply - before.reply).toBeGreaterThan(COUNT / 10);
    expect(tally.aborted).toBeGreaterThan(COUNT / 10);
  });

  it("is resolved for transactions that the user's own library opens", async () => {
    const theirs = new pg.Pool({ connectionString: proxy.url(database.url), max: 4 });
    theirs.on('error', () => undefined);
    const own = new Transactions({
      schema: database.schema,
      open: async (work) => {
        const client = await theirs.connect();
        client.on('error', () => undefined);
        try {
          await client.query('BEGIN');
          const value = await work(client);
          await client.query('COMMIT');
          client.release();
          return value;
        } catch (error) {
          client.release(true);
          throw error;
        }
      },
    });
    await incarnationLearned(own);
    losses = byTurns();
    const seen: string[] = [];
    for (let n = 0; n < 40; n += 1) {
      const run = own.runOwn(async (client) => {
        await (client as pg.PoolClient).query(`INSERT INTO ${database.table('effect')} VALUES ($1)`, [`theirs ${n}`]);
      });
      const outcome = await outcomeOf(run);
      seen.push(outcome);
      expect(await database.count('effect', `id = 'theirs ${n}'`)).toBe(outcome === 'committed' ? 1 : 0);
    }
    losses = () => 'none';
    expect(new Set(seen)).toEqual(new Set(['committed', 'aborted']));
    await theirs.end();
  });

  it('is ended when the server did not hear that its client has gone, and then known as rolled back', async () => {
    proxy.keepsUpstream = true;
    let isFirst = true;
    losses = () => {
      const loss = isFirst ? 'request' : 'none';
      isFirst = false;
      return loss;
    };
    expect(await outcomeOf(transactions.runOwn((trx) => insert(trx, 'orphan')))).toBe('aborted');
    expect(await database.count('effect', "id = 'orphan'")).toBe(0);
  });

  it('stays unknown, and says how to ask, when the server has crashed since: it may have given the id again', async () => {
    let isFirst = true;
    losses = () => {
      const loss = isFirst ? 'reply' : 'none';
      isFirst = false;
      return loss;
    };
    // What a crash and a promotion leave of an unlogged table.
    await database.pg.query(`TRUNCATE ${database.table('svc_comm_incarnation')}`);
    const error = await transactions
      .runOwn((trx) => insert(trx, 'crashed'))
      .then(
        () => undefined,
        (thrown: unknown) => thrown,
      );
    expect(error).toMatchObject({ code: 'SVC_COMM_COMMIT_UNKNOWN', transactionId: expect.stringMatching(/^\d+$/) });
    losses = byTurns();
    expect(await outcomeOf(transactions.runOwn((trx) => insert(trx, 'after the crash')))).not.toBe('unknown');
  });

  it('stays unknown for each of those that a crash met, also when the first has learned of it', async () => {
    losses = () => 'none';
    await incarnationLearned(transactions);
    let next: Loss = 'none';
    losses = () => {
      const loss = next;
      next = 'none';
      return loss;
    };
    const crashed = deferred<void>();
    const learned = deferred<void>();
    const second = outcomeOf(
      transactions.runOwn(async (trx) => {
        await insert(trx, 'crashed second');
        crashed.resolve();
        await learned.promise;
        next = 'reply';
      }),
    );
    await crashed.promise;
    // What a crash leaves of an unlogged table.
    await database.pg.query(`TRUNCATE ${database.table('svc_comm_incarnation')}`);
    const first = await outcomeOf(
      transactions.runOwn(async (trx) => {
        await insert(trx, 'crashed first');
        next = 'reply';
      }),
    );
    learned.resolve();
    expect([first, await second]).toEqual(['unknown', 'unknown']);
    losses = byTurns();
  });

  it('is nothing to a transaction that has written nothing', async () => {
    let isFirst = true;
    losses = () => {
      const loss = isFirst ? 'request' : 'none';
      isFirst = false;
      return loss;
    };
    expect(
      await transactions.runOwn(async (trx) => (await (trx as KnexTransaction).raw('SELECT 7 AS n')).rows[0].n),
    ).toBe(7);
  });
});

it('consumers have each effect once though the answers of their COMMITs are lost', async () => {
  const kit = await ConsumerKit.create();
  try {
    const inbox = new InboxStore({ transactions, schema: database.schema });
    kit.router.consumer(
      kit.exchange,
      'once',
    )(async (_key, body, context) => {
      await insert(context.transaction, `once ${(body as { n: number }).n}`);
    });
    losses = byTurns();
    const consumer = await kit.start({ parts: { inbox }, options: { concurrency: 8 } });
    for (let n = 0; n < 60; n += 1) kit.send('once', { n });
    await until(() => consumer.stats.handled + consumer.stats.duplicates === 60, 60_000);
    losses = () => 'none';
    const { rows } = await database.pg.query(
      `SELECT id, count(*)::int AS n FROM ${database.table('effect')} WHERE id LIKE 'once %' GROUP BY id`,
    );
    expect(rows).toHaveLength(60);
    expect(rows.filter(({ n }) => n !== 1)).toEqual([]);
    expect(await kit.count(kit.dead)).toBe(0);
    await consumer.stop();
  } finally {
    await kit.remove();
  }
});
