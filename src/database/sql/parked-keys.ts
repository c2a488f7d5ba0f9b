import type { SqlExecutor } from '../executor.ts';
import { qualified } from '../identifier.ts';

export async function parkKey(executor: SqlExecutor, schema: string, queue: string, orderKey: string): Promise<void> {
  const sql = `INSERT INTO ${qualified(schema, 'svc_comm_parked_key')} (queue, order_key)
    VALUES ($1::text, $2::text) ON CONFLICT DO NOTHING`;
  await executor.query(sql, [queue, orderKey]);
}

/** @returns whether it was parked */
export async function unparkKey(
  executor: SqlExecutor,
  schema: string,
  queue: string,
  orderKey: string,
): Promise<boolean> {
  const sql = `DELETE FROM ${qualified(schema, 'svc_comm_parked_key')}
    WHERE queue = $1::text AND order_key = $2::text RETURNING 1 AS unparked`;
  return (await executor.query(sql, [queue, orderKey])).length > 0;
}

/** Keys that are parked now. */
export async function parkedKeys(executor: SqlExecutor, schema: string, queue: string): Promise<string[]> {
  const sql = `SELECT order_key FROM ${qualified(schema, 'svc_comm_parked_key')} WHERE queue = $1::text`;
  const rows = await executor.query<{ order_key: string }>(sql, [queue]);
  return rows.map(({ order_key }) => order_key);
}
