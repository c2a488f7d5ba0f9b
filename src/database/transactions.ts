import { AsyncLocalStorage } from 'node:async_hooks';
import type { Knex } from 'knex';
import {
  CommitAbortedError,
  CommitUnknownError,
  DatabaseAccessRefusedError,
  DatabaseUnavailableError,
  InvalidArgumentError,
  SvcCommError,
  TransactionEndedInsideError,
  TransactionFinishedError,
} from '../errors.ts';
import type { Logger } from '../lifecycle/logger.ts';
import { CommitFate } from './commit-fate.ts';
import { CommitGuard } from './commit-guard.ts';
import {
  errorText,
  isAccessRefused,
  isConnectionError,
  isReadOnly,
  toDatabaseError,
  unavailable,
} from './database-error.ts';
import type { SqlExecutor } from './executor.ts';
import { isOurs } from './outage-of-handler.ts';
import type { DatabasePool } from './pool.ts';
import { recogniseTransaction } from './recognise-transaction.ts';
import { sessionIsReadOnly } from './sql/session-is-read-only.ts';
import type { TransactionHolders } from './transaction-holders.ts';
import { type AmbientTransaction, type SavepointWatch, TransactionScope } from './transaction-scope.ts';

/**
 * Any library's callback form: opens a transaction, runs `work` with its handle, commits when `work` resolves, rolls
 * back and rejects when it rejects. Its promise resolves after the commit: `(work) => prisma.$transaction((tx) => work(tx))`.
 */
export type OpenTransaction = <T>(work: (handle: unknown) => Promise<T>) => Promise<T>;

export interface TransactionsOptions {
  readonly open: OpenTransaction;
  /** Whether frequent statements are prepared by name. @default false: another's connection may go through a pooler */
  readonly prepare?: boolean;
  /** Named in warnings about held connections. */
  readonly holders?: TransactionHolders;
  /** Called when the database was asked, and refuses writes. @default nothing */
  readonly onReadOnly?: () => void;
  /** Masked, for errors. @default '': that of a library of the user's */
  readonly url?: string;
  /**
   * Where our tables are: with them it can be told what became of a COMMIT whose answer was lost.
   * @default none: CommitUnknownError instead
   */
  readonly schema?: string | undefined;
  /** Told of a savepoint that waits for its turn for `savepointWaitMs`. @default nobody */
  readonly logger?: Logger | undefined;
  /** @default 10_000 */
  readonly savepointWaitMs?: number;
}

const SAVEPOINT_WAIT_MS = 10_000;

export interface RunOptions {
  /** Named in warnings about held connections. @default 'transaction()' */
  readonly name?: string;
}

/** Runs one part of a transaction; it may be called in any asynchronous context. */
export type RunPart = <T>(work: (handle: unknown) => Promise<T>) => Promise<T>;

/** How the work of one transaction ended, whatever became of its COMMIT. */
type Outcome<T> =
  | { readonly kind: 'running' }
  | { readonly kind: 'done'; readonly value: T }
  | { readonly kind: 'failed'; readonly error: unknown; readonly isUsers: boolean }
  /** The transaction was over before the work was. */
  | { readonly kind: 'ended inside'; readonly error: unknown };

/** A function, not a comparison: the compiler takes what a callback assigns for what it was before. */
const isDone = ({ kind }: Outcome<unknown>): boolean => kind === 'done';
const wasEndedInside = ({ kind }: Outcome<unknown>): boolean => kind === 'ended inside';

async function settled<T>(run: () => Promise<T>): Promise<PromiseSettledResult<T>> {
  const [result] = await Promise.allSettled([(async () => run())()]);
  return result;
}

/** Opens transactions and knows which one the running code is in. */
export class Transactions {
  readonly #options: TransactionsOptions;
  readonly #fate: CommitFate | undefined;
  readonly #ambient = new AsyncLocalStorage<TransactionScope>();
  #refusedAtMs = Number.NEGATIVE_INFINITY;

