import { arrayLiteral } from '../../database/array-literal.ts';
import type { SqlExecutor } from '../../database/executor.ts';
import { qualified } from '../../database/identifier.ts';

export interface FailedRow {
  readonly id: number;
  readonly epoch: string;
  readonly delayMs: number;
  readonly error: string;
}

const MAX_ERROR_CHARACTERS = 1000;

/** Lets rows that the broker refused back off, unless their partition has another owner by now. */
const sql = (outbox: string, lease: string): string => `
UPDATE ${outbox} o
   SET attempts = o.attempts + 1, next_attempt_at = clock_timestamp() + f.delay * interval '1 ms', last_error = f.error
  FROM unnest($1::bigint[], $2::bigint[], $3::float8[], $4::text[]) f(id, epoch, delay, error)
 WHERE o.id = f.id
   AND EXISTS (SELECT 1 FROM ${lease} l WHERE l.part = o.part AND l.owner = $5::uuid AND l.epoch = f.epoch)
RETURNING o.id`;

/** @returns how many rows were found */
export function prepareRecordFailures(
  schema: string,
): (db: SqlExecutor, rows: readonly FailedRow[], owner: string) => Promise<number> {
  const text = sql(qualified(schema, 'svc_comm_outbox'), qualified(schema, 'svc_comm_relay_lease'));
  return async (db, rows, owner) => {
    const found = await db.query(text, [
      `{${rows.map((row) => row.id)}}`,
      `{${rows.map((row) => row.epoch)}}`,
      `{${rows.map((row) => Math.ceil(row.delayMs))}}`,
      // PostgreSQL has no NUL in texts
      arrayLiteral(rows.map((row) => row.error.replaceAll('\0', '').slice(0, MAX_ERROR_CHARACTERS))),
      owner,
    ]);
    return found.length;
  };
}
