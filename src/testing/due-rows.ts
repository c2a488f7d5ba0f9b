import { sqlState } from '../database/database-error.ts';
import { quoteIdentifier } from '../database/identifier.ts';
import { counted, HELD, type Motion } from './settling.ts';
import type { TestDatabase } from './test-database.ts';

/** Rows that the relay is to take now. */
export async function dueRows(database: Pick<TestDatabase, 'query'>, schema: string): Promise<Motion> {
  const tables = quoteIdentifier(schema);
  try {
    const [row] = await database.query<{ outbox: string; future: string }>(
      `SELECT (SELECT count(*) FROM ${tables}.svc_comm_outbox
                WHERE next_attempt_at IS NULL OR next_attempt_at <= clock_timestamp()) AS outbox,
              (SELECT count(*) FROM ${tables}.svc_comm_future
                WHERE due_at <= clock_timestamp()) AS future`,
    );
    return {
      pending: counted([
        [Number(row?.outbox), 'rows in the outbox'],
        [Number(row?.future), 'future events that are due'],
      ]),
    };
  } catch (error) {
    // The embedded database gives up what has waited for ten seconds.
    if (sqlState(error) === '55P03') return HELD;
    throw error;
  }
}
