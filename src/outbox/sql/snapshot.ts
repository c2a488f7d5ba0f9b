import type { SqlExecutor } from '../../database/executor.ts';

const HORIZON = `
SELECT pg_snapshot_xmin(pg_current_snapshot())::text AS xmin, pg_snapshot_xmax(pg_current_snapshot())::text AS xmax`;

/** Every transaction below `xmin` has ended; none from `xmax` on had begun to write. */
export interface Horizon {
  readonly xmin: bigint;
  readonly xmax: bigint;
}

export async function readHorizon(db: SqlExecutor): Promise<Horizon> {
  const [row] = await db.query<{ xmin: string; xmax: string }>(HORIZON, [], 'svc_comm_horizon');
  return { xmin: BigInt(row?.xmin ?? 0), xmax: BigInt(row?.xmax ?? 0) };
}
