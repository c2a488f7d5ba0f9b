import { vi } from 'vitest';
import { CommitFate } from '../../src/database/commit-fate.ts';
import type { Transactions } from '../../src/database/transactions.ts';
import { until } from './consumer-kit.ts';

/** What is asked after a lost COMMIT is learned beside the first transaction, in one of its own. */
export async function incarnationLearned(transactions: Transactions): Promise<void> {
  const life = vi.spyOn(CommitFate.prototype, 'life');
  await transactions.runOwn(async () => undefined);
  const fate = life.mock.contexts[0] as CommitFate | undefined;
  life.mockRestore();
  await until(() => fate?.life() !== undefined);
}
