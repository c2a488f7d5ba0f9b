import type { Client } from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { connectDatabase } from '../../src/database/connection.ts';
import { DatabasePool } from '../../src/database/pool.ts';
import { knexTransactions, resolveTransactions, type Transactions } from '../../src/database/transactions.ts';
import { CommitAbortedError, DatabaseUnavailableError, NotRunningError } from '../../src/errors.ts';
import { silentLogger } from '../../src/lifecycle/logger.ts';
import { Outbox } from '../../src/outbox/outbox.ts';
import { deferred } from '../../src/util/deferred.ts';
import { incarnationLearned } from '../support/incarnation.ts';
import { TcpProxy } from '../support/tcp-proxy.ts';
import { type TestDatabase, testDatabase } from '../support/test-database.ts';

const SILENCE_MS = 400;

let database: TestDatabase;
let proxy: TcpProxy;
let pool: DatabasePool;
let transactions: Transactions;
let outbox: Outbox;

beforeAll(async () => {
  database = await testDatabase('silence');
});
afterAll(() => database.close());

beforeEach(async () => {
  proxy = await TcpProxy.to(database.url);
  pool = new DatabasePool({ url: proxy.url(database.url), max: 3, silenceMs: SILENCE_MS, connectTimeoutMs: 2_000 });
  await pool.start();
  transactions = resolveTransactions(knexTransactions(), pool, database.schema);
  outbox = new Outbox({ transactions, appId: 'orders', schema: database.schema });
  await incarnationLearned(transactions);
});
afterEach(async () => {
  proxy.heal();
  await pool.stop();
  await proxy.close();
});

/** What a client of pg drives its connection by; its types do not tell of all of it. */
interface Wire {
  query(text: string): void;
  parse(query: { readonly name: string; readonly text: string; readonly types: readonly number[] }): void;
  bind(config: object): void;
  execute(config: { readonly portal: string; readonly rows: number }): void;
  flush(): void;
  sync(): void;
  sendCopyFromChunk(rows: Buffer): void;
  endCopyFrom(): void;
}

const failureOf = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => undefined,
    (error: unknown) => error,
  );

/** From a COMMIT on, nothing passes on its connection any more, in this direction; none is closed. */
function silenceAtCommit(direction: 'request' | 'reply'): void {
  let isDue = true;
  const silent = new Set<() => void>();
  const keys: (() => void)[] = [];
  proxy.filterToClient = (cut) => {
    keys.push(cut);
    return (bytes) => {
      if (direction === 'reply' && isDue && bytes.includes('COMMIT\0')) {
        isDue = false;
        silent.add(cut);
      }
      return silent.has(cut) ? Buffer.alloc(0) : bytes;
    };
  };
  proxy.filterToServer = () => {
    const cut = keys.at(-1) ?? (() => undefined);
    return (bytes) => {
      if (direction === 'request' && isDue && /COMMIT;?\0/i.test(bytes.toString('latin1'))) {
        isDue = false;
        silent.add(cut);
      }
      return direction === 'request' && silent.has(cut) ? Buffer.alloc(0) : bytes;
    };
  };
}

/** New connections, which the filters are made for. */
const renew = async (): Promise<void> => {
  proxy.cut();
  await expect
    .poll(() =>
      pool.knex.raw('SELECT 1').then(
        () => true,
        () => false,
      ),
    )
    .toBe(true);
};

describe('a connection that falls silent at COMMIT, and is not closed, is given up, and what became of the COMMIT looked up', () => {
  const publish = (payload: object) =>
    transactions.runOwn(() => outbox.publishAggregateEvent({ aggregate: 'order', eventType: 'create.base', payload }));

  test('it took place: the transaction resolves', async () => {
    silenceAtCommit('reply');
    await renew();
    const { eventId } = await publish({ n: 1 });
    expect(await database.count('svc_comm_outbox', `message_id = '${eventId}'`)).toBe(1);
  });

  test('it did not: CommitAbortedError, and no row', async () => {
    silenceAtCommit('request');
    await renew();
    expect(await failureOf(publish({ n: 2 }))).toBeInstanceOf(CommitAbortedError);
    expect(await database.count('svc_comm_outbox', `body LIKE '%"n":2%'`)).toBe(0);
  });
});

test('a database that says nothing at all, on new connections either, fails what waits for it', async () => {
  const waiting = failureOf(
    transactions.runOwn(async (handle) => {
      const trx = handle as { raw(sql: string): Promise<unknown> };
      await trx.raw('SELECT 1');
      proxy.fallSilent();
      await trx.raw('SELECT 2');
    }),
  );
  expect(await waiting).toBeInstanceOf(DatabaseUnavailableError);
});

test('a database that takes new connections and says nothing is told of once, in our words', async () => {
  proxy.fallSilent();
  const url = proxy.url(database.url);
  const hasty = new DatabasePool({ url, busyTimeoutMs: 300, connectTimeoutMs: 2_000, wait: false });
  const failure = await failureOf(hasty.start());
  expect(failure).toBeInstanceOf(DatabaseUnavailableError);
  expect(failure).toMatchObject({
    message: expect.stringMatching(/^no connection to the database at \S+: no answer within \d+ ms; check/),
  });
  expect((failure as Error).cause).toBeUndefined();
});

