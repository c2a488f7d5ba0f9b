import type { InboxKey } from '../../message/inbox.ts';
import { NO_START_MARK, type StartMark } from '../../message/start-marks.ts';
import { arrayLiteral } from '../array-literal.ts';
import type { SqlExecutor } from '../executor.ts';
import { qualified } from '../identifier.ts';

const TABLE = 'svc_comm_start_mark';

const keyParams = ({ queue, source, messageId }: InboxKey): [string, string, string] => [queue, source, messageId];

/** Three parallel arrays, `$1` … `$3`. */
const listParams = (keys: readonly InboxKey[]): string[] => [
  arrayLiteral(keys.map(({ queue }) => queue)),
  arrayLiteral(keys.map(({ source }) => source)),
  arrayLiteral(keys.map(({ messageId }) => messageId)),
];

const LISTED =
  'unnest($1::text::text[], $2::text::text[], $3::text::text[]) WITH ORDINALITY k(queue, source, message_id, n)';
const SAME = 'm.queue = k.queue AND m.source = k.source AND m.message_id = k.message_id';

/** Reads the marks, and takes those out that only say that the message was given back. */
export async function readStartMarks(
  executor: SqlExecutor,
  schema: string,
  keys: readonly InboxKey[],
): Promise<StartMark[]> {
  const table = qualified(schema, TABLE);
  const rows = await executor.query<{ n: string; starts: number; returned: boolean }>(
    `WITH k AS (SELECT * FROM ${LISTED}),
     taken AS (DELETE FROM ${table} m USING k WHERE ${SAME} AND m.is_returned AND m.starts = 0)
     SELECT k.n::text AS n, m.starts AS starts, m.is_returned AS returned FROM k JOIN ${table} m ON ${SAME}`,
    listParams(keys),
  );
  const found = new Map(rows.map(({ n, starts, returned }) => [Number(n), { starts, isReturned: returned }]));
  return keys.map((_, index) => found.get(index + 1) ?? NO_START_MARK);
}

export async function beginStartMark(executor: SqlExecutor, schema: string, key: InboxKey): Promise<void> {
  await executor.query(
    `INSERT INTO ${qualified(schema, TABLE)} AS m (queue, source, message_id, starts)
     VALUES ($1::text, $2::text, $3::text, 1)
     ON CONFLICT (queue, source, message_id)
     DO UPDATE SET starts = m.starts + 1, is_returned = false, at = clock_timestamp()`,
    keyParams(key),
  );
}

export async function deleteStartMark(executor: SqlExecutor, schema: string, key: InboxKey): Promise<void> {
  const sql = `DELETE FROM ${qualified(schema, TABLE)} WHERE queue = $1::text AND source = $2::text AND message_id = $3::text`;
  await executor.query(sql, keyParams(key));
}

/** @param begun starts that are taken back */
export async function returnStartMarks(
  executor: SqlExecutor,
  schema: string,
  keys: readonly InboxKey[],
  begun: 0 | 1,
): Promise<void> {
  await executor.query(
    `INSERT INTO ${qualified(schema, TABLE)} AS m (queue, source, message_id, is_returned)
     SELECT DISTINCT queue, source, message_id, true FROM ${LISTED}
     ON CONFLICT (queue, source, message_id)
     DO UPDATE SET starts = greatest(m.starts - $4::text::int, 0), is_returned = true, at = clock_timestamp()`,
    [...listParams(keys), String(begun)],
  );
}

/** Of messages that never came back here: handled elsewhere without a mark, or purged. */
export async function deleteOldStartMarks(executor: SqlExecutor, schema: string, olderThanMs: number): Promise<number> {
  const rows = await executor.query<{ deleted: string }>(
    `WITH deleted AS (
       DELETE FROM ${qualified(schema, TABLE)}
        WHERE at < clock_timestamp() - $1::text::float8 * interval '1 millisecond' RETURNING 1)
     SELECT count(*)::text AS deleted FROM deleted`,
    [String(olderThanMs)],
  );
  return Number(rows[0]?.deleted ?? 0);
}
