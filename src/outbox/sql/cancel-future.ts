import { isMarked, type TransactionExecutor } from '../../database/executor.ts';
import { qualified } from '../../database/identifier.ts';
import { statement } from '../../database/statement.ts';

const cancel = statement(
  'cancel_future',
  (schema) => `WITH cancelled AS (
  DELETE FROM ${qualified(schema, 'svc_comm_future')}
  WHERE exchange = $1::text AND routing_key = $2::text AND tags @> $3::text::jsonb AND ${isMarked('$4')}
  RETURNING 1
)
SELECT (SELECT count(*) FROM cancelled)::text AS cancelled WHERE ${isMarked('$4')}`,
);

/** Deletes what waits for this exchange and routing key and has all these tags; returns how many. */
export async function cancelFuture(
  executor: TransactionExecutor,
  schema: string,
  exchange: string,
  routingKey: string,
  tags: string,
): Promise<number> {
  const { sql, name } = cancel(schema);
  const rows = await executor.write<{ cancelled: string }>(sql, [exchange, routingKey, tags], 1, name);
  return Number(rows[0]?.cancelled ?? 0);
}
