import { once } from 'node:events';
import { DatabaseUnavailableError, TransactionAbortedError, TransactionFinishedError } from '../errors.ts';
import { isTimeLimit, toDatabaseError } from './database-error.ts';
import type { TransactionExecutor, TransactionStatus } from './executor.ts';

/** What we need of `pg.Client`; knex, drizzle, typeorm and sequelize keep one in their transactions. */
export interface PgClient {
  /** False while a statement runs: what is queued then may follow a COMMIT. */
  readonly readyForQuery: boolean;
  query(config: { text: string; values: unknown[]; name?: string }): Promise<{ rows: unknown[] }>;
  /** `I` outside a transaction, `T` in one, `E` in a failed one; as of the last statement that ended. */
  getTransactionStatus(): string | null;
  on(event: string, listener: () => void): unknown;
  listeners(event: string): readonly unknown[];
  /** What the server says, message by message. */
  readonly connection?: {
    on(event: 'readyForQuery', listener: (message: { readonly status: string }) => void): unknown;
    on(event: 'commandComplete', listener: (message: { readonly text: string }) => void): unknown;
    on(event: 'errorMessage', listener: (message: { readonly code?: string | undefined }) => void): unknown;
  };
}

export const isPgClient = (value: unknown): value is PgClient => {
  const client = value as Partial<PgClient> | null | undefined;
  return (
    typeof client?.query === 'function' &&
    typeof client.getTransactionStatus === 'function' &&
    typeof client.readyForQuery === 'boolean'
  );
};

export interface PgClientExecutorOptions {
  readonly library: string;
  readonly client: PgClient;
  /** Whether the library still holds this client for this transaction. */
  readonly isLive: () => boolean;
  /** Whether `isLive` is false from the moment in which COMMIT or ROLLBACK is sent, not only from its answer. */
  readonly knowsItsEnd: boolean;
  /** Whether statements with a name are prepared. */
  readonly prepare: boolean;
}

/**
 * Writes straight to the transaction's `pg.Client`: past the library's own result mapping, and in the same turn of the
 * event loop in which it was seen that no COMMIT is under way, so that none can overtake.
 */
export class PgClientExecutor implements TransactionExecutor {
  readonly library: string;
  readonly #options: PgClientExecutorOptions;
  readonly #ends: Ends;
  readonly #endsBefore: number;
  readonly #rollbacksBefore: number;

  constructor(options: PgClientExecutorOptions) {
    this.library = options.library;
    this.#options = options;
    this.#ends = endsOn(options.client);
    this.#endsBefore = this.#ends.count;
    this.#rollbacksBefore = this.#ends.rollbacks;
  }

  readonly isGuarded = false;

  status(): TransactionStatus {
    const { client, isLive } = this.#options;
    if (isDead(client)) return 'lost';
    // Behind a COMMIT of somebody's own there may be a new BEGIN: that is not the transaction that this is for.
    if (!isLive() || this.#ends.count !== this.#endsBefore) return 'ended';
    if (!client.readyForQuery) return 'unknown';
    switch (client.getTransactionStatus()) {
      case 'T':
        return this.#ends.rollbacks === this.#rollbacksBefore ? 'open' : 'unknown';
      case 'E':
        return 'failed';
      default:
        return 'ended';
    }
  }

  get timeLimit(): unknown {
    return this.#ends.timeLimit;
  }

  async query<Row extends object>(sql: string, params: readonly (string | null)[], name?: string): Promise<Row[]> {
    const { client, prepare, knowsItsEnd } = this.#options;
    // No await between the last look and the statement: a COMMIT would slip in.
    while (!knowsItsEnd && !client.readyForQuery && !isDead(client)) await settled(client);
    const status = this.status();
    if (status === 'lost') throw new DatabaseUnavailableError('', 'the connection of the transaction was lost');
    if (status === 'ended') throw new TransactionFinishedError();
    // Undoing a savepoint is the one thing that a failed transaction still takes.
    if (status === 'failed' && !sql.startsWith('ROLLBACK TO')) throw new TransactionAbortedError();
    const statement = { text: sql, values: [...params] };
    try {
      const { rows } = await client.query(prepare && name !== undefined ? { ...statement, name } : statement);
      return rows as Row[];
    } catch (error) {
      throw toDatabaseError(error);
    }
  }

  write<Row extends object>(sql: string, params: readonly (string | null)[], _rows: number, name?: string) {
    return this.query<Row>(sql, [...params, null], name);
  }
}

interface Ends {
  count: number;
  /** Of a savepoint, or ROLLBACK AND CHAIN: the server says the same of both, and whoever asks it finds out. */
  rollbacks: number;
  /** PostgreSQL says it between two statements, to nobody's: what comes behind it only hears that the connection is gone. */
  timeLimit?: unknown;
}

const ends = new WeakMap<PgClient, Ends>();

/** Ends of transactions on a connection, from the first question on. */
function endsOn(client: PgClient): Ends {
  const known = ends.get(client);
  if (known) return known;
  const counted: Ends = { count: 0, rollbacks: 0 };
  ends.set(client, counted);
  client.connection?.on('readyForQuery', ({ status }) => {
    if (status === 'I') counted.count += 1;
  });
  client.connection?.on('commandComplete', ({ text }) => {
    if (text === 'COMMIT') counted.count += 1;
    if (text === 'ROLLBACK') counted.rollbacks += 1;
  });
  client.connection?.on('errorMessage', (message) => {
    if (isTimeLimit(message)) counted.timeLimit = message;
  });
  return counted;
}

const settling = new WeakMap<PgClient, Promise<void>>();

/** The statements that the user has queued are done, or the connection is. One of them may have been a COMMIT. */
function settled(client: PgClient): Promise<void> {
  const known = settling.get(client);
  if (known) return known;
  const abort = new AbortController();
  const emitter = client as unknown as NodeJS.EventEmitter;
  const next = (event: string) => once(emitter, event, { signal: abort.signal }).catch(() => undefined);
  const done = Promise.race([next('drain'), next('end')]).then(() => {
    abort.abort();
    settling.delete(client);
  });
  settling.set(client, done);
  return done;
}

function isDead(client: PgClient & { _ended?: unknown; _queryable?: unknown }): boolean {
  return client._ended === true || client._queryable === false;
}
