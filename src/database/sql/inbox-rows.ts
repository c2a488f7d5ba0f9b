import type { InboxKey } from '../../message/inbox.ts';
import type { SqlExecutor } from '../executor.ts';
import { qualified } from '../identifier.ts';

const keyParams = ({ queue, source, messageId }: InboxKey): [string, string, string] => [queue, source, messageId];

const WHERE_KEY = 'WHERE queue = $1::text AND source = $2::text AND message_id = $3::text';

/** What the row says now; undefined when there is none. */
export async function inboxState(
  executor: SqlExecutor,
  schema: string,
  key: InboxKey,
): Promise<'done' | 'dead' | undefined> {
  const sql = `SELECT state FROM ${qualified(schema, 'svc_comm_inbox')} ${WHERE_KEY}`;
  const rows = await executor.query<{ state: 'done' | 'dead' }>(sql, keyParams(key));
  return rows[0]?.state;
}

/** Turns `dead` into `done`, once: of two copies at the same time the second waits and gets false. */
export async function reviveInbox(executor: SqlExecutor, schema: string, key: InboxKey): Promise<boolean> {
  const sql = `UPDATE ${qualified(schema, 'svc_comm_inbox')} SET state = 'done', at = clock_timestamp()
    ${WHERE_KEY} AND state = 'dead' RETURNING 1 AS revived`;
  return (await executor.query(sql, keyParams(key))).length > 0;
}

/** Writes `dead`; leaves `done` alone. */
export async function markInboxDead(executor: SqlExecutor, schema: string, key: InboxKey): Promise<void> {
  const inbox = qualified(schema, 'svc_comm_inbox');
  const sql = `INSERT INTO ${inbox} AS i (queue, source, message_id, state) VALUES ($1::text, $2::text, $3::text, 'dead')
    ON CONFLICT (queue, source, message_id) DO UPDATE SET at = clock_timestamp() WHERE i.state = 'dead'`;
  await executor.query(sql, keyParams(key));
}

/** Deletes up to `limit` rows older than the age; returns how many. */
export async function deleteOldInbox(
  executor: SqlExecutor,
  schema: string,
  olderThanMs: number,
  limit: number,
): Promise<number> {
  const inbox = qualified(schema, 'svc_comm_inbox');
  // SKIP LOCKED: a redriven copy may be turning one into done, and several processes may clean up at once.
  const sql = `WITH old AS (
      SELECT queue, source, message_id FROM ${inbox}
      WHERE at < clock_timestamp() - $1::text::double precision * interval '1 millisecond'
      ORDER BY at LIMIT $2::text::bigint FOR UPDATE SKIP LOCKED
    ), deleted AS (
      DELETE FROM ${inbox} i USING old
      WHERE i.queue = old.queue AND i.source = old.source AND i.message_id = old.message_id RETURNING 1
    ) SELECT count(*)::text AS deleted FROM deleted`;
  const rows = await executor.query<{ deleted: string }>(sql, [String(olderThanMs), String(limit)]);
  return Number(rows[0]?.deleted ?? 0);
}
