import { arrayLiteral } from '../../database/array-literal.ts';
import type { SqlExecutor } from '../../database/executor.ts';
import { qualified } from '../../database/identifier.ts';
import { statement } from '../../database/statement.ts';
import type { ListedTask, TaskRecord } from '../state.ts';
import { type ListedRow, lightColumns, listedOf, type RecordRow, recordColumns, recordOf } from './task-row.ts';

const one = statement(
  'read_task',
  (schema) => `SELECT ${recordColumns('t')} FROM ${qualified(schema, 'svc_comm_task')} t WHERE t.id = $1::text::uuid`,
);

export async function readTask(db: SqlExecutor, schema: string, id: string): Promise<TaskRecord | undefined> {
  const { sql, name } = one(schema);
  const [row] = await db.query<RecordRow>(sql, [id], name);
  return row && recordOf(row);
}

export interface TaskFilter {
  readonly name?: string | undefined;
  readonly submitter?: string | undefined;
  readonly states?: readonly string[] | undefined;
  readonly limit: number;
  readonly offset: number;
  /** Whether their arguments are read. */
  readonly hasArguments: boolean;
}

/** Bytes of arguments and results of a list: what would make it larger stays in the database. */
export const MOST_LISTED_BYTES = 8 * 1024 * 1024;

/** Newest first. The length of what PostgreSQL keeps beside the row (TOAST) is known without reading it. */
export async function listTasks(db: SqlExecutor, schema: string, filter: TaskFilter): Promise<ListedTask[]> {
  const fits = `p.total <= ${MOST_LISTED_BYTES}`;
  const asked = `$6::text = 'true'`;
  const sql = `SELECT ${lightColumns('p')}, CASE WHEN ${asked} AND ${fits} THEN p.args END AS args,
    CASE WHEN ${fits} THEN p.result END AS result, NOT (${fits}) AND p.bytes > 0 AS abridged
   FROM (SELECT l.*, sum(l.bytes) OVER (ORDER BY l.created_at DESC, l.id DESC) AS total
    FROM (SELECT t.*, coalesce(octet_length(t.result), 0)::bigint
        + CASE WHEN ${asked} THEN octet_length(t.args) ELSE 0 END AS bytes
      FROM ${qualified(schema, 'svc_comm_task')} t
      WHERE ($1::text IS NULL OR t.name = $1::text) AND ($2::text IS NULL OR t.submitter = $2::text)
        AND ($3::text IS NULL OR t.state = ANY ($3::text::text[]))
      ORDER BY t.created_at DESC, t.id DESC LIMIT $4::text::bigint OFFSET $5::text::bigint) l) p
   ORDER BY p.created_at DESC, p.id DESC`;
  const { name, submitter, states, limit, offset, hasArguments } = filter;
  const range = [String(limit), String(offset), String(hasArguments)];
  const params = [name ?? null, submitter ?? null, states ? arrayLiteral(states) : null, ...range];
  return (await db.query<ListedRow>(sql, params)).map(listedOf);
}

export interface TaskCounts {
  /** Submitted, not yet running. */
  readonly pending: number;
  readonly started: number;
}

/** Live ones by name. */
export async function countLive(db: SqlExecutor, schema: string): Promise<Map<string, TaskCounts>> {
  const sql = `SELECT name, count(*) FILTER (WHERE state = 'PENDING')::int AS pending,
      count(*) FILTER (WHERE state = 'STARTED')::int AS started
    FROM ${qualified(schema, 'svc_comm_task')} WHERE state IN ('PENDING', 'STARTED') GROUP BY name`;
  const rows = await db.query<TaskCounts & { name: string }>(sql, []);
  return new Map(rows.map(({ name, pending, started }) => [name, { pending, started }]));
}

/**
 * Of a name, those that count against its limit: what runs, and what keeps its place while it waits. Without a limit
 * there are no places: what runs, and what is due.
 */
export async function countRunning(
  db: SqlExecutor,
  schema: string,
  { name, isLimited }: { readonly name: string; readonly isLimited: boolean },
): Promise<number> {
  const sql = `SELECT count(*)::int AS running FROM ${qualified(schema, 'svc_comm_task')}
    WHERE name = $1::text AND (state = 'STARTED' OR state = 'PENDING'
      AND CASE WHEN $2::text = 'true' THEN holds_slot ELSE due_at <= clock_timestamp() END)`;
  const [row] = await db.query<{ running: number }>(sql, [name, String(isLimited)]);
  return row?.running ?? 0;
}

/** Those of the ids that have ended, or do not exist. */
export async function readEnded(db: SqlExecutor, schema: string, ids: readonly string[]): Promise<string[]> {
  const sql = `SELECT w.id::text AS id FROM unnest($1::text::uuid[]) AS w(id)
    LEFT JOIN ${qualified(schema, 'svc_comm_task')} t ON t.id = w.id
    WHERE t.id IS NULL OR t.state NOT IN ('PENDING', 'STARTED')`;
  return (await db.query<{ id: string }>(sql, [arrayLiteral(ids)])).map(({ id }) => id);
}
