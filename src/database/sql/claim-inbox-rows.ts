import type { InboxKey } from '../../message/inbox.ts';
import { arrayLiteral } from '../array-literal.ts';
import type { SqlExecutor } from '../executor.ts';
import { qualified } from '../identifier.ts';
import { statement } from '../statement.ts';
import { limitValue, statementLimit } from './statement-limit.ts';

/** A row that is asked for; `orderKey` as for `claimInbox`. */
export interface AskedRow {
  readonly key: InboxKey;
  readonly orderKey: string | null;
}

export interface Claims<Row extends AskedRow> {
  /** Those that this transaction has now, as given. The others are there already, or their key is parked. */
  readonly claimed: readonly Row[];
  /** `pg_current_xact_id` of the transaction; undefined when it has claimed nothing. */
  readonly xid: string | undefined;
}

/**
 * Puts the inbox rows of several messages, as `claimInbox` puts one.
 * @param asked of one queue, no key twice
 * @param timeoutMs a later statement of the transaction that takes longer is ended; a shorter time that is set stays
 */
export async function claimInboxRows<Row extends AskedRow>(
  executor: SqlExecutor,
  schema: string,
  asked: readonly Row[],
  timeoutMs?: number,
): Promise<Claims<Row>> {
  const { sql, name } = claims(schema);
  const sources = arrayLiteral(asked.map(({ key }) => key.source));
  const messageIds = arrayLiteral(asked.map(({ key }) => key.messageId));
  const orderKeys = arrayLiteral(asked.map(({ orderKey }) => orderKey));
  const params = [asked[0]?.key.queue ?? '', sources, messageIds, orderKeys, limitValue(timeoutMs)];
  const rows = await executor.query<{ source: string; message: string; xid: string }>(sql, params, name);
  const taken = new Set(rows.map(({ source, message }) => identity(source, message)));
  const claimed = asked.filter(({ key }) => taken.has(identity(key.source, key.messageId)));
  return { claimed, xid: rows[0]?.xid };
}

const identity = (source: string, messageId: string) => JSON.stringify([source, messageId]);

/** In one order, whoever asks: two that claim the same rows wait for each other in turn, and never in a circle. */
const claims = statement('claim_inbox_rows', (schema) => {
  const inbox = qualified(schema, 'svc_comm_inbox');
  const parkedKey = qualified(schema, 'svc_comm_parked_key');
  return `WITH claimed AS (
    INSERT INTO ${inbox} (queue, source, message_id, state)
    SELECT $1::text, asked.source, asked.message_id, 'done'
    FROM unnest($2::text[], $3::text[], $4::text[]) AS asked (source, message_id, order_key)
    WHERE NOT EXISTS (SELECT FROM ${parkedKey} p WHERE p.queue = $1::text AND p.order_key = asked.order_key)
    ORDER BY asked.source, asked.message_id
    ON CONFLICT DO NOTHING RETURNING source, message_id
  )
  SELECT source, message_id AS message, pg_current_xact_id()::text AS xid,
    ${statementLimit('$5')}
  FROM claimed`;
});
