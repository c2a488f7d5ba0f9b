import type { SqlExecutor, TransactionExecutor } from '../../database/executor.ts';
import { isMarked } from '../../database/executor.ts';
import { qualified } from '../../database/identifier.ts';
import { statement } from '../../database/statement.ts';

/** A task as it is submitted. */
export interface NewTask {
  readonly id: string;
  readonly name: string;
  /** JSON. */
  readonly args: string;
  readonly maxConcurrency: number;
  /** Whether it must have a place now. */
  readonly holdsSlot: boolean;
  readonly queue: string;
  readonly submitter: string;
  readonly idempotencyKey: string | null;
  /** ISO 8601; null: now. */
  readonly dueAt: string | null;
  /** From now on; instead of `dueAt`. */
  readonly delayMs: number | null;
  readonly resultTtlMs: number;
  readonly handOvers: number;
  readonly correlationId: string | null;
  readonly traceparent: string | null;
  /** What others may submit at the same time: the id or the idempotency key, when the caller chose it. */
  readonly chosenKey: string | null;
}

/** `full`: there is no place for it. `known`: its id or idempotency key was there already. */
export type Submission =
  | { readonly kind: 'submitted' }
  | { readonly kind: 'known'; readonly id: string; readonly name: string; readonly args: string }
  | { readonly kind: 'full' };

/** Second half: the hash of an id or key that the caller chose. */
const ID_LOCK_NAMESPACE = 0x5c0e;

/**
 * Row, place and message in one statement. Two that submit the same id at the same time: the second waits for the first
 * to commit, and does not see it in its snapshot: it writes nothing and must ask again. The place is taken after the row
 * is written: with a conflict neither is, so whoever dies before it asks again leaves nothing behind.
 */
const submitStatement = statement('submit_task', (schema) => {
  const task = qualified(schema, 'svc_comm_task');
  const slot = qualified(schema, 'svc_comm_task_slot');
  // A condition without columns is looked at before the table is (a one-time filter): joined, a CTE is not run when the
  // table that is read first has no row.
  const hasLock = '(SELECT count(*) FROM alone) >= 0';
  return `WITH alone AS MATERIALIZED (
  SELECT pg_advisory_xact_lock(${ID_LOCK_NAMESPACE}, hashtext($15::text)) WHERE $15::text IS NOT NULL AND ${isMarked('$16')}
), known AS MATERIALIZED (
  SELECT id, name, args FROM ${task} WHERE ${hasLock} AND id = $1::text::uuid
  UNION ALL
  SELECT id, name, args FROM ${task}
   WHERE ${hasLock} AND $9::text IS NOT NULL AND name = $2::text AND submitter = $8::text AND idempotency_key = $9::text
   LIMIT 1
), free AS MATERIALIZED (
  SELECT name, n FROM ${slot}
   WHERE $6::text = 'true' AND name = $2::text AND n < $4::text::int AND task_id IS NULL AND NOT EXISTS (SELECT FROM known)
   ORDER BY n LIMIT 1 FOR UPDATE SKIP LOCKED
), made AS (
  INSERT INTO ${task} (id, name, args, queue, holds_slot, submitter, idempotency_key, due_at, result_ttl_ms, hand_overs,
    correlation_id, traceparent)
  SELECT $1::text::uuid, $2::text, $3::text, $5::text, $6::text = 'true', $8::text, $9::text,
    coalesce($7::text::timestamptz, clock_timestamp() + coalesce($10::text::float8, 0) * interval '1 millisecond'),
    $11::text::float8, $12::text::int, $13::text, $14::text
   WHERE NOT EXISTS (SELECT FROM known) AND ($6::text <> 'true' OR EXISTS (SELECT FROM free)) AND ${isMarked('$16')}
  ON CONFLICT DO NOTHING
  RETURNING id, due_at
), taken AS (
  UPDATE ${slot} s SET task_id = m.id FROM free f, made m WHERE s.name = f.name AND s.n = f.n
), sent AS MATERIALIZED (
  SELECT ${schemaFunction(schema)}(made.id, $5::text, made.due_at) AS n FROM made
)
SELECT (SELECT sum(n) FROM sent)::text AS sent, (SELECT id::text FROM known) AS id, (SELECT name FROM known) AS name,
  (SELECT args FROM known) AS args
WHERE ${isMarked('$16')}`;
});

const schemaFunction = (schema: string): string => qualified(schema, 'svc_comm_task_send');

