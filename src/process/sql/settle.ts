import type { SqlExecutor } from '../../database/executor.ts';
import { qualified } from '../../database/identifier.ts';
import { statement } from '../../database/statement.ts';
import type { InstanceState } from '../instance.ts';
import { type EndedStep, endedParams } from './advance.ts';

/** The end of an instance's time with its server: the synchronous tasks are done, one failed, or it was cancelled. */
export type Settled = Extract<InstanceState, 'Running' | 'Complete' | 'Failed' | 'Cancelled'>;

/**
 * Writes the end of the last step as well. Only while the instance is New and ours. Running and Complete only when nobody asked for its end; with the others what waits is
 * skipped.
 */
const settleStatement = statement('settle_instance', (schema) => {
  const task = qualified(schema, 'svc_comm_process_task');
  return `WITH settled AS (
  UPDATE ${qualified(schema, 'svc_comm_process_instance')} SET state = $3::text, owner = NULL, lease_until = NULL,
    finished_at = CASE WHEN $3::text = 'Running' THEN NULL ELSE clock_timestamp() END
   WHERE id = $1::text::uuid AND owner = $2::text::uuid AND state = 'New'
     AND (NOT cancel_requested OR $3::text NOT IN ('Running', 'Complete'))
  RETURNING id
), ended AS (
  UPDATE ${task} t SET status = $5::text, result = $6::text, error = $7::text, finished_at = clock_timestamp()
    FROM settled WHERE t.instance_id = settled.id AND t.kind = 'sync' AND t.position = $4::text::int
), skipped AS (
  UPDATE ${task} t SET status = 'SKIPPED' FROM settled
   WHERE t.instance_id = settled.id AND t.status = 'WAITING' AND $3::text <> 'Running'
)
SELECT id::text AS id FROM settled`;
});

/** @returns false when it is not ours any more, or somebody asked for its end: nothing was written */
export async function settleInstance(
  db: SqlExecutor,
  schema: string,
  { id, owner }: { readonly id: string; readonly owner: string },
  { state, ended }: { readonly state: Settled; readonly ended?: EndedStep | undefined },
): Promise<boolean> {
  const { sql, name } = settleStatement(schema);
  return (await db.query(sql, [id, owner, state, ...endedParams(ended)], name)).length > 0;
}

/** Ties the submitted tasks to the instance, in the transaction that submits them. @returns how many */
export async function adoptTasks(db: SqlExecutor, schema: string, id: string): Promise<number> {
  const task = qualified(schema, 'svc_comm_process_task');
  const sql = `WITH adopted AS (
  UPDATE ${qualified(schema, 'svc_comm_task')} t SET process_instance = p.instance_id
    FROM ${task} p WHERE p.instance_id = $1::text::uuid AND p.kind = 'async' AND t.id = p.task_id
  RETURNING t.id, t.due_at
), pending AS (
  UPDATE ${task} p SET status = 'PENDING', due_at = a.due_at FROM adopted a WHERE p.task_id = a.id
)
SELECT count(*)::int AS n FROM adopted`;
  const [row] = await db.query<{ n: number }>(sql, [id]);
  return row?.n ?? 0;
}
