import { randomUUID } from 'node:crypto';
import { deferred } from '../util/deferred.ts';
import { sleep } from '../util/sleep.ts';
import { arrayLiteral } from './array-literal.ts';
import type { DatabaseConnection } from './connection.ts';
import type { SqlExecutor } from './executor.ts';
import { MIGRATIONS_TABLE } from './migrate.ts';
import { ALL_RIGHTS, hasNoPolicy } from './table-rights.ts';

export interface ServerFacts {
  /** `15.5` */
  readonly version: string;
  readonly major: number;
  readonly isStandby: boolean;
  /** A standby, or `default_transaction_read_only`. */
  readonly isReadOnly: boolean;
  readonly maxConnections: number;
  readonly usedConnections: number;
  /** Of the database; PostgreSQL's name. */
  readonly encoding: string;
  /** Transactions of any session whose COMMIT waits for a synchronous standby, for longer than that takes. */
  readonly waitingCommits: number;
}

/** A standby that is there has answered by then. */
const STANDBY_MS = 2_000;

export async function serverFacts(db: SqlExecutor): Promise<ServerFacts> {
  const [row] = await db.query<{
    version: string;
    number: string;
    standby: boolean;
    readonly: string;
    most: string;
    used: string;
    encoding: string;
    waiting: string;
  }>(
    `SELECT current_setting('server_version') AS version, current_setting('server_version_num') AS number,
            pg_is_in_recovery() AS standby, current_setting('transaction_read_only') AS readonly,
            current_setting('max_connections') AS most,
            (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' OR backend_type IS NULL)::text AS used,
            current_setting('server_encoding') AS encoding,
            (SELECT count(*) FROM pg_stat_activity
              WHERE wait_event = 'SyncRep' AND query_start < clock_timestamp() - interval '${STANDBY_MS} ms')::text AS waiting`,
    [],
  );
  return {
    version: row?.version ?? '',
    major: Math.floor(Number(row?.number ?? 0) / 10_000),
    isStandby: row?.standby ?? false,
    isReadOnly: row?.readonly === 'on',
    maxConnections: Number(row?.most ?? 0),
    usedConnections: Number(row?.used ?? 0),
    encoding: row?.encoding ?? '',
    waitingCommits: Number(row?.waiting ?? 0),
  };
}

const CLOCK_TRIES = 5;

/** The database's clock minus this machine's, in ms, right within half of the shortest round trip of a few. */
export async function clockDifference(db: SqlExecutor): Promise<{ readonly ms: number; readonly withinMs: number }> {
  let best = { ms: 0, withinMs: Number.POSITIVE_INFINITY };
  for (let n = 0; n < CLOCK_TRIES; n += 1) {
    const started = performance.now();
    const [row] = await db.query<{ now: number }>(
      'SELECT extract(epoch FROM clock_timestamp())::float8 * 1000 AS now',
      [],
    );
    const withinMs = (performance.now() - started) / 2;
    if (withinMs < best.withinMs) best = { ms: Number(row?.now ?? 0) - (Date.now() - withinMs), withinMs };
  }
  return best;
}

/** Our tables that this user may not read and write, by its rights or for row level security; that of the migrations, which only who migrates writes, read. */
export async function tablesWithoutRights(db: SqlExecutor, schema: string): Promise<string[]> {
  const has = (right: string) => `has_table_privilege(c.oid, '${right}')`;
  const writes = ['INSERT', 'UPDATE', 'DELETE'].map(has).join(' AND ');
  const rows = await db.query<{ name: string }>(
    `SELECT c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE n.nspname = $1::text AND c.relkind = 'r' AND c.relname LIKE 'svc\\_comm\\_%'
        AND c.relname <> $2::text || '_lock'
        AND (NOT (has_schema_privilege(n.oid, 'USAGE') AND ${has('SELECT')} AND (c.relname = $2::text OR ${writes}))
          OR EXISTS (SELECT FROM unnest($3::text::text[]) AS needed (command)
            WHERE (c.relname <> $2::text OR command = 'SELECT') AND ${hasNoPolicy('c.oid', 'command')}))
      ORDER BY 1`,
    [schema, MIGRATIONS_TABLE, arrayLiteral(ALL_RIGHTS)],
  );
  return rows.map(({ name }) => name);
}

/** Whether what another connection notifies is heard: a pooler takes LISTEN and stays silent. */
export async function hearsNotifications(
  listening: DatabaseConnection,
  db: SqlExecutor,
  timeoutMs: number,
): Promise<boolean> {
  const channel = `svc_comm_doctor_${randomUUID()}`;
  const heard = deferred();
  await listening.listen(channel, () => heard.resolve());
  await db.query('SELECT pg_notify($1, $2)', [channel, '']);
  const end = new AbortController();
  const hears = await Promise.race([heard.promise.then(() => true), sleep(timeoutMs, end.signal).then(() => false)]);
  end.abort();
  return hears;
}
