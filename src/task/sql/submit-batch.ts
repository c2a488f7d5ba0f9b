import { arrayLiteral } from '../../database/array-literal.ts';
import type { SqlExecutor } from '../../database/executor.ts';
import { qualified } from '../../database/identifier.ts';
import { statement } from '../../database/statement.ts';
import { TASK_CHANNEL, waitsNotice } from './channel.ts';
import type { NewTask } from './submit.ts';

/** Tasks of one statement: a notification takes 8000 bytes, an id in it 39. */
export const MOST_IN_A_BATCH = 100;
/** The message of a task whose workers are told waits so long, and then for the next look of a relay, for one to begin it. */
const MESSAGE_DELAY_MS = 250;
/** So that the statement stays small whatever is waiting for it. */
const MOST_ARGUMENT_CHARACTERS = 32 * 1024;

/** Whether it needs no place, no lock and no timer: several of these fit into one statement. */
export const isPlain = ({ holdsSlot, chosenKey, dueAt, delayMs, args }: NewTask): boolean =>
  !holdsSlot && chosenKey === null && dueAt === null && delayMs === null && args.length <= MOST_ARGUMENT_CHARACTERS;

/**
 * Rows and messages, and a word to the workers that listen; the message is what brings a task to one that does not. Held
 * back, a message has the task as its key: by key and waiting the claim finds it.
 */
const submitBatchStatement = statement('submit_tasks', (schema) => {
  return `WITH made AS MATERIALIZED (
  INSERT INTO ${qualified(schema, 'svc_comm_task')}
    (id, name, args, queue, submitter, result_ttl_ms, hand_overs, correlation_id, traceparent)
  SELECT r.id, r.name, r.args, $9::text, r.submitter, r.result_ttl_ms, r.hand_overs, r.correlation_id, r.traceparent
    FROM unnest($1::text::uuid[], $2::text::text[], $3::text::text[], $4::text::text[], $5::text::float8[],
      $6::text::int[], $7::text::text[], $8::text::text[])
      WITH ORDINALITY AS r(id, name, args, submitter, result_ttl_ms, hand_overs, correlation_id, traceparent, n)
   ORDER BY r.n
  ON CONFLICT DO NOTHING
  RETURNING id
), sent AS (
  INSERT INTO ${qualified(schema, 'svc_comm_outbox')}
    (part, order_key, message_id, exchange, routing_key, body, next_attempt_at)
  SELECT hashtext(id::text) & 63, CASE WHEN $11::text IS NOT NULL THEN id::text END, gen_random_uuid(), '', $9::text,
    '{"taskId":"' || id || '"}', clock_timestamp() + $11::text::float8 * interval '1 ms' FROM made
), told AS MATERIALIZED (
  SELECT pg_notify('${TASK_CHANNEL}', $10::text)
)
SELECT id::text AS id FROM made, (SELECT count(*) FROM told) AS t`;
});

/**
 * Submits plain tasks of one queue in a transaction of their own.
 * @param tasks MOST_IN_A_BATCH at most
 * @param isHeard whether workers of the queue listen: then the messages wait for them to begin the tasks first
 * @returns the ids of those that were not there before
 */
export async function submitBatch(
  db: SqlExecutor,
  schema: string,
  tasks: readonly NewTask[],
  isHeard: boolean,
): Promise<ReadonlySet<string>> {
  const { sql, name } = submitBatchStatement(schema);
  const [first] = tasks;
  if (!first) return new Set();
  const ids = tasks.map(({ id }) => id);
  const columns = COLUMNS.map((column) => arrayLiteral(tasks.map(column)));
  const params = [...columns, first.queue, waitsNotice(first.queue, ids), isHeard ? String(MESSAGE_DELAY_MS) : null];
  return new Set((await db.query<{ id: string }>(sql, params, name)).map(({ id }) => id));
}

const COLUMNS: readonly ((task: NewTask) => string | null)[] = [
  (task) => task.id,
  (task) => task.name,
  (task) => task.args,
  (task) => task.submitter,
  (task) => String(task.resultTtlMs),
  (task) => String(task.handOvers),
  (task) => task.correlationId,
  (task) => task.traceparent,
];
