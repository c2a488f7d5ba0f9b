import { arrayLiteral } from '../../database/array-literal.ts';
import type { SqlExecutor } from '../../database/executor.ts';
import { qualified } from '../../database/identifier.ts';
import { statement } from '../../database/statement.ts';
import type { FinalState } from '../state.ts';
import { TASK_CHANNEL, TOLD_RESULT_BYTES } from './channel.ts';

/** How a run ended. `retryMs`: not for good, it is to run again after so long. */
export interface FinishedRun {
  readonly id: string;
  readonly attempt: number;
  readonly state: FinalState;
  /** JSON. */
  readonly result: string | null;
  /** JSON of a `TaskFailure`. */
  readonly error: string | null;
  readonly log: string | null;
  readonly retryMs: number | null;
}

/** What there is to write of it that may be large. */
export const bytesOf = ({ result, error, log }: FinishedRun): number =>
  [result, error, log].reduce((sum, text) => sum + (text === null ? 0 : Buffer.byteLength(text)), 0);

/**
 * For several runs at once: compare and set on owner and attempt (a database that failed over may have lost a claim, and
 * another worker's has the same number then), the places come free, who waits is told. A run that somebody asked to end
 * meanwhile is not run again: it is REVOKED. One that is given back (LOST, to run again) has waited since it was due.
 */
const finishStatement = statement('finish_tasks', (schema) => {
  const task = qualified(schema, 'svc_comm_task');
  const slot = qualified(schema, 'svc_comm_task_slot');
  return `WITH r AS MATERIALIZED (
  SELECT * FROM unnest($1::uuid[], $2::int[], $3::text[], $4::text[], $5::text[], $6::text[], $7::float8[])
    AS r(id, attempt, state, result, error, log, retry_ms)
), ended AS MATERIALIZED (
  UPDATE ${task} t SET
    state = CASE WHEN r.retry_ms IS NULL THEN r.state WHEN t.cancel_requested THEN 'REVOKED' ELSE 'PENDING' END,
    failures = t.failures + (r.state = 'FAILURE')::int, owner = NULL, lease_until = NULL,
    result = r.result, error = r.error, log = r.log,
    due_at = CASE WHEN r.retry_ms IS NULL OR r.state = 'LOST' THEN t.due_at ELSE clock_timestamp() + r.retry_ms * interval '1 ms' END,
    finished_at = CASE WHEN r.retry_ms IS NULL OR t.cancel_requested THEN clock_timestamp() END,
    expires_at = CASE WHEN r.retry_ms IS NULL OR t.cancel_requested THEN clock_timestamp() + t.result_ttl_ms * interval '1 ms' END
    FROM r WHERE t.id = r.id AND t.attempt = r.attempt AND t.owner = $8::uuid AND t.state = 'STARTED'
  RETURNING t.id, t.state, t.holds_slot, t.queue, t.due_at, t.result
), freed AS (
  UPDATE ${slot} SET task_id = NULL
   WHERE task_id IN (SELECT e.id FROM ended e WHERE e.state <> 'PENDING' OR NOT e.holds_slot)
), told AS MATERIALIZED (
  SELECT pg_notify('${TASK_CHANNEL}', e.id || ' ' || e.state
    || CASE WHEN e.state = 'SUCCESS' AND octet_length(e.result) <= ${TOLD_RESULT_BYTES} THEN ' ' || e.result ELSE '' END)
    FROM ended e WHERE e.state <> 'PENDING'
), sent AS MATERIALIZED (
  SELECT ${qualified(schema, 'svc_comm_task_send')}(e.id, e.queue, e.due_at) AS n FROM ended e WHERE e.state = 'PENDING'
)
SELECT e.id::text AS id, e.state AS state FROM ended e,
  (SELECT count(*) AS n FROM told) AS t, (SELECT sum(n) AS n FROM sent) AS s`;
});

/** @returns the ids of those that were still ours to end */
export async function finishTasks(
  db: SqlExecutor,
  schema: string,
  owner: string,
  runs: readonly FinishedRun[],
): Promise<ReadonlySet<string>> {
  const { sql, name } = finishStatement(schema);
  const params = [...COLUMNS.map((column) => arrayLiteral(runs.map(column))), owner];
  return new Set((await db.query<{ id: string }>(sql, params, name)).map(({ id }) => id));
}

const COLUMNS: readonly ((run: FinishedRun) => string | null)[] = [
  (run) => run.id,
  (run) => String(run.attempt),
  (run) => run.state,
  (run) => run.result,
  (run) => run.error,
  (run) => run.log,
  (run) => (run.retryMs === null ? null : String(run.retryMs)),
];

/** Keeps the progress of a run and tells it. Changes nothing when the run is not the owner's any more. */
export async function saveProgress(
  db: SqlExecutor,
  schema: string,
  owner: string,
  run: { readonly id: string; readonly attempt: number; readonly fraction: number; readonly note: string | undefined },
): Promise<void> {
  const sql = `WITH kept AS (
    UPDATE ${qualified(schema, 'svc_comm_task')} SET progress = $3::float8, note = $4::text
     WHERE id = $1::uuid AND attempt = $2::int AND owner = $5::uuid AND state = 'STARTED' RETURNING id
  ) SELECT pg_notify('${TASK_CHANNEL}', id || ' progress ' || $3::text || coalesce(' ' || $4::text, '')) FROM kept`;
  const params = [run.id, String(run.attempt), String(run.fraction), run.note ?? null, owner];
  await db.query(sql, params, `svc_comm_progress`);
}
