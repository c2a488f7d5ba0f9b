import { isMarked, type TransactionExecutor } from '../../database/executor.ts';
import { qualified } from '../../database/identifier.ts';
import { statement } from '../../database/statement.ts';
import type { NewRow } from '../outbox-row.ts';

const insert = statement(
  'insert_future',
  (schema) => `INSERT INTO ${qualified(schema, 'svc_comm_future')}
  (due_at, tags, order_key, message_id, exchange, routing_key, body, properties, app_id, expires_at)
SELECT $1::text::timestamptz, $2::text::jsonb, $3::text, $4::text::uuid, $5::text, $6::text, $7::text, $8::text, $9::text,
  clock_timestamp() + $10::text::float8 * interval '1 millisecond'
WHERE ${isMarked('$11')}
RETURNING id::text`,
);

/** Writes a message that waits until `dueAt`. */
export async function insertFuture(
  executor: TransactionExecutor,
  schema: string,
  row: NewRow,
  dueAt: Date,
  tags: string,
): Promise<void> {
  const { sql, name } = insert(schema);
  const expiresIn = row.expiresInMs === null ? null : String(row.expiresInMs);
  const { orderKey, messageId, exchange, routingKey, body, properties, appId } = row;
  const params = [
    dueAt.toISOString(),
    tags,
    orderKey,
    messageId,
    exchange,
    routingKey,
    body,
    properties,
    appId,
    expiresIn,
  ];
  await executor.write(sql, params, 1, name);
}
