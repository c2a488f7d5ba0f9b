import type { InboxKey } from '../message/inbox.ts';
import type { StartMark, StartMarks } from '../message/start-marks.ts';
import type { SqlExecutor } from './executor.ts';
import { assertSchemaName } from './identifier.ts';
import {
  beginStartMark,
  deleteOldStartMarks,
  deleteStartMark,
  readStartMarks,
  returnStartMarks,
} from './sql/start-marks.ts';
import { ALL_RIGHTS, assertTableRights } from './table-rights.ts';
import type { Transactions } from './transactions.ts';

export interface StartMarkStoreOptions {
  readonly transactions: Transactions;
  /** Where our tables are. @default 'public' */
  readonly schema?: string;
}

/** Start marks as a table: every process of the service sees them, on whatever machine it runs. */
export class StartMarkStore implements StartMarks {
  readonly #transactions: Transactions;
  readonly #schema: string;

  constructor({ transactions, schema = 'public' }: StartMarkStoreOptions) {
    assertSchemaName(schema);
    this.#transactions = transactions;
    this.#schema = schema;
  }

  read(keys: readonly InboxKey[]): Promise<StartMark[]> {
    return this.#commit((executor) => readStartMarks(executor, this.#schema, keys));
  }

  begin(key: InboxKey): Promise<void> {
    return this.#commit((executor) => beginStartMark(executor, this.#schema, key));
  }

  end(key: InboxKey): Promise<void> {
    return this.#commit((executor) => deleteStartMark(executor, this.#schema, key));
  }

  giveBack(keys: readonly InboxKey[], isBegun: boolean): Promise<void> {
    return this.#commit((executor) => returnStartMarks(executor, this.#schema, keys, isBegun ? 1 : 0));
  }

  /** @throws MigrationRequiredError (SVC_COMM_MIGRATION_REQUIRED) when its table is missing */
  async verify(): Promise<void> {
    await this.#commit(async (executor) => {
      await assertTableRights(executor, this.#schema, { svc_comm_start_mark: ALL_RIGHTS });
      await readStartMarks(executor, this.#schema, []);
    });
  }

  /** @returns how many were deleted */
  deleteExpired(olderThanMs: number): Promise<number> {
    return this.#commit((executor) => deleteOldStartMarks(executor, this.#schema, olderThanMs));
  }

  #commit<T>(work: (executor: SqlExecutor) => Promise<T>): Promise<T> {
    return this.#transactions.runOwn(
      async () => {
        const transaction = this.#transactions.current();
        if (!transaction) throw new Error('a transaction is not ambient in its own work');
        return work(transaction.executor);
      },
      { name: 'start marks' },
    );
  }
}
