import type { ParkedKey } from '../../message/inbox.ts';
import type { SqlExecutor } from '../executor.ts';
import { qualified } from '../identifier.ts';

/** By the database's clock, to the microsecond, as a text that no setting of the session changes. */
const PARKED_AT = 'extract(epoch FROM parked_at)::text';

/** One that is parked already is parked anew: who saw it before does not unpark it. */
export async function parkKey(executor: SqlExecutor, schema: string, queue: string, orderKey: string): Promise<void> {
  const sql = `INSERT INTO ${qualified(schema, 'svc_comm_parked_key')} (queue, order_key)
    VALUES ($1::text, $2::text) ON CONFLICT (queue, order_key) DO UPDATE SET parked_at = clock_timestamp()`;
  await executor.query(sql, [queue, orderKey]);
}

/** @returns whether it was parked, and not parked again since it was seen */
export async function unparkKey(
  executor: SqlExecutor,
  schema: string,
  queue: string,
  { orderKey, parkedAt }: ParkedKey,
): Promise<boolean> {
  const sql = `DELETE FROM ${qualified(schema, 'svc_comm_parked_key')}
    WHERE queue = $1::text AND order_key = $2::text AND ${PARKED_AT} = $3::text RETURNING 1 AS unparked`;
  return (await executor.query(sql, [queue, orderKey, parkedAt])).length > 0;
}

/** Keys that are parked now. */
export async function parkedKeys(executor: SqlExecutor, schema: string, queue: string): Promise<ParkedKey[]> {
  const sql = `SELECT order_key AS key, ${PARKED_AT} AS parked
    FROM ${qualified(schema, 'svc_comm_parked_key')} WHERE queue = $1::text`;
  const rows = await executor.query<{ key: string; parked: string }>(sql, [queue]);
  return rows.map(({ key, parked }) => ({ orderKey: key, parkedAt: parked }));
}
