import { arrayLiteral } from '../../database/array-literal.ts';
import type { SqlExecutor } from '../../database/executor.ts';
import { qualified } from '../../database/identifier.ts';
import { statement } from '../../database/statement.ts';

export interface NewInstance {
  readonly id: string;
  readonly process: string;
  /** JSON. */
  readonly request: string;
  readonly fingerprint: string;
  readonly submitter: string;
  readonly owner: string;
  readonly leaseMs: number;
  readonly steps: readonly NewStep[];
}

export interface NewStep {
  readonly kind: 'sync' | 'async';
  readonly position: number;
  readonly name: string;
  /** JSON. */
  readonly args: string;
  readonly taskId: string | null;
  /** ISO 8601; null: when it is submitted. */
  readonly dueAt: string | null;
}

/** Instance and steps in one statement: all are there or none. */
const createStatement = statement('create_instance', (schema) => {
  const instance = qualified(schema, 'svc_comm_process_instance');
  const task = qualified(schema, 'svc_comm_process_task');
  return `WITH made AS (
  INSERT INTO ${instance} (id, process, request, fingerprint, submitter, owner, lease_until)
  VALUES ($1::text::uuid, $2::text, $3::text, $4::text, $5::text, $6::text::uuid,
    clock_timestamp() + $7::text::float8 * interval '1 ms')
  ON CONFLICT (id) DO NOTHING RETURNING id
), steps AS (
  INSERT INTO ${task} (instance_id, kind, position, name, args, task_id, due_at)
  SELECT made.id, s.kind, s.position, s.name, s.args, s.task_id::uuid, s.due_at::timestamptz FROM made,
    unnest($8::text::text[], $9::text::int[], $10::text::text[], $11::text::text[], $12::text::text[], $13::text::text[])
      AS s(kind, position, name, args, task_id, due_at)
)
SELECT id::text AS id FROM made`;
});

/** @returns false when there is one of this id already */
export async function createInstance(db: SqlExecutor, schema: string, instance: NewInstance): Promise<boolean> {
  const { id, process, request, fingerprint, submitter, owner, leaseMs, steps } = instance;
  const { sql, name } = createStatement(schema);
  const column = (of: (step: NewStep) => string | null) => arrayLiteral(steps.map(of));
  const params = [
    id,
    process,
    request,
    fingerprint,
    submitter,
    owner,
    String(leaseMs),
    column(({ kind }) => kind),
    column(({ position }) => String(position)),
    column((step) => step.name),
    column(({ args }) => args),
    column(({ taskId }) => taskId),
    column(({ dueAt }) => dueAt),
  ];
  return (await db.query(sql, params, name)).length > 0;
}
