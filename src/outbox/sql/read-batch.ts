import type { SqlExecutor } from '../../database/executor.ts';
import { qualified } from '../../database/identifier.ts';

export interface ReadBatch {
  /** Ids up to this one are passed over: 0 reads from the start. */
  readonly after: number;
  readonly parts: Iterable<number>;
  /** Ids that are held already. */
  readonly held: Iterable<number>;
  /** Array literal of keys to pass over. */
  readonly skippedKeys: string;
  readonly limit: number;
  /** Most bytes of bodies; the first row comes in any case. */
  readonly maxBytes: number;
}

export interface BatchRow {
  readonly id: string;
  readonly part: number;
  readonly key: string | null;
  readonly mid: string;
  readonly exchange: string;
  readonly route: string;
  readonly body: string;
  readonly properties: string | null;
  readonly app: string | null;
  /** Seconds since the epoch. */
  readonly created: number;
  /** Milliseconds until the deadline, when the statement began. */
  readonly remaining: number | null;
  readonly attempts: number;
}

/**
 * The next rows that may be published, in id order. A row that backs off holds back the later ones of its key, and so
 * does one that is due again but lies at or before `after`, where this read does not find it. One timestamp for the
 * whole statement: with `clock_timestamp()` a row could become due between the looks at it and at its follower.
 *
 * `NOT IN (SELECT unnest …)` is a hashed filter, whatever the length, and keeps the index's order; the `OR` keeps
 * `NOT EXISTS` a probe of the partial index for each row instead of a join that sorts the whole table.
 */
const sql = (outbox: string): string => `
SELECT id, part, order_key AS key, message_id AS mid, exchange, routing_key AS route, body, properties, app_id AS app,
       date_part('epoch', created_at) AS created,
       date_part('epoch', expires_at - statement_timestamp()) * 1000 AS remaining, attempts
  FROM (SELECT b.*, sum(octet_length(b.body)) OVER (ORDER BY b.id ROWS UNBOUNDED PRECEDING) - octet_length(b.body) AS bytes_before
          FROM (SELECT o.*
                  FROM ${outbox} o
                 WHERE o.id > $1::bigint
                   AND o.part = ANY ($2::smallint[])
                   AND o.id NOT IN (SELECT unnest($3::bigint[]))
                   AND (o.next_attempt_at IS NULL OR o.next_attempt_at <= statement_timestamp())
                   AND (o.order_key IS NULL
                        OR (o.order_key NOT IN (SELECT unnest($4::text[]))
                            AND NOT EXISTS (SELECT 1 FROM ${outbox} p
                                             WHERE p.part = o.part AND p.order_key = o.order_key AND p.id < o.id
                                               AND p.next_attempt_at IS NOT NULL
                                               AND (p.next_attempt_at > statement_timestamp() OR p.id <= $1::bigint))))
                 ORDER BY o.id
                 LIMIT $5::int) b) c
 WHERE bytes_before < $6::bigint
 ORDER BY id`;

/**
 * Settings of the sessions that read and delete: plans are by index from the start, and stay so for a table that was
 * small when they were made; compiling them takes longer than running them.
 */
export const PLAN_SETTINGS = Object.freeze({
  jit: 'off',
  enable_seqscan: 'off',
  enable_bitmapscan: 'off',
  enable_sort: 'off',
});

export function prepareReadBatch(schema: string): (db: SqlExecutor, batch: ReadBatch) => Promise<BatchRow[]> {
  const text = sql(qualified(schema, 'svc_comm_outbox'));
  return (db, { after, parts, held, skippedKeys, limit, maxBytes }) =>
    db.query<BatchRow>(
      text,
      [String(after), `{${[...parts]}}`, `{${[...held]}}`, skippedKeys, String(limit), String(maxBytes)],
      'svc_comm_read_batch',
    );
}
