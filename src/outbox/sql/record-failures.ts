import { arrayLiteral } from '../../database/array-literal.ts';
import type { SqlExecutor } from '../../database/executor.ts';
import { qualified } from '../../database/identifier.ts';
import { type ConfirmedRow, fenced, fenceParams } from './delete-confirmed.ts';

export interface FailedRow extends ConfirmedRow {
  readonly delayMs: number;
  readonly error: string;
}

const MAX_ERROR_CHARACTERS = 1000;

/** Lets rows that the broker refused back off, unless their partition has another owner by now. */
const sql = (outbox: string, lease: string): string => `
UPDATE ${outbox} o
   SET attempts = o.attempts + 1,
       next_attempt_at = clock_timestamp() + ($6::float8[])[array_position($1::bigint[], o.id)] * interval '1 ms',
       last_error = ($7::text[])[array_position($1::bigint[], o.id)]
 WHERE o.id = ANY ($1::bigint[]) ${fenced(lease)}
RETURNING o.id`;

/** @returns how many rows were found */
export function prepareRecordFailures(
  schema: string,
): (db: SqlExecutor, rows: readonly FailedRow[], owner: string) => Promise<number> {
  const text = sql(qualified(schema, 'svc_comm_outbox'), qualified(schema, 'svc_comm_relay_lease'));
  return async (db, rows, owner) => {
    const found = await db.query(text, [
      `{${rows.map((row) => row.id)}}`,
      ...fenceParams(rows, owner),
      `{${rows.map((row) => Math.ceil(row.delayMs))}}`,
      // PostgreSQL has no NUL in texts
      arrayLiteral(rows.map((row) => row.error.replaceAll('\0', '').slice(0, MAX_ERROR_CHARACTERS))),
    ]);
    return found.length;
  };
}
