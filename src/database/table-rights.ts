import { DatabaseRightsError } from '../errors.ts';
import { arrayLiteral } from './array-literal.ts';
import type { SqlExecutor } from './executor.ts';

export type TableRight = 'SELECT' | 'INSERT' | 'UPDATE' | 'DELETE';

export const ALL_RIGHTS: readonly TableRight[] = Object.freeze(['SELECT', 'INSERT', 'UPDATE', 'DELETE']);

/** By table, what is done with it. */
export type NeededRights = Readonly<Record<string, readonly TableRight[]>>;

/**
 * Asks the catalogue before anything is begun: a right that is missed only when it is used costs the message at hand its
 * attempts. Tables that are not there are passed over: a statement finds out.
 * @throws DatabaseRightsError (SVC_COMM_DATABASE_RIGHTS) with every right that is missing
 */
export async function assertTableRights(db: SqlExecutor, schema: string, needed: NeededRights): Promise<void> {
  const pairs = Object.entries(needed).flatMap(([table, rights]) => rights.map((right) => [table, right] as const));
  const tables = arrayLiteral(pairs.map(([table]) => table));
  const rights = arrayLiteral(pairs.map(([, right]) => right));
  const rows = await db.query<Missing>(MISSING, [schema, tables, rights]);
  if (rows.length > 0) throw new DatabaseRightsError(rows.map(inWords).join(', '));
}

interface Missing {
  readonly name: string;
  readonly command: TableRight;
  readonly granted: boolean;
}

const inWords = ({ name, command, granted }: Missing): string =>
  granted ? `row level security with no policy for ${command} on ${name}` : `no ${command} on ${name}`;

/**
 * SQL condition. Of row level security only that is certain which no policy permits: whether one that there is lets our
 * rows through shows when they come.
 * @param table its oid @param command a TableRight
 */
export const hasNoPolicy = (table: string, command: string): string => `row_security_active(${table}) AND NOT EXISTS (
  SELECT FROM pg_policy p WHERE p.polrelid = ${table} AND p.polpermissive
    AND p.polcmd IN ('*', CASE ${command} WHEN 'SELECT' THEN 'r' WHEN 'INSERT' THEN 'a' WHEN 'UPDATE' THEN 'w' ELSE 'd' END)
    AND EXISTS (SELECT FROM unnest(p.polroles) role WHERE CASE role WHEN 0 THEN true ELSE pg_has_role(role, 'USAGE') END))`;

/** A right on some columns may be enough. */
const MISSING = `SELECT name, command, granted FROM (
    SELECT needed.name, needed.command, needed.n,
      has_schema_privilege(s.oid, 'USAGE') AND CASE needed.command
        WHEN 'DELETE' THEN has_table_privilege(c.oid, 'DELETE')
        ELSE has_any_column_privilege(c.oid, needed.command) END AS granted,
      ${hasNoPolicy('c.oid', 'needed.command')} AS denied
    FROM unnest($2::text::text[], $3::text::text[]) WITH ORDINALITY AS needed (name, command, n)
    JOIN pg_namespace s ON s.nspname = $1::text
    JOIN pg_class c ON c.relnamespace = s.oid AND c.relname = needed.name
  ) asked WHERE NOT granted OR denied ORDER BY n`;
