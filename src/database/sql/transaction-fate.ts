import type { SqlExecutor } from '../executor.ts';
import { qualified } from '../identifier.ts';

export type TransactionFate = 'committed' | 'aborted' | 'in progress';

/** Whether it is a standby, which may not have heard yet of what was committed. */
export async function isStandby(db: SqlExecutor): Promise<boolean> {
  const [row] = await db.query<{ standby: boolean }>('SELECT pg_is_in_recovery() AS standby', []);
  return row?.standby === true;
}

const TABLE = 'svc_comm_incarnation';

/**
 * What PostgreSQL knows of a transaction, by its 64-bit id (`pg_xact_status`).
 * @returns undefined when it has forgotten it. It throws SQLSTATE 22023 for an id that it has not given.
 */
export async function transactionFate(db: SqlExecutor, xid: string): Promise<TransactionFate | undefined> {
  const [row] = await db.query<{ fate: TransactionFate | null }>('SELECT pg_xact_status($1::text::xid8) AS fate', [
    xid,
  ]);
  return row?.fate ?? undefined;
}

/** The token of the server's life since its last crash or promotion; made when there is none. */
export async function incarnation(db: SqlExecutor, schema: string): Promise<string | undefined> {
  const table = qualified(schema, TABLE);
  await db.query(`INSERT INTO ${table} DEFAULT VALUES ON CONFLICT DO NOTHING`, []);
  const [row] = await db.query<{ token: string }>(`SELECT token::text AS token FROM ${table}`, []);
  return row?.token;
}

/** Ends the backend that still holds the transaction for a client that has gone. */
export async function endOrphan(db: SqlExecutor, xid: string): Promise<void> {
  await db.query(
    `SELECT pg_terminate_backend(pid) AS ended FROM pg_stat_activity
      WHERE backend_xid = $1::text::xid8::xid AND usename = current_user`,
    [xid],
  );
}
