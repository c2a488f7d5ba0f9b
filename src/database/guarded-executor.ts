import { TransactionFinishedError } from '../errors.ts';
import { toDatabaseError } from './database-error.ts';
import { TRANSACTION_MARK, type TransactionExecutor, type TransactionStatus } from './executor.ts';

export interface GuardedExecutorOptions {
  readonly library: string;
  /** Runs a statement through the library's own function, in the transaction. */
  readonly send: (sql: string, params: readonly (string | null)[]) => Promise<unknown[]>;
  /** Whether the library's error says that the transaction has ended. */
  readonly saysFinished: (error: unknown) => boolean;
  readonly status?: () => TransactionStatus;
}

/**
 * For libraries that hide their connection: nobody can see whether a COMMIT is already on its way, and a statement
 * behind it would be committed by itself, or with the next transaction of the connection. So a write names the
 * transaction that it is for, by the time of its begin, and takes effect in no other.
 */
export class GuardedExecutor implements TransactionExecutor {
  readonly library: string;
  readonly isGuarded = true;
  readonly #options: GuardedExecutorOptions;
  #mark: Promise<string> | undefined;

  constructor(options: GuardedExecutorOptions) {
    this.library = options.library;
    this.#options = options;
  }

  status(): TransactionStatus {
    return this.#options.status?.() ?? 'unknown';
  }

  async query<Row extends object>(sql: string, params: readonly (string | null)[]): Promise<Row[]> {
    if (this.status() === 'ended') throw new TransactionFinishedError();
    try {
      return (await this.#options.send(sql, params)) as Row[];
    } catch (error) {
      if (this.#options.saysFinished(error)) throw new TransactionFinishedError({ cause: error });
      throw toDatabaseError(error);
    }
  }

  async write<Row extends object>(sql: string, params: readonly (string | null)[], rows: number): Promise<Row[]> {
    this.#mark ??= this.#readMark();
    const written = await this.query<Row>(sql, [...params, await this.#mark]);
    if (written.length !== rows) throw new TransactionFinishedError();
    return written;
  }

  /** Overtaken by a COMMIT as well, it reads the time of a transaction that is over when the write comes. */
  async #readMark(): Promise<string> {
    const [row] = await this.query<{ mark: string }>(`SELECT ${TRANSACTION_MARK} AS mark`, []);
    if (!row) throw new TransactionFinishedError();
    return row.mark;
  }
}
