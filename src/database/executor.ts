/** The least that a SQL library must do for us: run one statement with `$1 …` parameters. */
export interface SqlExecutor {
  /**
   * @param params texts or null: what a number or an array becomes differs between libraries, a cast in SQL does not
   * @param name prepares the statement under this name once for each connection, where the library can
   * @returns the rows, keyed by column name: one lower-case word each, for libraries that re-case the others
   */
  query<Row extends object>(sql: string, params: readonly (string | null)[], name?: string): Promise<Row[]>;
}

/** Where a transaction stands, as far as its library tells without a round trip. `lost`: with its connection. */
export type TransactionStatus = 'open' | 'failed' | 'ended' | 'lost' | 'unknown';

/** Somebody's open transaction. Each method throws TransactionFinishedError instead of running after its end. */
export interface TransactionExecutor extends SqlExecutor {
  /** `knex`, `pg`, … */
  readonly library: string;
  status(): TransactionStatus;
  /**
   * Whether nobody can see that a COMMIT is on its way: then a statement that must not take effect behind it has to name
   * its transaction (`write`). Else `query` does.
   */
  readonly isGuarded: boolean;
  /** What PostgreSQL said when it ended the transaction by a time limit (`isTimeLimit`); undefined where it is not known. */
  readonly timeLimit?: unknown;
  /**
   * Runs a statement that must not take effect outside the transaction, even when its COMMIT overtakes it.
   * @param sql its last parameter, after `params`, is the transaction's mark: the statement does nothing and returns
   *   no row unless `isMarked` of that parameter holds
   * @param rows how many rows it returns when it does something, ≥ 1
   */
  write<Row extends object>(
    sql: string,
    params: readonly (string | null)[],
    rows: number,
    name?: string,
  ): Promise<Row[]>;
}

/** What tells one transaction of a connection from the next: when it began. It stays through savepoints. */
export const TRANSACTION_MARK = 'extract(epoch FROM now())::text';

/** SQL condition: no mark is asked for, or the statement runs in the transaction that has it. */
export const isMarked = (parameter: string): string =>
  `(${parameter}::text IS NULL OR ${TRANSACTION_MARK} = ${parameter}::text)`;
