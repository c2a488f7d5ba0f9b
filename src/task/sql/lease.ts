import { arrayLiteral } from '../../database/array-literal.ts';
import type { SqlExecutor } from '../../database/executor.ts';
import { qualified } from '../../database/identifier.ts';
import { statement } from '../../database/statement.ts';
import { TASK_CHANNEL } from './channel.ts';

export interface LeasedTask {
  readonly id: string;
  readonly attempt: number;
  readonly isCancelRequested: boolean;
}

const renewStatement = statement(
  'renew_tasks',
  (schema) => `UPDATE ${qualified(schema, 'svc_comm_task')}
    SET lease_until = clock_timestamp() + $2::float8 * interval '1 ms' 
    WHERE owner = $1::uuid AND state = 'STARTED' AND id = ANY ($3::uuid[])
  RETURNING id::text AS id, attempt AS attempt, cancel_requested AS cancelling`,
);

/**
 * Extends the lease of these; what is not returned is not the owner's any more. Of a claim whose answer was lost the owner
 * does not know: it is left to run out, and is handed over.
 */
export async function renewLeases(
  db: SqlExecutor,
  schema: string,
  owner: string,
  leaseMs: number,
  ids: readonly string[],
): Promise<LeasedTask[]> {
  const { sql, name } = renewStatement(schema);
  const rows = await db.query<{ id: string; attempt: number; cancelling: boolean }>(
    sql,
    [owner, String(leaseMs), arrayLiteral(ids)],
    name,
  );
  return rows.map(({ id, attempt, cancelling }) => ({ id, attempt, isCancelRequested: cancelling }));
}

/** Those of the owner's that somebody asked to end. */
export async function readCancelled(db: SqlExecutor, schema: string, owner: string): Promise<string[]> {
  const sql = `SELECT id::text AS id FROM ${qualified(schema, 'svc_comm_task')}
    WHERE owner = $1::uuid AND state = 'STARTED' AND cancel_requested`;
  return (await db.query<{ id: string }>(sql, [owner])).map(({ id }) => id);
}

export interface Recovered {
  readonly id: string;
  readonly name: string;
  readonly state: 'PENDING' | 'REVOKED' | 'LOST';
}

/** Tasks whose worker has not renewed: handed over, or ended when they may not be, or when somebody asked for it. */
export async function recoverLost(db: SqlExecutor, schema: string, limit = 100): Promise<Recovered[]> {
  const task = qualified(schema, 'svc_comm_task');
  const sql = `WITH lost AS MATERIALIZED (
  SELECT id FROM ${task} WHERE state = 'STARTED' AND lease_until < clock_timestamp()
   ORDER BY lease_until LIMIT ${limit} FOR UPDATE SKIP LOCKED
), changed AS MATERIALIZED (
  UPDATE ${task} t SET losses = t.losses + 1, owner = NULL, lease_until = NULL,
    state = CASE WHEN t.cancel_requested THEN 'REVOKED' WHEN t.losses >= t.hand_overs THEN 'LOST' ELSE 'PENDING' END,
    finished_at = CASE WHEN t.cancel_requested OR t.losses >= t.hand_overs THEN clock_timestamp() END,
    expires_at = CASE WHEN t.cancel_requested OR t.losses >= t.hand_overs
      THEN clock_timestamp() + t.result_ttl_ms * interval '1 ms' END
    FROM lost WHERE t.id = lost.id
  RETURNING t.id, t.name, t.state, t.holds_slot, t.queue, t.due_at
), freed AS (
  UPDATE ${qualified(schema, 'svc_comm_task_slot')} SET task_id = NULL
   WHERE task_id IN (SELECT c.id FROM changed c WHERE c.state <> 'PENDING' OR NOT c.holds_slot)
), told AS MATERIALIZED (
  SELECT pg_notify('${TASK_CHANNEL}', c.id || ' ' || c.state) FROM changed c WHERE c.state <> 'PENDING'
), sent AS MATERIALIZED (
  SELECT ${qualified(schema, 'svc_comm_task_send')}(c.id, c.queue, c.due_at) AS n FROM changed c WHERE c.state = 'PENDING'
)
SELECT c.id::text AS id, c.name AS name, c.state AS state FROM changed c,
  (SELECT count(*) AS n FROM told) AS t, (SELECT sum(n) AS n FROM sent) AS s`;
  return db.query<Recovered>(sql, []);
}

/**
 * Frees places of tasks that neither wait nor run: nobody would ever, and a limit would be one lower for good. Place and
 * row of a submit become visible together. One that another has freed and given away meanwhile has another task's id.
 */
export async function freeOrphans(db: SqlExecutor, schema: string): Promise<Pick<Recovered, 'id' | 'name'>[]> {
  const slot = qualified(schema, 'svc_comm_task_slot');
  const sql = `WITH orphan AS MATERIALIZED (
  SELECT s.name, s.n, s.task_id FROM ${slot} s WHERE s.task_id IS NOT NULL AND NOT EXISTS (
    SELECT FROM ${qualified(schema, 'svc_comm_task')} t WHERE t.id = s.task_id AND t.state IN ('PENDING', 'STARTED'))
)
UPDATE ${slot} s SET task_id = NULL FROM orphan o WHERE s.name = o.name AND s.n = o.n AND s.task_id = o.task_id
RETURNING s.name AS name, o.task_id::text AS id`;
  return db.query<Pick<Recovered, 'id' | 'name'>>(sql, []);
}

/** Forgets tasks whose result was kept for long enough. @returns how many */
export async function deleteExpired(db: SqlExecutor, schema: string, limit = 1000): Promise<number> {
  const task = qualified(schema, 'svc_comm_task');
  const sql = `WITH old AS (
    SELECT id FROM ${task} WHERE expires_at < clock_timestamp() ORDER BY expires_at LIMIT ${limit} FOR UPDATE SKIP LOCKED
  ), gone AS (
    DELETE FROM ${task} t USING old WHERE t.id = old.id AND t.state NOT IN ('PENDING', 'STARTED') RETURNING 1
  ) SELECT count(*)::int AS gone FROM gone`;
  return (await db.query<{ gone: number }>(sql, []))[0]?.gone ?? 0;
}
