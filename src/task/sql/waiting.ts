import type { SqlExecutor } from '../../database/executor.ts';
import { qualified } from '../../database/identifier.ts';

/** Tasks of one name that are due and have not begun. */
export interface WaitingTasks {
  readonly name: string;
  readonly count: number;
  /** Since when the first of them is due. */
  readonly oldest: Date;
  /** How long ago that is, by the database's clock. */
  readonly oldestMs: number;
}

/** How many names are told of, those whose tasks wait longest first. */
const MOST_NAMES = 20;

/** Tasks that have been due for so long, whoever would run them. */
export async function readWaiting(db: SqlExecutor, schema: string, dueForMs: number): Promise<WaitingTasks[]> {
  const rows = await db.query<{ name: string; count: string; due_ms: number; age_ms: number }>(
    `SELECT name, count(*) AS count, extract(epoch FROM min(due_at))::float8 * 1000 AS due_ms,
            extract(epoch FROM statement_timestamp() - min(due_at))::float8 * 1000 AS age_ms
       FROM ${qualified(schema, 'svc_comm_task')}
      WHERE state = 'PENDING' AND due_at < statement_timestamp() - $1::float8 * interval '1 ms'
      GROUP BY name ORDER BY min(due_at) LIMIT ${MOST_NAMES}`,
    [String(dueForMs)],
  );
  return rows.map(({ name, count, due_ms, age_ms }) => ({
    name,
    count: Number(count),
    oldest: new Date(Number(due_ms)),
    oldestMs: Number(age_ms),
  }));
}

/** Asked first: PostgreSQL logs each statement that it refuses. @returns false as well when there is no such table */
export async function mayReadWaiting(db: SqlExecutor, schema: string): Promise<boolean> {
  const [row] = await db.query<{ allowed: boolean }>(
    `SELECT bool_and(has_column_privilege(c.oid, a.attnum, 'SELECT')) AS allowed
       FROM pg_namespace s JOIN pg_class c ON c.relnamespace = s.oid AND c.relname = 'svc_comm_task'
       JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname IN ('id', 'state', 'due_at')
      WHERE s.nspname = $1::text`,
    [schema],
  );
  return row?.allowed === true;
}

/** How long the one that waits longest has been due, by the database's clock, in ms; 0 when none is. */
export async function oldestWaitingTaskMs(db: SqlExecutor, schema: string): Promise<number> {
  const [row] = await db.query<{ age: number }>(
    `SELECT extract(epoch FROM statement_timestamp() - due_at)::float8 * 1000 AS age
       FROM ${qualified(schema, 'svc_comm_task')} WHERE state = 'PENDING' ORDER BY due_at, id LIMIT 1`,
    [],
  );
  return Math.max(0, Math.round(Number(row?.age ?? 0)));
}
