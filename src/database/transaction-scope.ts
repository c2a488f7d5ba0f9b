import { TransactionAbortedError, TransactionFinishedError } from '../errors.ts';
import type { TransactionExecutor } from './executor.ts';

const XID_QUERY = 'SELECT pg_current_xact_id_if_assigned()::text AS xid';

/** Takes what was published in a transaction, all at once, just before its COMMIT. */
export interface CommitSink<Item> {
  /** @returns `pg_current_xact_id` of the transaction, when its statement tells */
  flush(executor: TransactionExecutor, items: readonly Item[]): Promise<string | undefined>;
}

/** Who is told of a savepoint that waits for its turn for long. */
export interface SavepointWatch {
  readonly afterMs: number;
  onLongWait(): void;
}

/** The transaction that the running code is in. */
export interface AmbientTransaction {
  /** What the user's own library knows. */
  readonly handle: unknown;
  readonly executor: TransactionExecutor;
  /** Not before its work is done: from then on nothing can be added. */
  readonly isFinished: boolean;
  /** `pg_current_xact_id`, from whichever statement tells it first; null: it has written nothing. */
  xid: string | null | undefined;
  /**
   * Keeps the item for `sink.flush` before COMMIT; it goes away with a rollback, also that of its savepoint alone.
   * @throws TransactionFinishedError (SVC_COMM_TRANSACTION_FINISHED)
   */
  defer<Item>(sink: CommitSink<Item>, item: Item): void;
}

/**
 * One transaction, or one savepoint in it: what was deferred in it, and its savepoints one after the other.
 *
 *            work done, savepoints settled           written
 *   open ───────────────────────────────▶ flushing ─────────▶ ended
 *     │                                       │ failed          ▲
 *     └───────────────────────────────────────┴─────────────────┘
 */
export class TransactionScope implements AmbientTransaction {
  readonly handle: unknown;
  readonly executor: TransactionExecutor;
  readonly depth: number;
  readonly #watch: SavepointWatch | undefined;
  xid: string | null | undefined;
  #state: 'open' | 'flushing' | 'ended' = 'open';
  #deferred = new Map<CommitSink<unknown>, unknown[]>();
  #lastSavepoint: Promise<unknown> = Promise.resolve();
  /** Why a savepoint could not be undone: then nothing of the whole may be committed. */
  #damage: { readonly error: unknown } | undefined;

  constructor(handle: unknown, executor: TransactionExecutor, watch?: SavepointWatch, depth = 0) {
    this.handle = handle;
    this.executor = executor;
    this.#watch = watch;
    this.depth = depth;
  }

  get isFinished(): boolean {
    return this.#state !== 'open';
  }

  defer<Item>(sink: CommitSink<Item>, item: Item): void {
    this.#assertOpen();
    this.#deferAll(sink as CommitSink<unknown>, [item]);
  }

  /** Savepoints are a stack in the server, so those that were opened at the same time run one after the other. */
  nest<T>(work: (child: TransactionScope) => Promise<T>): Promise<T> {
    this.#assertOpen();
    const turnCame = this.#watchWait();
    const run = this.#lastSavepoint.then(() => {
      turnCame();
      // What it waited in has failed meanwhile, and takes its savepoint along: its rows would be the outer one's.
      this.#assertOpen();
      return this.#nest(work);
    });
    this.#lastSavepoint = run.catch(() => undefined);
    return run;
  }

  /**
   * A stretch of this transaction, without a savepoint: its failure is the failure of the whole. When it has ended,
   * nothing can be published in it any more. Not to be begun before the one before has ended.
   * @param ask throws when the transaction has failed or ended, for libraries that do not tell without a round trip
   */
  async part<T>(work: (child: TransactionScope) => Promise<T>, ask: () => Promise<unknown>): Promise<T> {
    this.#assertOpen();
    const child = new TransactionScope(this.handle, this.executor, this.#watch, this.depth);
    try {
      const value = await work(child);
      await child.#settle();
      const status = this.executor.status();
      // Its error was swallowed, and would be found out only behind the next part.
      if (status === 'failed') throw new TransactionAbortedError();
      // What the next part wrote would be committed by itself.
      if (status === 'ended' || status === 'lost') throw new TransactionFinishedError();
      if (status === 'unknown') await ask();
      for (const [sink, items] of child.#deferred) this.#deferAll(sink, items);
      return value;
    } catch (error) {
      this.#damage ??= { error };
      throw error;
    } finally {
      child.end();
    }
  }

  /** One that waits for an earlier one, which awaits it, waits for ever, and nobody would know why. */
  #watchWait(): () => void {
    const watch = this.#watch;
    if (!watch) return () => undefined;
    const timer = setTimeout(() => watch.onLongWait(), watch.afterMs);
    timer.unref();
    return () => clearTimeout(timer);
  }

  async #nest<T>(work: (child: TransactionScope) => Promise<T>): Promise<T> {
    const savepoint = `svc_comm_${this.depth + 1}`;
    const child = new TransactionScope(this.handle, this.executor, this.#watch, this.depth + 1);
    await this.executor.query(`SAVEPOINT ${savepoint}`, []);
    try {
      const value = await work(child);
      await child.#settle();
      // Fails when a statement of the child failed and its error was swallowed, as COMMIT would not.
      await this.executor.query(`RELEASE SAVEPOINT ${savepoint}`, []);
      child.#state = 'ended';
      for (const [sink, items] of child.#deferred) this.#deferAll(sink, items);
      return value;
    } catch (error) {
      // Those that wait in it do not begin any more, and what has begun ends before its savepoint goes.
      child.end();
      const isOver = child.#watchWait();
      await child.#lastSavepoint;
      isOver();
      await this.executor.query(`ROLLBACK TO SAVEPOINT ${savepoint}`, []).catch((damage: unknown) => {
        this.#damage ??= { error: damage };
      });
      throw error;
    }
  }

  /** After the work, before COMMIT: writes what was deferred; throws when COMMIT would not keep what was done. */
  async complete(): Promise<void> {
    await this.#settle();
    const { executor } = this;
    for (const [sink, items] of this.#deferred) this.#isStill((await sink.flush(executor, items)) ?? this.xid);
    // When the answer of COMMIT is lost, the id tells what became of it. The question also fails in a failed transaction,
    // whose COMMIT would be a rollback that reports success.
    if (this.xid === undefined || (this.#deferred.size === 0 && executor.status() !== 'open')) {
      const [row] = await executor.query<{ xid: string | null }>(XID_QUERY, []);
      this.#isStill(row?.xid ?? null);
    }
    this.#state = 'ended';
  }

  /** @throws TransactionFinishedError for another one than the inbox row's: it was ended, and its library does not tell */
  #isStill(xid: string | null | undefined): void {
    if (this.xid != null && xid !== this.xid) throw new TransactionFinishedError();
    this.xid = xid;
  }

  end(): void {
    this.#state = 'ended';
  }

  /** Waits for savepoints that nobody awaited: committed in the middle of one, its rows would lack its events. */
  async #settle(): Promise<void> {
    for (let last: unknown; last !== this.#lastSavepoint; ) {
      last = this.#lastSavepoint;
      await this.#lastSavepoint;
    }
    this.#state = 'flushing';
    if (this.#damage) throw this.#damage.error;
  }

  #deferAll(sink: CommitSink<unknown>, items: readonly unknown[]): void {
    const list = this.#deferred.get(sink);
    if (list) list.push(...items);
    else this.#deferred.set(sink, [...items]);
  }

  #assertOpen(): void {
    if (this.isFinished) throw new TransactionFinishedError();
  }
}
