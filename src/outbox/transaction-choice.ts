import type { TransactionExecutor } from '../database/executor.ts';
import { recogniseTransaction } from '../database/recognise-transaction.ts';
import type { AmbientTransaction } from '../database/transaction-scope.ts';
import type { Transactions } from '../database/transactions.ts';
import { TransactionRequiredError } from '../errors.ts';

export interface TransactionOption {
  /**
   * Where to write: the handle of a transaction of knex, pg, drizzle, kysely, prisma, typeorm or sequelize, `'ambient'`
   * for the one that the code runs in, `'own'` for one of its own. @default 'ambient'
   */
  readonly transaction?: unknown;
}

/** Where a publish goes: into the transaction that the code runs in, or to somebody's handle. */
export type Target =
  | { readonly kind: 'ambient'; readonly transaction: AmbientTransaction }
  | { readonly kind: 'handle'; readonly executor: TransactionExecutor };

/**
 * Runs `write` where the choice says. A handle that is the ambient one's counts as ambient, or its events would
 * overtake those that were published before it.
 * @param what names the caller in the error
 * @throws TransactionRequiredError, NotATransactionError, TransactionFinishedError
 */
export async function inChosenTransaction<T>(
  transactions: Transactions,
  choice: unknown,
  what: string,
  write: (target: Target) => Promise<T> | T,
): Promise<T> {
  if (choice === 'own') {
    return transactions.runOwn(async () => write(ambient(transactions, what)), { name: what });
  }
  if (choice === undefined || choice === 'ambient') return write(ambient(transactions, what));
  if (transactions.isAmbient(choice)) return write(ambient(transactions, what));
  return write({ kind: 'handle', executor: await recogniseTransaction(choice) });
}

function ambient(transactions: Transactions, what: string): Target {
  const transaction = transactions.current();
  if (!transaction) throw new TransactionRequiredError(what);
  return { kind: 'ambient', transaction };
}
