import type { SqlExecutor } from '../../database/executor.ts';

/**
 * A transaction number that is drawn now: every transaction that has begun to write has a smaller one. (The `xmax` of
 * a snapshot is no such number: it is the one after the latest that has *ended*, and some may have begun since.)
 */
export async function drawFence(db: SqlExecutor): Promise<bigint> {
  const [row] = await db.query<{ fence: string }>(
    'SELECT pg_current_xact_id()::text AS fence',
    [],
    'svc_comm_draw_fence',
  );
  return BigInt(row?.fence ?? 0);
}

/** Whether every transaction before the fence has ended, so that whatever it committed is seen by the next statement. */
export async function hasPassed(db: SqlExecutor, fence: bigint): Promise<boolean> {
  const [row] = await db.query<{ passed: boolean }>(
    'SELECT pg_snapshot_xmin(pg_current_snapshot()) >= $1::xid8 AS passed',
    [String(fence)],
    'svc_comm_has_passed',
  );
  return row?.passed ?? false;
}
