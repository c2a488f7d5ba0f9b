import { arrayLiteral } from '../../database/array-literal.ts';
import type { SqlExecutor } from '../../database/executor.ts';
import { qualified } from '../../database/identifier.ts';
import { statement } from '../../database/statement.ts';
import type { TaskDefinition } from '../definition.ts';
import { TASK_CHANNEL } from './channel.ts';

/** A task that is ours to run, as long as its lease is renewed. */
export interface ClaimedTask {
  readonly id: string;
  readonly name: string;
  /** JSON. */
  readonly args: string;
  readonly attempt: number;
  readonly failures: number;
  readonly correlationId: string | undefined;
  readonly traceparent: string | undefined;
  /** Its message was taken back: none of it will come. */
  readonly isUnsent: boolean;
}

export interface Claim {
  readonly db: SqlExecutor;
  readonly schema: string;
  readonly owner: string;
  readonly leaseMs: number;
  readonly definitions: readonly TaskDefinition[];
}

/**
 * Compare and set, for several at once: what waits, is due, and has a place or finds one, becomes ours and is told of.
 * The attempt is counted up, so whatever an earlier run still writes is for another attempt and changes nothing.
 * What is not returned is somebody else's, has ended, or finds no place; that stays as it is. A message that waits for the
 * task to be begun without it (see `submitBatch`) goes; one that a relay has in hand is left to it.
 */
const claimStatement = statement('claim_tasks', (schema) => {
  const task = qualified(schema, 'svc_comm_task');
  const slot = qualified(schema, 'svc_comm_task_slot');
  const outbox = qualified(schema, 'svc_comm_outbox');
  return `WITH asked AS MATERIALIZED (
  SELECT t.id, t.name, l.most FROM ${task} t JOIN unnest($4::text[], $5::int[]) AS l(name, most) ON l.name = t.name
   WHERE t.id = ANY ($1::uuid[]) AND t.state = 'PENDING' AND t.due_at <= clock_timestamp()
   ORDER BY t.id FOR UPDATE OF t SKIP LOCKED
), placed AS MATERIALIZED (
  SELECT a.id FROM asked a WHERE a.most = 0 OR EXISTS (SELECT FROM ${slot} s WHERE s.task_id = a.id)
), needy AS MATERIALIZED (
  SELECT a.id, a.name, row_number() OVER (PARTITION BY a.name ORDER BY a.id) AS r
    FROM asked a WHERE NOT EXISTS (SELECT FROM placed p WHERE p.id = a.id)
), free AS MATERIALIZED (
  SELECT s.name, s.n FROM ${slot} s
   WHERE s.task_id IS NULL AND EXISTS (SELECT FROM asked a JOIN needy USING (id) WHERE a.name = s.name AND s.n < a.most)
   ORDER BY s.name, s.n FOR UPDATE SKIP LOCKED
), given AS MATERIALIZED (
  SELECT n.id, f.name, f.n FROM needy n
    JOIN (SELECT name, n, row_number() OVER (PARTITION BY name ORDER BY n) AS r FROM free) f ON f.name = n.name AND f.r = n.r
), taken AS (
  UPDATE ${slot} s SET task_id = g.id FROM given g WHERE s.name = g.name AND s.n = g.n RETURNING g.id
), claimed AS MATERIALIZED (
  UPDATE ${task} t SET state = 'STARTED', attempt = t.attempt + 1, owner = $2::uuid, started_at = clock_timestamp(),
    lease_until = clock_timestamp() + $3::float8 * interval '1 ms', progress = NULL, note = NULL
    FROM (SELECT id FROM placed UNION ALL SELECT id FROM taken) p WHERE t.id = p.id
  RETURNING t.id, t.name, t.args, t.attempt, t.failures, t.correlation_id, t.traceparent
), told AS MATERIALIZED (
  SELECT pg_notify('${TASK_CHANNEL}', c.id || ' STARTED') FROM claimed c
), kept AS MATERIALIZED (
  SELECT o.id, c.id AS task_id FROM claimed c
    JOIN ${outbox} o ON o.part = (hashtext(c.id::text) & 63)::smallint AND o.order_key = c.id::text
   WHERE o.next_attempt_at IS NOT NULL FOR UPDATE OF o SKIP LOCKED
), unsent AS (
  DELETE FROM ${outbox} o USING kept k WHERE o.id = k.id RETURNING k.task_id
)
SELECT c.*, EXISTS (SELECT FROM unsent u WHERE u.task_id = c.id) AS is_unsent
  FROM claimed c, (SELECT count(*) AS n FROM told) AS t`;
});

interface ClaimRow {
  readonly id: string;
  readonly name: string;
  readonly args: string;
  readonly attempt: number;
  readonly failures: number;
  readonly correlation_id: string | null;
  readonly traceparent: string | null;
  readonly is_unsent: boolean;
}

export async function claimTasks(claim: Claim, ids: readonly string[]): Promise<ClaimedTask[]> {
  const { db, schema, owner, leaseMs, definitions } = claim;
  const { sql, name } = claimStatement(schema);
  const params = [
    arrayLiteral(ids),
    owner,
    String(leaseMs),
    arrayLiteral(definitions.map((definition) => definition.name)),
    arrayLiteral(definitions.map((definition) => String(definition.maxConcurrency))),
  ];
  return (await db.query<ClaimRow>(sql, params, name)).map(({ correlation_id, traceparent, is_unsent, ...task }) => ({
    ...task,
    correlationId: correlation_id ?? undefined,
    traceparent: traceparent ?? undefined,
    isUnsent: is_unsent,
  }));
}

/**
 * Tasks that could begin now: the oldest first, with a place or one free for them.
 * @param waitedMs only those that have been due for so long: the message of a younger one is on its way
 */
export async function findClaimable(
  { db, schema, definitions }: Pick<Claim, 'db' | 'schema' | 'definitions'>,
  waitedMs: number,
  limit: number,
): Promise<string[]> {
  const slot = qualified(schema, 'svc_comm_task_slot');
  const sql = `SELECT t.id::text AS id FROM ${qualified(schema, 'svc_comm_task')} t
    JOIN unnest($1::text[], $2::int[]) AS l(name, most) ON l.name = t.name
   WHERE t.state = 'PENDING' AND t.due_at <= clock_timestamp() - $3::float8 * interval '1 ms'
     AND (l.most = 0 OR t.holds_slot OR EXISTS (SELECT FROM ${slot} s WHERE s.task_id = t.id)
       OR EXISTS (SELECT FROM ${slot} s WHERE s.name = t.name AND s.task_id IS NULL AND s.n < l.most))
   ORDER BY t.due_at, t.id LIMIT $4::int`;
  const params = [
    arrayLiteral(definitions.map(({ name }) => name)),
    arrayLiteral(definitions.map(({ maxConcurrency }) => String(maxConcurrency))),
    String(waitedMs),
    String(limit),
  ];
  return (await db.query<{ id: string }>(sql, params)).map(({ id }) => id);
}
