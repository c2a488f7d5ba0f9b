import type { SqlExecutor } from '../executor.ts';

/** Whether the server refuses what this session writes: a standby, or `default_transaction_read_only`. */
export async function sessionIsReadOnly(db: SqlExecutor): Promise<boolean> {
  const [row] = await db.query<{ readonly: string }>(`SELECT current_setting('transaction_read_only') AS readonly`, []);
  return row?.readonly === 'on';
}
