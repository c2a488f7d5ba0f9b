import type { SqlExecutor } from '../../database/executor.ts';
import { qualified } from '../../database/identifier.ts';
import { DeadlockError } from '../../errors.ts';
import type { TaskState } from '../state.ts';
import { TASK_CHANNEL } from './channel.ts';

const DEADLOCK_TRIES = 5;

export interface Cancelled {
  readonly id: string;
  /** REVOKED: it had not begun. STARTED: its worker has been told. */
  readonly state: TaskState;
}

/**
 * Ends what waits, and asks the workers of what runs to end it. What has ended is left as it is.
 * @param by one task, or all of a name, or of a submitter among them, or all of a process instance
 */
export async function requestCancel(
  db: SqlExecutor,
  schema: string,
  by:
    | { readonly id: string }
    | { readonly name: string; readonly submitter?: string | undefined }
    | { readonly processInstance: string },
): Promise<Cancelled[]> {
  const task = qualified(schema, 'svc_comm_task');
  const slot = qualified(schema, 'svc_comm_task_slot');
  const future = qualified(schema, 'svc_comm_future');
  const [where, params] =
    'id' in by
      ? ['t.id = $1::text::uuid', [by.id]]
      : 'processInstance' in by
        ? ['t.process_instance = $1::text::uuid', [by.processInstance]]
        : ['t.name = $1::text AND ($2::text IS NULL OR t.submitter = $2::text)', [by.name, by.submitter ?? null]];
  const sql = `WITH asked AS MATERIALIZED (
  UPDATE ${task} t SET cancel_requested = true,
    state = CASE t.state WHEN 'PENDING' THEN 'REVOKED' ELSE t.state END,
    finished_at = CASE t.state WHEN 'PENDING' THEN clock_timestamp() END,
    expires_at = CASE t.state WHEN 'PENDING' THEN clock_timestamp() + t.result_ttl_ms * interval '1 millisecond' END
   WHERE ${where} AND t.state IN ('PENDING', 'STARTED')
  RETURNING t.id, t.state, t.due_at
), freed AS (
  UPDATE ${slot} SET task_id = NULL WHERE task_id IN (SELECT id FROM asked WHERE state = 'REVOKED')
), unsent AS (
  DELETE FROM ${future} f USING asked a
   WHERE a.due_at > clock_timestamp() AND f.exchange = '' AND f.tags @> jsonb_build_object('svcCommTask', a.id::text)
), told AS MATERIALIZED (
  SELECT pg_notify('${TASK_CHANNEL}', a.id || CASE a.state WHEN 'REVOKED' THEN ' REVOKED' ELSE ' cancel' END) FROM asked a
)
SELECT a.id::text AS id, a.state AS state FROM asked a, (SELECT count(*) AS n FROM told) AS t`;
  for (let tries = 1; ; tries++) {
    try {
      return await db.query<Cancelled>(sql, params);
    } catch (error) {
      // A worker writes the ends of several tasks in the order that they come.
      if (!(error instanceof DeadlockError) || tries >= DEADLOCK_TRIES) throw error;
    }
  }
}