interface SubmitRow {
  readonly sent: string | null;
  readonly id: string | null;
  readonly name: string | null;
  readonly args: string | null;
}

/** Where a submit is written: in a transaction of somebody's, or as a transaction of its own. */
export type SubmitTarget =
  | { readonly kind: 'transaction'; readonly executor: TransactionExecutor }
  | { readonly kind: 'own'; readonly executor: SqlExecutor };

/** @throws TransactionFinishedError, MigrationRequiredError, DatabaseUnavailableError */
export async function submit(target: SubmitTarget, schema: string, task: NewTask): Promise<Submission> {
  for (let tries = 0; tries < TRIES; tries++) {
    const row = await write(target, schema, task);
    if (row.sent !== null) return { kind: 'submitted' };
    const known = knownOf(row);
    if (known) return known;
    const isFull = task.holdsSlot && !(await mayFindSlot(target.executor, schema, task));
    // Whoever waited for another with the same id did so with a snapshot from before; and after the look at the places, one
    // of which may be that other's.
    const found = task.chosenKey === null ? undefined : await findKnown(target.executor, schema, task);
    if (found) return found;
    if (isFull) break;
  }
  return { kind: 'full' };
}

/** More than once when the places had to be made, or others submit at the same time. */
const TRIES = 5;

const knownOf = ({ id, name, args }: Pick<SubmitRow, 'id' | 'name' | 'args'>): Submission | undefined =>
  id === null ? undefined : { kind: 'known', id, name: name ?? '', args: args ?? '' };

async function findKnown(db: SqlExecutor, schema: string, task: NewTask): Promise<Submission | undefined> {
  const sql = `SELECT id::text AS id, name, args FROM ${qualified(schema, 'svc_comm_task')}
    WHERE id = $1::text::uuid OR (name = $2::text AND submitter = $3::text AND idempotency_key = $4::text) LIMIT 1`;
  const [row] = await db.query<Pick<SubmitRow, 'id' | 'name' | 'args'>>(sql, [
    task.id,
    task.name,
    task.submitter,
    task.idempotencyKey,
  ]);
  return row && knownOf(row);
}

async function write(target: SubmitTarget, schema: string, task: NewTask): Promise<SubmitRow> {
  const { sql, name } = submitStatement(schema);
  const params = [
    task.id,
    task.name,
    task.args,
    String(task.maxConcurrency),
    task.queue,
    String(task.holdsSlot),
    task.dueAt,
    task.submitter,
    task.idempotencyKey,
    task.delayMs === null ? null : String(task.delayMs),
    String(task.resultTtlMs),
    String(task.handOvers),
    task.correlationId,
    task.traceparent,
    task.chosenKey,
  ];
  const rows =
    target.kind === 'own'
      ? await target.executor.query<SubmitRow>(sql, [...params, null], name)
      : await target.executor.write<SubmitRow>(sql, params, 1, name);
  const [row] = rows;
  if (!row) throw new Error('a submit returned no row');
  return row;
}

/** Makes the places that are missing. */
export async function makeSlots(db: SqlExecutor, schema: string, name: string, count: number): Promise<void> {
  const slot = qualified(schema, 'svc_comm_task_slot');
  const sql = `INSERT INTO ${slot} (name, n)
    SELECT $1::text, g.n FROM generate_series(0, $2::text::int - 1) AS g(n)
     WHERE NOT EXISTS (SELECT FROM ${slot} s WHERE s.name = $1::text AND s.n = g.n)
    ON CONFLICT DO NOTHING`;
  await db.query(sql, [name, String(count)]);
}

/** Whether there may be a place all the same: some were missing and are made now, or one was locked and looks free. */
async function mayFindSlot(db: SqlExecutor, schema: string, { name, maxConcurrency }: NewTask): Promise<boolean> {
  const sql = `SELECT count(*)::int AS made, count(*) FILTER (WHERE task_id IS NULL)::int AS free
    FROM ${qualified(schema, 'svc_comm_task_slot')} WHERE name = $1::text AND n < $2::text::int`;
  const [slots] = await db.query<{ made: number; free: number }>(sql, [name, String(maxConcurrency)]);
  const { made = 0, free = 0 } = slots ?? {};
  if (Number(made) < maxConcurrency) await makeSlots(db, schema, name, maxConcurrency);
  return Number(made) < maxConcurrency || Number(free) > 0;
}
