import type { SqlExecutor } from '../../database/executor.ts';
import { qualified } from '../../database/identifier.ts';

/** Age of what was written first and still waits in the outbox, by the database's clock, in ms; undefined when nothing waits. */
export async function oldestWaitingMs(db: SqlExecutor, schema: string): Promise<number | undefined> {
  const [row] = await db.query<{ age: number }>(
    `SELECT extract(epoch FROM clock_timestamp() - created_at)::float8 * 1000 AS age
       FROM ${qualified(schema, 'svc_comm_outbox')} ORDER BY id LIMIT 1`,
    [],
  );
  return row && Math.max(0, Math.round(Number(row.age)));
}
