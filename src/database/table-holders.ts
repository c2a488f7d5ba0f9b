import type { Knex } from 'knex';
import type { TableHolder } from '../errors.ts';

/** So many of them are named. */
const MOST_NAMED = 3;

/** Transactions that have locks on our tables in `schema` and run still, the oldest first; other users' have no name. */
export async function tableHolders(knex: Knex, schema: string): Promise<TableHolder[]> {
  const { rows } = await knex.raw(
    `SELECT a.pid, coalesce(a.application_name, '') AS application,
        coalesce(extract(epoch FROM clock_timestamp() - a.xact_start), 0)::float8 AS seconds,
        coalesce(a.state LIKE 'idle in transaction%', false) AS "isIdle"
       FROM pg_stat_activity a
      WHERE a.pid <> pg_backend_pid() AND EXISTS (
        SELECT FROM pg_locks l JOIN pg_class c ON c.oid = l.relation JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE l.pid = a.pid AND l.granted AND n.nspname = ? AND c.relname LIKE 'svc\\_comm\\_%'
           AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()))
      ORDER BY a.xact_start, a.pid LIMIT ${MOST_NAMED}`,
    [schema],
  );
  return rows;
}

/** For a sentence. */
export function describeHolders(holders: readonly TableHolder[]): string {
  const described = holders.map(({ pid, application, seconds, isIdle }) => {
    const who = application === '' ? `session ${pid}` : `session ${pid} of "${application}"`;
    return `${who}, whose transaction began ${Math.round(seconds)} s ago and ${isIdle ? 'waits for its client' : 'runs still'}`;
  });
  return described.join('; ') || 'a transaction that has ended since';
}
