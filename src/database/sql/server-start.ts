import type { SqlExecutor } from '../executor.ts';

/**
 * When the server was started, to the microsecond, as any role may ask: no two servers have the same, and sessions of one
 * do. Addresses are no sign of it: one server can have several.
 */
export async function serverStart(db: SqlExecutor): Promise<string> {
  const [row] = await db.query<{ start: string }>(
    'SELECT extract(epoch FROM pg_postmaster_start_time())::text AS start',
    [],
  );
  return row?.start ?? '';
}