  constructor(options: TransactionsOptions) {
    if (typeof options.open !== 'function') {
      throw new InvalidArgumentError(
        'transactions',
        'knexTransactions() or a function that opens one',
        typeof options.open,
      );
    }
    this.#options = options;
    const { schema } = options;
    const onStandby = () => this.#leaveServer();
    const onFresh = <T>(work: (executor: SqlExecutor) => Promise<T>) => this.#onFresh(work);
    this.#fate = schema === undefined ? undefined : new CommitFate({ schema, onFresh, onStandby });
  }

  /**
   * The transaction that the running code is in, undefined outside of one.
   * @throws TransactionFinishedError (SVC_COMM_TRANSACTION_FINISHED) in code that outlived its transaction: somebody
   *   did not await it
   */
  current(): AmbientTransaction | undefined {
    const scope = this.#ambient.getStore();
    if (scope?.isFinished) throw new TransactionFinishedError();
    return scope;
  }

  /** Whether the running code is in a transaction that has not ended. */
  get isInside(): boolean {
    return this.#ambient.getStore()?.isFinished === false;
  }

  /** Whether this is the handle of the transaction that the running code is in. */
  isAmbient(handle: unknown): boolean {
    const scope = this.#ambient.getStore();
    return scope !== undefined && !scope.isFinished && scope.handle === handle;
  }

