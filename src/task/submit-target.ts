import type { SqlExecutor } from '../database/executor.ts';
import { recogniseTransaction } from '../database/recognise-transaction.ts';
import type { Transactions } from '../database/transactions.ts';
import { TransactionRequiredError } from '../errors.ts';
import type { SubmitTarget } from './sql/submit.ts';

/**
 * Where a submit goes.
 * @param choice a transaction's handle, `'ambient'`, `'own'`; undefined: the ambient one if there is one, else its own
 * @throws TransactionRequiredError, NotATransactionError, TransactionFinishedError
 */
export async function submitTarget(
  transactions: Transactions,
  choice: unknown,
  own: SqlExecutor,
): Promise<SubmitTarget> {
  if (choice === 'own') return { kind: 'own', executor: own };
  if (choice === undefined || choice === 'ambient' || transactions.isAmbient(choice)) {
    const ambient = transactions.current();
    if (ambient) return { kind: 'transaction', executor: ambient.executor };
    if (choice === 'ambient') throw new TransactionRequiredError('start of a task');
    return { kind: 'own', executor: own };
  }
  return { kind: 'transaction', executor: await recogniseTransaction(choice) };
}
