import { arrayLiteral } from '../../database/array-literal.ts';
import { isMarked, type TransactionExecutor } from '../../database/executor.ts';
import { qualified } from '../../database/identifier.ts';
import { statement } from '../../database/statement.ts';
import type { NewRow } from '../outbox-row.ts';
import { KEY_LOCK_NAMESPACE } from './key-lock.ts';

/**
 * Locks the keys, in one order, until the transaction ends, and only then draws the ids: so id order is commit order
 * within a key. The count makes the insert wait for the locks; without it the planner leaves `k` out.
 */
const insert = statement(
  'enqueue',
  (schema) => `WITH k AS MATERIALIZED (
  SELECT pg_advisory_xact_lock(${KEY_LOCK_NAMESPACE}, h) FROM (
    SELECT DISTINCT hashtext(key) AS h FROM unnest($1::text::text[]) AS key WHERE key IS NOT NULL AND ${isMarked('$9')} ORDER BY 1
  ) AS s
)
INSERT INTO ${qualified(schema, 'svc_comm_outbox')}
  (part, order_key, message_id, exchange, routing_key, body, properties, app_id, expires_at)
SELECT hashtext(coalesce(r.order_key, r.exchange)) & 63, r.order_key, r.message_id, r.exchange, r.routing_key, r.body,
  r.properties, r.app_id, clock_timestamp() + r.expires_in_ms * interval '1 millisecond'
FROM (SELECT count(*) FROM k) AS locked,
  unnest($1::text::text[], $2::text::uuid[], $3::text::text[], $4::text::text[], $5::text::text[], $6::text::text[],
    $7::text::text[], $8::text::float8[]) WITH ORDINALITY
    AS r(order_key, message_id, exchange, routing_key, body, properties, app_id, expires_in_ms, n)
WHERE ${isMarked('$9')}
ORDER BY r.n
RETURNING id::text`,
);

/** The statement's text, for those who look at its plan. */
export const enqueueSql = (schema: string): string => insert(schema).sql;

/**
 * Writes the rows in their order, by one statement.
 * @throws TransactionFinishedError, DeadlockError, MigrationRequiredError, TransactionAbortedError
 */
export async function enqueue(executor: TransactionExecutor, schema: string, rows: readonly NewRow[]): Promise<void> {
  if (rows.length === 0) return;
  const { sql, name } = insert(schema);
  await executor.write(sql, enqueueParams(rows), rows.length, name);
}

export const enqueueParams = (rows: readonly NewRow[]): string[] => [
  arrayLiteral(rows.map((row) => row.orderKey)),
  arrayLiteral(rows.map((row) => row.messageId)),
  arrayLiteral(rows.map((row) => row.exchange)),
  arrayLiteral(rows.map((row) => row.routingKey)),
  arrayLiteral(rows.map((row) => row.body)),
  arrayLiteral(rows.map((row) => row.properties)),
  arrayLiteral(rows.map((row) => row.appId)),
  arrayLiteral(rows.map((row) => (row.expiresInMs === null ? null : String(row.expiresInMs)))),
];
