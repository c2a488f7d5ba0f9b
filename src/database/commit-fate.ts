import { backoffMs } from '../util/backoff.ts';
import { sleep } from '../util/sleep.ts';
import { isConnectionError, sqlState } from './database-error.ts';
import type { SqlExecutor } from './executor.ts';
import { endOrphan, incarnation, isStandby, transactionFate } from './sql/transaction-fate.ts';

export interface CommitFateOptions {
  /** Runs the work in a transaction of its own, on another connection than one that was lost. */
  readonly onFresh: <T>(work: (executor: SqlExecutor) => Promise<T>) => Promise<T>;
  /** Where our tables are. */
  readonly schema: string;
  /** Called when a standby was asked: the address may lead another connection to the primary. @default nothing */
  readonly onStandby?: (() => void) | undefined;
  /** How long to ask, in ms. @default 20_000, a restart of PostgreSQL and some */
  readonly patienceMs?: number;
}

const PATIENCE_MS = 20_000;
const BACKOFF = Object.freeze({ initialMs: 20, maxMs: 1_000 });

/** The server sees that its client has gone when it next reads; through a silent network it would wait for hours. */
const ORPHAN_MS = 1_000;

/** Between two tries to learn the incarnation, when the table is missing, say. */
const LEARN_AGAIN_MS = 60_000;

/** PostgreSQL's word for an id that it has not given: of before a crash, and not flushed. */
const NOT_GIVEN = '22023';

/** Tells what became of transactions whose COMMIT was not answered. */
export class CommitFate {
  readonly #options: CommitFateOptions & { readonly patienceMs: number };
  #incarnation: string | undefined;
  #askedAt = Number.NEGATIVE_INFINITY;

  constructor(options: CommitFateOptions) {
    this.#options = { patienceMs: PATIENCE_MS, ...options };
  }

  /**
   * To be called before a transaction begins. What is not known yet it learns beside.
   * @returns the server's life as far as it is known, for `of`; each transaction keeps its own: after a crash the first
   *   that asks learns of the new life, and the others' ids are still of the old one
   */
  life(): string | undefined {
    this.#prepare();
    return this.#incarnation;
  }

  #prepare(): void {
    if (this.#incarnation !== undefined || performance.now() - this.#askedAt < LEARN_AGAIN_MS) return;
    this.#askedAt = performance.now();
    this.#learn().then(
      (token) => {
        this.#incarnation = token;
      },
      () => undefined,
    );
  }

  /**
   * Never rejects.
   * @param xid `pg_current_xact_id`, learned before the COMMIT
   * @param life what `life` said before the transaction began
   */
  async of(xid: string, life: string | undefined): Promise<'committed' | 'aborted' | 'unknown'> {
    const { onFresh, patienceMs, onStandby } = this.#options;
    const from = performance.now();
    for (let tries = 0; performance.now() - from < patienceMs; tries += 1) {
      try {
        const fate = await onFresh((executor) => fateOnPrimary(executor, xid));
        if (fate === 'aborted') return fate;
        if (fate === 'committed') return (await this.#isStill(life)) ? fate : 'unknown';
        if (fate === undefined) return 'unknown';
        if (fate === 'not known here') onStandby?.();
        else if (performance.now() - from > ORPHAN_MS) {
          // After a crash the id may be somebody else's, who is at work.
          if (!(await this.#isStill(life))) return 'unknown';
          await onFresh((executor) => endOrphan(executor, xid));
        }
      } catch (error) {
        if (sqlState(error) === NOT_GIVEN) return 'aborted';
        if (!isConnectionError(error)) return 'unknown';
      }
      await sleep(Math.max(10, backoffMs(tries, BACKOFF)));
    }
    return 'unknown';
  }

  /** Whether the server has not crashed since; else the id may be another transaction's. */
  async #isStill(life: string | undefined): Promise<boolean> {
    this.#incarnation = await this.#learn();
    return life !== undefined && life === this.#incarnation;
  }

  #learn(): Promise<string | undefined> {
    const { onFresh, schema } = this.#options;
    return onFresh((executor) => incarnation(executor, schema));
  }
}

/** To a standby an id that it has not replayed is one that was never given, as to a primary one of before a crash. */
const fateOnPrimary = async (executor: SqlExecutor, xid: string) =>
  (await isStandby(executor)) ? 'not known here' : transactionFate(executor, xid);
