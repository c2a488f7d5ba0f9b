import type { SqlExecutor } from '../../database/executor.ts';
import { qualified } from '../../database/identifier.ts';

export interface ConfirmedRow {
  readonly id: number;
  /** Of the lease under which it was published. */
  readonly epoch: string;
}

const fenced = (lease: string): string => `
   AND EXISTS (SELECT 1 FROM ${lease} l WHERE l.part = o.part AND l.owner = $3::uuid AND l.epoch = c.epoch)`;

/** Deletes rows whose messages are confirmed or need no sending, unless their partition has another owner by now. */
const plain = (outbox: string, lease: string): string => `
DELETE FROM ${outbox} o USING unnest($1::bigint[], $2::bigint[]) c(id, epoch)
 WHERE o.id = c.id ${fenced(lease)}
RETURNING o.id`;

/** The same, passing over rows that somebody else has locked. */
const unlocked = (outbox: string, lease: string): string => `
DELETE FROM ${outbox} d
 WHERE d.id IN (SELECT o.id FROM ${outbox} o, unnest($1::bigint[], $2::bigint[]) c(id, epoch)
                 WHERE o.id = c.id ${fenced(lease)}
                   FOR UPDATE OF o SKIP LOCKED)
RETURNING d.id`;

/** Which of the rows are still there under their epoch. */
const left = (outbox: string, lease: string): string => `
SELECT o.id FROM ${outbox} o, unnest($1::bigint[], $2::bigint[]) c(id, epoch)
 WHERE o.id = c.id ${fenced(lease)}`;

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
      [`{${rows.map((row) => row.id)}}`, `{${rows.map((row) => row.epoch)}}`, owner],
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
