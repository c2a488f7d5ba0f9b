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
  readonly request: string;
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
  readonly args: string;
  readonly result: string | null;
  readonly error: string | null;
  readonly task_id: string | null;
  readonly due: number | null;
  readonly started: number | null;
  readonly finished: number | null;
}

/** Milliseconds since the epoch: what a timestamp becomes differs between libraries. */
const time = (column: string): string => `extract(epoch FROM ${column})::float8 * 1000`;

const select = (schema: string): string => `SELECT i.id::text AS id, i.process AS process, i.state AS state,
    i.request AS request, i.fingerprint AS fingerprint, i.submitter AS submitter, i.cancel_requested AS cancelling,
    coalesce(i.state = 'New' AND i.lease_until < clock_timestamp(), false) AS lost,
    ${time('i.created_at')} AS created, ${time('i.finished_at')} AS finished,
    (SELECT json_agg(json_build_object('name', t.name, 'kind', t.kind, 'status', t.status, 'args', t.args,
       'result', t.result, 'error', t.error, 'task_id', t.task_id, 'due', ${time('t.due_at')},
       'started', ${time('t.started_at')}, 'finished', ${time('t.finished_at')}) ORDER BY t.kind DESC, t.position)::text
       FROM ${qualified(schema, 'svc_comm_process_task')} t WHERE t.instance_id = i.id) AS tasks
  FROM ${qualified(schema, 'svc_comm_process_instance')} i`;

export async function readInstance(db: SqlExecutor, schema: string, id: string): Promise<InstanceRecord | undefined> {
  const [row] = await db.query<Row>(`${select(schema)} WHERE i.id = $1::text::uuid`, [id]);
  return row && recordOf(row);
}

/** Newest first. */
export async function listInstances(
  db: SqlExecutor,
  schema: string,
  { process, submitter, states, limit, offset }: InstanceFilter,
): Promise<InstanceRecord[]> {
  const sql = `${select(schema)}
   WHERE ($1::text IS NULL OR i.process = $1::text) AND ($2::text IS NULL OR i.submitter = $2::text)
     AND ($3::text IS NULL OR i.state = ANY ($3::text::text[]))
   ORDER BY i.created_at DESC, i.id DESC LIMIT $4::text::bigint OFFSET $5::text::bigint`;
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
  const { body } = JSON.parse(row.request) as { body?: unknown };
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
    args: JSON.parse(args) as readonly unknown[],
    ...(result === null ? {} : { result: JSON.parse(result) as unknown }),
    ...(error === null ? {} : { error: JSON.parse(error) as TaskFailure }),
    ...(task_id === null || status === 'WAITING' || status === 'SKIPPED' ? {} : { taskId: task_id }),
    ...(due === null ? {} : { dueAt: new Date(due) }),
    ...(started === null ? {} : { startedAt: new Date(started) }),
    ...(finished === null ? {} : { finishedAt: new Date(finished) }),
  };
}
