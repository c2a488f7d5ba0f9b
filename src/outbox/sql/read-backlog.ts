import type { SqlExecutor } from '../../database/executor.ts';
import { qualified } from '../../database/identifier.ts';
import type { Backlog } from '../backlog.ts';

interface CountsRow {
  readonly rows: string;
  readonly oldest_ms: number | null;
  readonly failing: string;
  readonly last_error: string | null;
  readonly future: string;
  readonly future_due: string;
  readonly relays: string;
}

export async function readCounts(db: SqlExecutor, schema: string): Promise<Backlog> {
  const outbox = qualified(schema, 'svc_comm_outbox');
  const future = qualified(schema, 'svc_comm_future');
  const relay = qualified(schema, 'svc_comm_relay');
  const [row] = await db.query<CountsRow>(
    `SELECT (SELECT count(*) FROM ${outbox}) AS rows,
            extract(epoch FROM statement_timestamp() - least((SELECT min(created_at) FROM ${outbox}),
              (SELECT min(due_at) FROM ${future})))::float8 * 1000 AS oldest_ms,
            (SELECT count(*) FROM ${outbox} WHERE next_attempt_at IS NOT NULL AND attempts > 0) AS failing,
            (SELECT last_error FROM ${outbox} WHERE next_attempt_at IS NOT NULL AND attempts > 0
              ORDER BY next_attempt_at DESC LIMIT 1) AS last_error,
            (SELECT count(*) FROM ${future} WHERE due_at > statement_timestamp()) AS future,
            (SELECT count(*) FROM ${future} WHERE due_at <= statement_timestamp()) AS future_due,
            (SELECT count(*) FROM ${relay} WHERE until > statement_timestamp()) AS relays`,
    [],
  );
  return {
    rows: Number(row?.rows ?? 0),
    oldestMs: Math.max(0, Math.round(row?.oldest_ms ?? 0)),
    failing: Number(row?.failing ?? 0),
    lastError: row?.last_error ?? undefined,
    future: Number(row?.future ?? 0),
    futureDue: Number(row?.future_due ?? 0),
    relays: Number(row?.relays ?? 0),
  };
}
