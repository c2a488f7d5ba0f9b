import type { SqlExecutor } from '../../database/executor.ts';
import { qualified } from '../../database/identifier.ts';
import { KEY_LOCK_NAMESPACE, PROMOTION_LOCK_NAMESPACE } from './key-lock.ts';

const COLUMNS = 'order_key, message_id, exchange, routing_key, body, properties, app_id, expires_at';

/**
 * Moves due events to the outbox: deleted there and inserted here by one statement, so that each is promoted or
 * cancelled, never both. Nothing is waited for: one relay promotes at a time, rows that a cancel has locked stay, and
 * so do keys whose lock a transaction holds, and of a key whatever is due after one that stays, or after one of the $2
 * that are not looked at. The locks of the keys are taken before the ids, as in the enqueue.
 */
const promote = (future: string, outbox: string): string => `
WITH gate AS MATERIALIZED (
  SELECT pg_try_advisory_xact_lock(${PROMOTION_LOCK_NAMESPACE}, hashtext('${outbox.replaceAll("'", "''")}')) AS is_open),
due AS MATERIALIZED (
  SELECT f.id, f.order_key, f.due_at
    FROM ${future} f
   WHERE f.due_at <= statement_timestamp() AND (SELECT is_open FROM gate)
   ORDER BY f.due_at, f.id
   LIMIT $1::int OFFSET $2::int),
before AS MATERIALIZED (
  SELECT DISTINCT b.order_key
    FROM (SELECT f.order_key FROM ${future} f
           WHERE f.due_at <= statement_timestamp() ORDER BY f.due_at, f.id LIMIT $2::int) b
   WHERE b.order_key IS NOT NULL),
taken AS MATERIALIZED (
  SELECT f.id FROM ${future} f WHERE f.id IN (SELECT id FROM due) FOR UPDATE SKIP LOCKED),
keys AS MATERIALIZED (
  SELECT h, pg_try_advisory_xact_lock(${KEY_LOCK_NAMESPACE}, h) AS is_free
    FROM (SELECT DISTINCT hashtext(order_key) AS h FROM due JOIN taken USING (id) WHERE order_key IS NOT NULL ORDER BY 1) s),
stays AS MATERIALIZED (
  SELECT d.order_key, min(d.due_at) AS due_at
    FROM due d LEFT JOIN taken t USING (id)
   WHERE t.id IS NULL AND d.order_key IS NOT NULL
   GROUP BY d.order_key),
ready AS MATERIALIZED (
  SELECT d.id
    FROM due d JOIN taken USING (id)
    LEFT JOIN keys k ON k.h = hashtext(d.order_key)
    LEFT JOIN stays s ON s.order_key = d.order_key
   WHERE d.order_key IS NULL OR (k.is_free AND (s.due_at IS NULL OR d.due_at < s.due_at)
     AND NOT EXISTS (SELECT FROM before b WHERE b.order_key = d.order_key))),
gone AS (
  DELETE FROM ${future} f USING ready r WHERE f.id = r.id RETURNING f.*),
moved AS (
  INSERT INTO ${outbox} (part, ${COLUMNS})
  SELECT (hashtext(coalesce(order_key, exchange)) & 63)::smallint, ${COLUMNS}
    FROM (SELECT count(*) FROM keys) locked, gone
   ORDER BY due_at, gone.id
  RETURNING id)
SELECT (SELECT is_open FROM gate) AS "isAlone", (SELECT count(*) FROM moved)::int AS moved`;

/** The same for one key, waiting for its lock (as long as `lock_timeout` allows): against starving on a busy key. */
const promoteKey = (future: string, outbox: string): string => `
WITH k AS MATERIALIZED (SELECT pg_advisory_xact_lock(${KEY_LOCK_NAMESPACE}, hashtext($1))),
gone AS (
  DELETE FROM ${future} f
   WHERE f.id IN (SELECT d.id FROM (SELECT count(*) FROM k) locked, ${future} d
                   WHERE d.order_key = $1 AND d.due_at <= statement_timestamp() ORDER BY d.due_at, d.id LIMIT $2::int)
  RETURNING f.*)
INSERT INTO ${outbox} (part, ${COLUMNS})
SELECT (hashtext(order_key) & 63)::smallint, ${COLUMNS} FROM (SELECT count(*) FROM k) locked, gone ORDER BY due_at, gone.id
RETURNING id`;

/** A key that is overdue; by chance, so that one which cannot be had does not bar the others. */
const overdueKey = (future: string): string => `
SELECT key FROM (SELECT order_key AS key FROM ${future}
                  WHERE due_at <= statement_timestamp() - $1::float8 * interval '1 ms' AND order_key IS NOT NULL
                  ORDER BY due_at LIMIT 1000) o
 ORDER BY random() LIMIT 1`;

const nextDue = (future: string): string => `
SELECT date_part('epoch', min(due_at) - clock_timestamp()) * 1000 AS ms FROM ${future}`;

const isDueBehind = (future: string): string => `
SELECT EXISTS (SELECT FROM ${future} WHERE due_at <= statement_timestamp()
                ORDER BY due_at, id LIMIT 1 OFFSET $1::int) AS "isThere"`;

export interface Promoted {
  /** How many events were moved. */
  readonly moved: number;
  /** No other relay was at it: where nothing was moved, all are locked. */
  readonly isAlone: boolean;
}

export interface PromotionStatements {
  /**
   * @param skipped this many of those that are due first are not looked at
   */
  promote(db: SqlExecutor, limit: number, skipped: number): Promise<Promoted>;
  /** @returns whether more events than so many are due */
  isDueBehind(db: SqlExecutor, count: number): Promise<boolean>;
  promoteKey(db: SqlExecutor, key: string, limit: number): Promise<number>;
  /** @returns a key that has been due for at least `overdueMs` */
  overdueKey(db: SqlExecutor, overdueMs: number): Promise<string | undefined>;
  /** @returns milliseconds until the next is due, ≤ 0 when one is; undefined when there is none */
  nextDueMs(db: SqlExecutor): Promise<number | undefined>;
}

export function preparePromotion(schema: string): PromotionStatements {
  const future = qualified(schema, 'svc_comm_future');
  const outbox = qualified(schema, 'svc_comm_outbox');
  const text = {
    promote: promote(future, outbox),
    promoteKey: promoteKey(future, outbox),
    overdueKey: overdueKey(future),
    nextDue: nextDue(future),
    isDueBehind: isDueBehind(future),
  };
  return {
    promote: async (db, limit, skipped) => {
      const [promoted] = await db.query<Promoted>(text.promote, [String(limit), String(skipped)]);
      return promoted ?? { moved: 0, isAlone: false };
    },
    isDueBehind: async (db, count) =>
      (await db.query<{ isThere: boolean }>(text.isDueBehind, [String(count)]))[0]?.isThere ?? false,
    promoteKey: async (db, key, limit) => (await db.query(text.promoteKey, [key, String(limit)])).length,
    overdueKey: async (db, overdueMs) =>
      (await db.query<{ key: string }>(text.overdueKey, [String(overdueMs)]))[0]?.key,
    nextDueMs: async (db) =>
      (await db.query<{ ms: number | null }>(text.nextDue, [], 'svc_comm_next_due'))[0]?.ms ?? undefined,
  };
}