  /**
   * Runs `work` in a transaction, ambient for all that it calls and awaits, and commits. Inside another one it is a
   * savepoint of it: a throw undoes only what this one wrote and published.
   * @returns what `work` resolved to, after the commit
   * @throws what `work` throws, after the rollback
   * @throws DatabaseUnavailableError (SVC_COMM_DATABASE_UNAVAILABLE) when the connection was refused, or lost before
   *   COMMIT, or its server takes no writes: nothing was written
   * @throws TransactionTimeoutError (SVC_COMM_TRANSACTION_TIMEOUT) when PostgreSQL ended it by a time limit: nothing was written
   * @throws CommitAbortedError (SVC_COMM_COMMIT_ABORTED) when it was lost at COMMIT, which did not take place. When it
   *   did, this resolves as ever.
   * @throws CommitUnknownError (SVC_COMM_COMMIT_UNKNOWN) when PostgreSQL could not be asked in time
   * @throws TransactionEndedInsideError (SVC_COMM_TRANSACTION_ENDED_INSIDE) when it was over before `work` was
   */
  run<T>(work: (handle: unknown) => Promise<T>, options: RunOptions = {}): Promise<T> {
    const outer = this.#ambient.getStore();
    if (!outer || outer.isFinished) return this.runOwn(work, options);
    return outer.nest((child) => this.#ambient.run(child, () => work(child.handle)));
  }

  /**
   * Opens one transaction for several parts, each ambient for itself: `work` runs them one after the other. When one
   * fails, so has the whole, whatever `work` makes of it. A part that ends the transaction by itself commits nothing.
   */
  async runParts<T>(work: (whole: AmbientTransaction, part: RunPart) => Promise<T>, options: RunOptions): Promise<T> {
    let running: Promise<T> | undefined;
    const guarded = async (handle: unknown): Promise<T> => {
      const whole = this.#ambient.getStore();
      if (!whole) throw new Error('a transaction is not ambient in its own work');
      const guard = await CommitGuard.begin(whole.executor);
      const value = await work(whole, (one) =>
        whole.part(
          (child) => this.#ambient.run(child, () => one(handle)),
          () => guard.assertOpen(),
        ),
      );
      await guard.end();
      return value;
    };
    try {
      return await this.runOwn((handle) => {
        running = guarded(handle);
        return running;
      }, options);
    } finally {
      // A library's promise ends with its transaction, if a part has ended that, and not with the work.
      await running?.catch(() => undefined);
    }
  }

  /** The same in a transaction of its own, also inside another one. */
  async runOwn<T>(work: (handle: unknown) => Promise<T>, { name = 'transaction()' }: RunOptions = {}): Promise<T> {
    let outcome: Outcome<T> = { kind: 'running' };
    let leave: (() => void) | undefined;
    let xid: string | null | undefined;
    let scope: TransactionScope | undefined;
    let running: Promise<T> | undefined;
    const inTransaction = async (handle: unknown): Promise<T> => {
      leave ??= this.#options.holders?.enter(name);
      outcome = { kind: 'running' };
      const own = await this.#scope(handle, name);
      scope = own;
      let isWorking = true;
      try {
        const value = await this.#ambient.run(own, () => work(handle));
        isWorking = false;
        await own.complete();
        xid = own.xid;
        outcome = { kind: 'done', value };
        return value;
      } catch (error) {
        const status = own.executor.status();
        const isEnded = status === 'ended' || (!isWorking && error instanceof TransactionFinishedError);
        const isLost = status === 'lost' && isConnectionError(error);
        outcome = isEnded ? { kind: 'ended inside', error } : { kind: 'failed', error, isUsers: isWorking && !isLost };
        throw error;
      } finally {
        own.end();
      }
    };
    const life = this.#fate?.life();
    try {
      const opened = await settled(() =>
        this.#options.open((handle) => {
          running = inTransaction(handle);
          return running;
        }),
      );
      // A library's promise ends with its transaction, if the work has ended that, and not with the work.
      if (scope?.executor.status() === 'ended') await running?.catch(() => undefined);
      if (wasEndedInside(outcome)) {
        leave?.();
        leave = undefined;
        throw await this.#endedInside(scope?.xid, life, outcome);
      }
      if (opened.status === 'fulfilled') return this.#value(outcome);
      const { reason: error } = opened;
      const limit = scope?.executor.timeLimit;
      if (!isDone(outcome) && limit !== undefined) throw this.#timedOut(limit, outcome);
      if (!isDone(outcome) || !isConnectionError(error)) throw this.#failure(error, outcome);
      leave?.();
      leave = undefined;
      await this.#assertCommitted(xid, life, error);
      return this.#value(outcome);
    } finally {
      leave?.();
    }
  }

  /** The answer of COMMIT was lost. Nothing was to be committed by a transaction without an id. */
  async #assertCommitted(xid: string | null | undefined, life: string | undefined, error: unknown): Promise<void> {
    if (xid === null) return;
    const fate = xid === undefined ? 'unknown' : await this.#fate?.of(xid, life);
    if (fate === 'committed') return;
    if (fate === 'aborted' && xid !== undefined) throw new CommitAbortedError(xid, { cause: error });
    throw new CommitUnknownError(xid, { cause: error });
  }

  /** By its library, whose time for it was over, it is rolled back; by a handler it may be committed. */
  async #endedInside(
    xid: string | null | undefined,
    life: string | undefined,
    outcome: Outcome<unknown>,
  ): Promise<TransactionEndedInsideError> {
    const fate = xid == null ? undefined : await this.#fate?.of(xid, life);
    const cause = 'error' in outcome ? outcome.error : undefined;
    return new TransactionEndedInsideError(fate ?? 'unknown', { cause });
  }

  /** When it was last seen that the database refuses what any transaction writes, by the monotonic clock, in ms. */
  get refusedAtMs(): number {
    return this.#refusedAtMs;
  }

  /** Whether the database refuses what a transaction writes that begins now. */
  async refusesWrites(): Promise<boolean> {
    const refuses = await this.#onFresh(sessionIsReadOnly);
    if (refuses) this.#leaveServer();
    return refuses;
  }

  #leaveServer(): void {
    this.#refusedAtMs = performance.now();
    this.#options.onReadOnly?.();
  }

  /** A question to the database, in a transaction of its own with nothing ambient. */
  async #onFresh<T>(work: (executor: SqlExecutor) => Promise<T>): Promise<T> {
    return this.#options.open(async (handle) => work(await recogniseTransaction(handle, { prepare: false })));
  }

  async #scope(handle: unknown, name: string): Promise<TransactionScope> {
    const { prepare = false } = this.#options;
    return new TransactionScope(handle, await recogniseTransaction(handle, { prepare }), this.#savepointWatch(name));
  }

  #savepointWatch(transaction: string): SavepointWatch | undefined {
    const { logger, savepointWaitMs: afterMs = SAVEPOINT_WAIT_MS } = this.#options;
    if (!logger) return undefined;
    const onLongWait = () =>
      logger.warn(
        { transaction, waitedMs: afterMs },
        'a nested transaction() waits for one that was opened before it and has not ended: they run one after the ' +
          'other, and when the earlier awaits the later neither ever ends; await each before you open the next',
      );
    return { afterMs, onLongWait };
  }

  /** The opener's word is not enough: one that swallows a failure, or does not wait, must not look like a commit. */
  #value<T>(outcome: Outcome<T>): T {
    if (outcome.kind === 'done') return outcome.value;
    if (outcome.kind === 'failed') throw this.#failure(outcome.error, outcome);
    throw new InvalidArgumentError(
      'transactions',
      'a function whose promise resolves after the commit',
      'one that resolved before its work was done: return the promise of your library, and end the transaction by ' +
        'returning or throwing, not by a commit or rollback of its handle',
    );
  }

  /** The rollback has failed as well, and of libraries that is what is heard. What the work has decided stands. */
  #timedOut(limit: unknown, outcome: Outcome<unknown>): unknown {
    if (outcome.kind !== 'failed' || !outcome.isUsers) return toDatabaseError(limit);
    const { error } = outcome;
    // Only that it is over, not why.
    const isSymptom = isConnectionError(error) || error instanceof TransactionFinishedError;
    return isSymptom ? toDatabaseError(limit) : error;
  }

  #failure(error: unknown, outcome: Outcome<unknown>): unknown {
    const failure = this.#failureOf(error, outcome);
    if (failure instanceof DatabaseUnavailableError && failure.outage === 'read-only') {
      this.#refusedAtMs = performance.now();
    }
    return failure;
  }

  /** What the work threw stays as it is; what opening, committing or rolling back threw is about the database. */
  #failureOf(error: unknown, outcome: Outcome<unknown>): unknown {
    if (outcome.kind === 'failed' && outcome.isUsers && error === outcome.error) return error;
    const { url = '' } = this.#options;
    // Of a transaction that never began: what one of its statements may not do says 42501 as well.
    if (outcome.kind === 'running' && !(error instanceof SvcCommError) && isAccessRefused(error)) {
      return new DatabaseAccessRefusedError(url, errorText(error), { cause: error });
    }
    // Ours would have come as one of ours: the work has made its transaction READ ONLY.
    if (outcome.kind === 'failed' && isReadOnly(error) && !isOurs(error)) return error;
    return isConnectionError(error) ? unavailable(url, error) : toDatabaseError(error);
  }
}

/** Value of the `transactions` setting: our own pool, or a library's callback form. */
export type TransactionsSetting = OpenTransaction | KnexTransactions;

export interface KnexTransactions {
  readonly kind: 'knex';
}

/** Transactions of the service's own pool (the setting `databaseUrl`); the handle is a `Knex.Transaction`. */
export const knexTransactions = (): KnexTransactions => Object.freeze({ kind: 'knex' });

/** What the setting means, given the service's pool. @param schema where our tables are */
export function resolveTransactions(
  setting: TransactionsSetting,
  pool: DatabasePool,
  schema?: string,
  logger?: Logger,
): Transactions {
  if (typeof setting === 'function') return new Transactions({ open: setting, schema, logger });
  return new Transactions({
    open: (work) => pool.transaction(work),
    get prepare() {
      return pool.prepares;
    },
    holders: pool.holders,
    onReadOnly: () => pool.leaveServer(),
    schema,
    logger,
    get url() {
      return pool.url;
    },
  });
}

/** The handle of our own pool's transactions. */
export type KnexTransaction = Knex.Transaction;
