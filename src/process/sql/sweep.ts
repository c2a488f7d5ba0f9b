import { arrayLiteral } from '../../database/array-literal.ts';
import type { SqlExecutor } from '../../database/executor.ts';
import { qualified } from '../../database/identifier.ts';

export interface LostInstance {
  readonly id: string;
  readonly process: string;
  readonly state: 'Failed' | 'Cancelled';
}

/** Of one statement: more would hold their rows for long, and who asks for instances would wait behind it. */
export const MOST_ENDED = 100;
export const MOST_FORGOTTEN = 100;

/**
 * Ends instances whose server has not renewed its lease: what ran may have been done or not, what waits will not be.
 * @param id only this one
 */
export async function endLostInstances(db: SqlExecutor, schema: string, id?: string): Promise<LostInstance[]> {
  const instance = qualified(schema, 'svc_comm_process_instance');
  const sql = `WITH lost AS MATERIALIZED (
  SELECT id FROM ${instance} WHERE state = 'New' AND lease_until < clock_timestamp()
     AND ($1::text IS NULL OR id = $1::text::uuid)
   ORDER BY lease_until LIMIT ${MOST_ENDED} FOR UPDATE SKIP LOCKED
), steps AS (
  UPDATE ${qualified(schema, 'svc_comm_process_task')} t SET
    status = CASE t.status WHEN 'STARTED' THEN 'LOST' ELSE 'SKIPPED' END,
    error = CASE t.status WHEN 'STARTED' THEN $2::text END,
    finished_at = CASE t.status WHEN 'STARTED' THEN clock_timestamp() END
    FROM lost WHERE t.instance_id = lost.id AND t.status IN ('WAITING', 'STARTED')
), ended AS (
  UPDATE ${instance} i SET state = CASE WHEN i.cancel_requested THEN 'Cancelled' ELSE 'Failed' END, owner = NULL,
    lease_until = NULL, finished_at = clock_timestamp() FROM lost WHERE i.id = lost.id
  RETURNING i.id, i.process, i.state
)
SELECT id::text AS id, process AS process, state AS state FROM ended`;
  return db.query<LostInstance>(sql, [id ?? null, LOST]);
}

const LOST = JSON.stringify({
  name: 'ProcessLostError',
  message: 'the server that ran it is gone: whether it was done is unknown',
});

/** Extends the leases of these. @returns those that are still the owner's, each with whether somebody asked for its end */
export async function renewInstances(
  db: SqlExecutor,
  schema: string,
  { owner, leaseMs, ids }: { readonly owner: string; readonly leaseMs: number; readonly ids: readonly string[] },
): Promise<ReadonlyMap<string, boolean>> {
  const sql = `UPDATE ${qualified(schema, 'svc_comm_process_instance')}
    SET lease_until = clock_timestamp() + $2::text::float8 * interval '1 ms'
    WHERE owner = $1::text::uuid AND state = 'New' AND id = ANY ($3::text::uuid[]) RETURNING id::text AS id,
    cancel_requested AS cancelling`;
  const rows = await db.query<{ id: string; cancelling: boolean }>(sql, [owner, String(leaseMs), arrayLiteral(ids)]);
  return new Map(rows.map(({ id, cancelling }) => [id, cancelling]));
}

/** Forgets instances that ended so long ago. @returns how many */
export async function deleteOldInstances(db: SqlExecutor, schema: string, retentionMs: number): Promise<number> {
  const instance = qualified(schema, 'svc_comm_process_instance');
  const sql = `WITH old AS (
  SELECT id FROM ${instance} WHERE finished_at < clock_timestamp() - $1::text::float8 * interval '1 ms'
   ORDER BY finished_at LIMIT ${MOST_FORGOTTEN} FOR UPDATE SKIP LOCKED
), gone AS (
  DELETE FROM ${instance} i USING old WHERE i.id = old.id RETURNING 1
) SELECT count(*)::int AS gone FROM gone`;
  return (await db.query<{ gone: number }>(sql, [String(retentionMs)]))[0]?.gone ?? 0;
}

/** Asks the server of an instance that is New to end it. @returns false when it is not New */
export async function requestInstanceCancel(db: SqlExecutor, schema: string, id: string): Promise<boolean> {
  const sql = `UPDATE ${qualified(schema, 'svc_comm_process_instance')} SET cancel_requested = true
    WHERE id = $1::text::uuid AND state = 'New' RETURNING id::text AS id`;
  return (await db.query(sql, [id])).length > 0;
}