test('what waits for a silent database fails whatever the logger does that is told of it', async () => {
  const warn = vi.fn(() => {
    throw new Error('no room left on the disk of the log');
  });
  const url = proxy.url(database.url);
  const logger = { ...silentLogger, warn };
  const logged = new DatabasePool({ url, max: 1, silenceMs: SILENCE_MS, connectTimeoutMs: 1_000, logger });
  await logged.start();
  onTestFinished(() => logged.stop());
  const client: Client = await logged.knex.client.acquireConnection();
  try {
    proxy.fallSilent();
    expect(await failureOf(client.query('SELECT 1'))).toMatchObject({ message: expect.any(String) });
  } finally {
    await logged.knex.client.releaseConnection(client);
  }
  expect(warn).toHaveBeenCalledOnce();
});

test('a statement that takes its time is left alone', async () => {
  await expect(pool.knex.raw(`SELECT pg_sleep(${(SILENCE_MS * 6) / 1000}), 7 AS n`)).resolves.toMatchObject({
    rows: [{ n: 7 }],
  });
});

test.each([
  [
    'whose address is not known just then, an embedded server that has stopped',
    () => {
      throw new NotRunningError('the embedded database', 'closed');
    },
  ],
  [
    'whose certificate cannot be read just then',
    (url: string) => `${url}?sslmode=verify-full&sslrootcert=/nowhere.pem`,
  ],
])('a statement of a database %s, is left alone', async (_, urlOf) => {
  let later: ((url: string) => string) | undefined;
  let asked = 0;
  const moving = new DatabasePool({
    url: () => {
      if (!later) return database.url;
      asked += 1;
      return later(database.url);
    },
    max: 1,
    silenceMs: SILENCE_MS,
  });
  await moving.start();
  onTestFinished(() => moving.stop());
  const client: Client = await moving.knex.client.acquireConnection();
  try {
    later = urlOf;
    await expect(client.query(`SELECT pg_sleep(${(SILENCE_MS * 6) / 1000}), 7 AS n`)).resolves.toMatchObject({
      rows: [{ n: 7 }],
    });
  } finally {
    await moving.knex.client.releaseConnection(client);
  }
  expect(asked).toBeGreaterThan(1);
});

describe('a statement that waits for its client is left alone, as long as that takes for', () => {
  const PAUSE_MS = SILENCE_MS * 6;

  /** What pg-query-stream and pg-copy-streams are, as far as it matters here: a statement that stops in its middle. */
  class Halting {
    readonly done = deferred();
    rows = 0;
    readonly #begin: (wire: Wire) => void;
    readonly #goOn: (wire: Wire) => void;

    constructor(begin: (wire: Wire) => void, goOn: (wire: Wire) => void) {
      this.#begin = begin;
      this.#goOn = goOn;
    }

    submit(wire: unknown): void {
      this.#begin(wire as Wire);
    }

    #halt(wire: Wire): void {
      setTimeout(() => this.#goOn(wire), PAUSE_MS);
    }

    handleCopyInResponse(wire: Wire): void {
      this.#halt(wire);
    }

    handlePortalSuspended(wire: Wire): void {
      this.#halt(wire);
    }

    handleDataRow(): void {
      this.rows += 1;
    }

    handleRowDescription(): void {}

    handleCommandComplete(): void {}

    handleReadyForQuery(): void {
      this.done.resolve();
    }

    handleError(error: Error): void {
      this.done.reject(error);
    }
  }

  async function submit(halting: Halting): Promise<void> {
    const client: Client = await pool.knex.client.acquireConnection();
    try {
      client.query(halting);
      await halting.done.promise;
    } finally {
      await pool.knex.client.releaseConnection(client);
    }
  }

  test('the next rows of a COPY', async () => {
    const copy = new Halting(
      (wire) => wire.query(`COPY ${database.table('effect')} FROM STDIN`),
      (wire) => {
        wire.sendCopyFromChunk(Buffer.from('copied\n'));
        wire.endCopyFrom();
      },
    );
    await submit(copy);
    expect(await database.count('effect', "id = 'copied'")).toBe(1);
  });

  test('being asked for more rows of a cursor', async () => {
    const cursor = new Halting(
      (wire) => {
        wire.parse({ name: '', text: 'SELECT generate_series(1, 3)', types: [] });
        wire.bind({});
        wire.execute({ portal: '', rows: 2 });
        wire.flush();
      },
      (wire) => {
        wire.execute({ portal: '', rows: 2 });
        wire.sync();
      },
    );
    await submit(cursor);
    expect(cursor.rows).toBe(3);
  });
});

test('behind a pooler, whose process ids are its own, a statement that takes its time is left alone', async () => {
  proxy.filterToClient = () => (bytes) => {
    const at = bytes.indexOf(Buffer.from('K\0\0\0\x0c', 'latin1'));
    if (at >= 0) bytes.writeInt32BE(1, at + 5);
    return bytes;
  };
  await renew();
  await expect(pool.knex.raw(`SELECT pg_sleep(${(SILENCE_MS * 6) / 1000}), 7 AS n`)).resolves.toMatchObject({
    rows: [{ n: 7 }],
  });
});

test('a connection whose server falls silent right behind its greeting is given up within the time to connect', async () => {
  proxy.filterToServer = () => (bytes) => (bytes.includes('pg_backend_pid') ? Buffer.alloc(0) : bytes);
  const connecting = connectDatabase({ url: proxy.url(database.url), connectTimeoutMs: SILENCE_MS });
  expect(await failureOf(connecting)).toMatchObject({
    code: 'SVC_COMM_DATABASE_UNAVAILABLE',
    message: expect.stringContaining(`no answer within ${SILENCE_MS} ms`),
  });
});
