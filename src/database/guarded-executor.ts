import { randomUUID } from 'node:crypto';
import { TransactionFinishedError } from '../errors.ts';
import { sqlState, toDatabaseError } from './database-error.ts';
import { MARK_SETTING, type TransactionExecutor, type TransactionStatus } from './executor.ts';

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
 * behind it would be committed by itself. So the transaction gets a mark, a setting that ends with it, and a write
 * takes effect only where it finds its mark.
 */
export class GuardedExecutor implements TransactionExecutor {
  readonly library: string;
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
    for (let attempt = 0; attempt < 2; attempt++) {
      this.#mark ??= this.#setMark();
      const written = await this.query<Row>(sql, [...params, await this.#mark]);
      if (written.length === rows) return written;
      // Either the transaction has ended, or the mark was undone with a savepoint; only the latter may set it again.
      this.#mark = undefined;
      await this.#assertOpen();
    }
    throw new TransactionFinishedError();
  }

  async #setMark(): Promise<string> {
    const mark = randomUUID();
    await this.query(`SELECT set_config('${MARK_SETTING}', $1::text, true) AS mark`, [mark]);
    return mark;
  }

  /** SAVEPOINT is refused outside a transaction block (25P01). */
  async #assertOpen(): Promise<void> {
    try {
      await this.query('SAVEPOINT svc_comm_probe', []);
      await this.query('RELEASE SAVEPOINT svc_comm_probe', []);
    } catch (error) {
      throw sqlState(error) === '25P01' ? new TransactionFinishedError({ cause: error }) : error;
    }
  }
}
