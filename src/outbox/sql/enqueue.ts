import { arrayLiteral } from '../../database/array-literal.ts';
import { isMarked, type TransactionExecutor } from '../../database/executor.ts';
import { qualified } from '../../database/identifier.ts';
import { type Statement, statement } from '../../database/statement.ts';
import { MAX_BODY_BYTES } from '../../message/message.ts';
import type { NewRow } from '../outbox-row.ts';
import { KEY_LOCK_NAMESPACE } from './key-lock.ts';

const COLUMN_NAMES = 'part, order_key, message_id, exchange, routing_key, body, properties, app_id, expires_at';
/** The parameters of one row, from its key on. */
const ONE_ROW = `$1::text, $2::text::uuid, $3::text, $4::text, $5::text, $6::text, $7::text,
  clock_timestamp() + $8::text::float8 * interval '1 millisecond'`;

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
INSERT INTO ${qualified(schema, 'svc_comm_outbox')} (${COLUMN_NAMES})
SELECT hashtext(coalesce(r.order_key, r.exchange)) & 63, r.order_key, r.message_id, r.exchange, r.routing_key, r.body,
  r.properties, r.app_id, clock_timestamp() + r.expires_in_ms * interval '1 millisecond'
FROM (SELECT count(*) FROM k) AS locked,
  unnest($1::text::text[], $2::text::uuid[], $3::text::text[], $4::text::text[], $5::text::text[], $6::text::text[],
    $7::text::text[], $8::text::float8[]) WITH ORDINALITY
    AS r(order_key, message_id, exchange, routing_key, body, properties, app_id, expires_in_ms, n)
WHERE ${isMarked('$9')}
ORDER BY r.n
RETURNING pg_current_xact_id()::text AS xid`,
);

/** The same for one row, which is what most transactions have. */
const insertOne = statement(
  'enqueue_one',
  (schema) => `WITH k AS MATERIALIZED (
  SELECT pg_advisory_xact_lock(${KEY_LOCK_NAMESPACE}, hashtext($1::text)) WHERE $1::text IS NOT NULL AND ${isMarked('$9')}
)
INSERT INTO ${qualified(schema, 'svc_comm_outbox')} (${COLUMN_NAMES})
SELECT hashtext(coalesce($1::text, $3::text)) & 63, ${ONE_ROW}
FROM (SELECT count(*) FROM k) AS locked
WHERE ${isMarked('$9')}
RETURNING pg_current_xact_id()::text AS xid`,
);

/**
 * Those without a mark are for a handle of which it is seen when its transaction ends. With one of the caller's they are
 * planned each time: without mark and list they take PostgreSQL a fifth to two fifths less than `insertOne`.
 * The function in FROM is called before the row is made, and with it the id drawn.
 */
const insertKeyed = statement(
  'enqueue_keyed',
  (schema) => `INSERT INTO ${qualified(schema, 'svc_comm_outbox')} (${COLUMN_NAMES})
SELECT hashtext($1::text) & 63, ${ONE_ROW}
FROM pg_advisory_xact_lock(${KEY_LOCK_NAMESPACE}, hashtext($1::text)) AS locked
RETURNING pg_current_xact_id()::text AS xid`,
);

const insertKeyless = statement(
  'enqueue_keyless',
  (schema) => `INSERT INTO ${qualified(schema, 'svc_comm_outbox')} (${COLUMN_NAMES})
VALUES (hashtext($3::text) & 63, ${ONE_ROW})
RETURNING pg_current_xact_id()::text AS xid`,
);

/**
 * What `enqueue` runs. Of a guarded transaction the mark is left to add to the parameters.
 * @param isGuarded see `TransactionExecutor`
 */
export function enqueueStatement(
  schema: string,
  rows: readonly NewRow[],
  isGuarded: boolean,
): Statement & { readonly params: Params } {
  const [first] = rows;
  if (rows.length !== 1 || !first) {
    const params = columns.map((column) => arrayLiteral(rows.map(column)));
    return { ...insert(schema), params: isGuarded ? params : [...params, null] };
  }
  const params = columns.map((column) => column(first));
  if (isGuarded) return { ...insertOne(schema), params };
  return { ...(first.orderKey === null ? insertKeyless(schema) : insertKeyed(schema)), params };
}

/** JavaScript has no text of more than 512 MiB, PostgreSQL no parameter of more than 1 GB: more goes by several statements. */
const MAX_STATEMENT_CHARS = MAX_BODY_BYTES;

/**
 * Writes the rows in their order: by one statement, unless their bodies have over 16 MiB together.
 * @returns the transaction's id; undefined when there was nothing to write
 * @throws TransactionFinishedError, DeadlockError, MigrationRequiredError, TransactionAbortedError
 */
export async function enqueue(
  executor: TransactionExecutor,
  schema: string,
  rows: readonly NewRow[],
): Promise<string | undefined> {
  let xid: string | undefined;
  for (const part of parts(rows)) {
    const { sql, params, name } = enqueueStatement(schema, part, executor.isGuarded);
    const [written] = await (executor.isGuarded
      ? executor.write<{ xid: string }>(sql, params, part.length, name)
      : executor.query<{ xid: string }>(sql, params, name));
    xid = written?.xid;
  }
  return xid;
}

function* parts(rows: readonly NewRow[]): Generator<readonly NewRow[]> {
  let part: NewRow[] = [];
  let chars = 0;
  for (const row of rows) {
    if (part.length > 0 && chars + row.body.length > MAX_STATEMENT_CHARS) {
      yield part;
      part = [];
      chars = 0;
    }
    part.push(row);
    chars += row.body.length;
  }
  if (part.length > 0) yield part;
}

type Params = readonly (string | null)[];

const columns: readonly ((row: NewRow) => string | null)[] = [
  (row) => row.orderKey,
  (row) => row.messageId,
  (row) => row.exchange,
  (row) => row.routingKey,
  (row) => row.body,
  (row) => row.properties,
  (row) => row.appId,
  (row) => (row.expiresInMs === null ? null : String(row.expiresInMs)),
];
