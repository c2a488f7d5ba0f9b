import { arrayLiteral } from '../../database/array-literal.ts';
import type { SqlExecutor } from '../../database/executor.ts';
import { qualified } from '../../database/identifier.ts';
import type { TaskFailure } from '../../task/state.ts';
import type { InstanceState, InstanceTask, ProcessInstance, StepStatus } from '../instance.ts';

/** An instance, with what only this side of it needs. */
export interface InstanceRecord extends ProcessInstance {
  readonly fingerprint: string;
  /** It is New, and the lease of its server has run out. */
  readonly isLost: boolean;
}

export interface InstanceFilter {
  readonly process?: string | undefined;
  readonly submitter?: string | undefined;
  readonly states?: readonly InstanceState[] | undefined;
  readonly limit: number;
  readonly offset: number;
}

interface Row {
  readonly id: string;
  readonly process: string;
  readonly state: InstanceState;
  /** null: left out. */
  readonly request: string | null;
  readonly fingerprint: string;
  readonly submitter: string;
  readonly cancelling: boolean;
  readonly lost: boolean;
  readonly created: number;
  readonly finished: number | null;
  /** JSON. */
  readonly tasks: string | null;
}

interface TaskRow {
  readonly name: string;
  readonly kind: 'sync' | 'async';
  readonly status: StepStatus;
  /** null: left out, as the result is. */
  readonly args: string | null;
  readonly result: string | null;
  readonly error: string | null;
  readonly task_id: string | null;
  readonly due: number | null;
  readonly started: number | null;
  readonly finished: number | null;
}

/** Milliseconds since the epoch: what a timestamp becomes differs between libraries. */
const time = (column: string): string => `extract(epoch FROM ${column})::float8 * 1000`;

/** @param isWhole whether what was given, and what the tasks returned, is told */
const select = (schema: string, isWhole = 'true'): string => `SELECT i.id::text AS id, i.process AS process,
    i.state AS state, CASE WHEN ${isWhole} THEN i.request END AS request, i.fingerprint AS fingerprint,
    i.submitter AS submitter, i.cancel_requested AS cancelling,
    coalesce(i.state = 'New' AND i.lease_until < clock_timestamp(), false) AS lost,
    ${time('i.created_at')} AS created, ${time('i.finished_at')} AS finished,
    (SELECT json_agg(json_build_object('name', t.name, 'kind', t.kind, 'status', t.status,
       'args', CASE WHEN ${isWhole} THEN t.args END, 'result', CASE WHEN ${isWhole} THEN t.result END, 'error', t.error, 'task_id', t.task_id, 'due', ${time('t.due_at')},
       'started', ${time('t.started_at')}, 'finished', ${time('t.finished_at')}) ORDER BY t.kind DESC, t.position)::text
       FROM ${qualified(schema, 'svc_comm_process_task')} t WHERE t.instance_id = i.id) AS tasks
  FROM ${qualified(schema, 'svc_comm_process_instance')} i`;

export async function readInstance(db: SqlExecutor, schema: string, id: string): Promise<InstanceRecord | undefined> {
  const [row] = await db.query<Row>(`${select(schema)} WHERE i.id = $1::text::uuid`, [id]);
  return row && recordOf(row);
}

/** Of what the instances of a page were given and their tasks returned, in bytes: more would be held in memory at once. */
const MOST_LISTED_BYTES = 8 * 1024 * 1024;

/** Newest first. Those that would make the page too long are abridged: it, and each row's place in it, stay as they are. */
export async function listInstances(
  db: SqlExecutor,
  schema: string,
  { process, submitter, states, limit, offset }: InstanceFilter,
): Promise<InstanceRecord[]> {
  // The lengths are known without the values, which PostgreSQL keeps elsewhere when they are long.
  const sql = `WITH page AS MATERIALIZED (
  SELECT i.id, i.created_at, octet_length(i.request) + (
      SELECT coalesce(sum(octet_length(t.args) + coalesce(octet_length(t.result), 0)), 0)
        FROM ${qualified(schema, 'svc_comm_process_task')} t WHERE t.instance_id = i.id) AS bytes
    FROM ${qualified(schema, 'svc_comm_process_instance')} i
   WHERE ($1::text IS NULL OR i.process = $1::text) AND ($2::text IS NULL OR i.submitter = $2::text)
     AND ($3::text IS NULL OR i.state = ANY ($3::text::text[]))
   ORDER BY i.created_at DESC, i.id DESC LIMIT $4::text::bigint OFFSET $5::text::bigint
), summed AS (
  SELECT id, sum(bytes) OVER (ORDER BY created_at DESC, id DESC) <= ${MOST_LISTED_BYTES} AS is_whole FROM page
)
${select(schema, 's.is_whole')} JOIN summed s ON s.id = i.id
   ORDER BY i.created_at DESC, i.id DESC`;
  const params = [
    process ?? null,
    submitter ?? null,
    states ? arrayLiteral(states) : null,
    String(limit),
    String(offset),
  ];
  return (await db.query<Row>(sql, params)).map(recordOf);
}

function recordOf(row: Row): InstanceRecord {
  const { id, process, state, fingerprint, submitter } = row;
  const { body } = JSON.parse(row.request ?? '{}') as { body?: unknown };
  const tasks = row.tasks === null ? [] : (JSON.parse(row.tasks) as readonly TaskRow[]);
  return {
    id,
    process,
    state,
    input: body,
    submitter,
    isCancelRequested: row.cancelling,
    createdAt: new Date(row.created),
    ...(row.finished === null ? {} : { finishedAt: new Date(row.finished) }),
    tasks: tasks.map(taskOf),
    ...(row.request === null ? { isAbridged: true } : {}),
    fingerprint,
    isLost: row.lost,
  };
}

function taskOf(row: TaskRow): InstanceTask {
  const { name, kind, status, args, result, error, task_id, due, started, finished } = row;
  return {
    name,
    kind,
    status,
    args: args === null ? [] : (JSON.parse(args) as readonly unknown[]),
    ...(result === null ? {} : { result: JSON.parse(result) as unknown }),
    ...(error === null ? {} : { error: JSON.parse(error) as TaskFailure }),
    ...(task_id === null || status === 'WAITING' || status === 'SKIPPED' ? {} : { taskId: task_id }),
    ...(due === null ? {} : { dueAt: new Date(due) }),
    ...(started === null ? {} : { startedAt: new Date(started) }),
    ...(finished === null ? {} : { finishedAt: new Date(finished) }),
  };
}
