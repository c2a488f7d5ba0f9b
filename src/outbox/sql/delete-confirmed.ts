import type { SqlExecutor } from '../../database/executor.ts';
import { qualified } from '../../database/identifier.ts';

export interface ConfirmedRow {
  readonly id: number;
  readonly messageId: string;
  /** Under which it was published. */
  readonly grant: { readonly part: number; readonly epoch: string };
}

/** One side of an `=`, so that the other side's index is used whatever the planner thinks of the sizes. */
const ids = '$1::bigint[]';

/**
 * The message, since a standby that lagged when it was promoted gives ids again: the row may be another one, not sent yet.
 * `IS TRUE` keeps both a look-up in hashed rows; as a join the planner may begin with the leases, times all rows.
 */
export const fenced = (lease: string): string => `
   AND (o.message_id IN (SELECT unnest($5::uuid[]))) IS TRUE
   AND (o.part IN (SELECT l.part FROM ${lease} l, unnest($2::smallint[], $3::bigint[]) g(part, epoch)
                    WHERE l.part = g.part AND l.epoch = g.epoch AND l.owner = $4::uuid)) IS TRUE`;

/** The parameters of `fenced` after the first. */
export function fenceParams(rows: readonly Omit<ConfirmedRow, 'id'>[], owner: string): string[] {
  const grants = [...new Set(rows.map((row) => row.grant))];
  const messages = rows.map((row) => row.messageId);
  return [`{${grants.map((grant) => grant.part)}}`, `{${grants.map((grant) => grant.epoch)}}`, owner, `{${messages}}`];
}

/** Deletes rows whose messages are confirmed or need no sending, unless their partition has another owner by now. */
const plain = (outbox: string, lease: string): string => `
DELETE FROM ${outbox} o WHERE o.id = ANY (${ids}) ${fenced(lease)}
RETURNING o.id`;

/** The same, passing over rows that somebody else has locked. */
const unlocked = (outbox: string, lease: string): string => `
WITH free AS MATERIALIZED (
  SELECT o.id FROM ${outbox} o WHERE o.id = ANY (${ids}) ${fenced(lease)} FOR UPDATE OF o SKIP LOCKED)
DELETE FROM ${outbox} d WHERE d.id = ANY (ARRAY (SELECT id FROM free))
RETURNING d.id`;

/** Which of the rows are still there and ours. */
const left = (outbox: string, lease: string): string => `
SELECT o.id FROM ${outbox} o WHERE o.id = ANY (${ids}) ${fenced(lease)}`;

export interface DeleteConfirmed {
  /** @returns how many rows were deleted; the others are gone or not ours any more */
  all(db: SqlExecutor, rows: readonly ConfirmedRow[], owner: string): Promise<number>;
  /** @returns the number deleted and the ids that are locked by somebody: to be deleted later */
  unlocked(
    db: SqlExecutor,
    rows: readonly ConfirmedRow[],
    owner: string,
  ): Promise<{ readonly deleted: number; readonly locked: ReadonlySet<number> }>;
}

export function prepareDeleteConfirmed(schema: string): DeleteConfirmed {
  const outbox = qualified(schema, 'svc_comm_outbox');
  const lease = qualified(schema, 'svc_comm_relay_lease');
  const text = { plain: plain(outbox, lease), unlocked: unlocked(outbox, lease), left: left(outbox, lease) };
  const run = (db: SqlExecutor, which: keyof typeof text, rows: readonly ConfirmedRow[], owner: string) =>
    db.query<{ id: string }>(
      text[which],
      [`{${rows.map((row) => row.id)}}`, ...fenceParams(rows, owner)],
      `svc_comm_delete_${which}`,
    );
  return {
    all: async (db, rows, owner) => (await run(db, 'plain', rows, owner)).length,
    async unlocked(db, rows, owner) {
      const deleted = await run(db, 'unlocked', rows, owner);
      const locked = await run(db, 'left', rows, owner);
      return { deleted: deleted.length, locked: new Set(locked.map((row) => Number(row.id))) };
    },
  };
}
