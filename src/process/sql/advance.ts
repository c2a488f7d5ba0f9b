import type { SqlExecutor } from '../../database/executor.ts';
import { qualified } from '../../database/identifier.ts';
import { statement } from '../../database/statement.ts';

export interface InstanceLease {
  readonly id: string;
  readonly owner: string;
  readonly leaseMs: number;
}

/** What became of the step before. */
export interface EndedStep {
  readonly position: number;
  readonly status: 'SUCCESS' | 'FAILURE' | 'TIMEOUT' | 'REVOKED' | 'LOST';
  /** JSON. */
  readonly result: string | null;
  /** JSON of a `TaskFailure`. */
  readonly error: string | null;
}

/** `lost`: it is not ours any more, and nothing was written. `cancelled`: it was, and somebody asked for its end. */
export type Advanced = 'ours' | 'cancelled' | 'lost';

/**
 * Writes the end of one synchronous step and the start of the next, and renews the lease: only while the instance is
 * New and ours. When somebody asked for its end the next is not started.
 */
const advanceStatement = statement('advance_instance', (schema) => {
  const task = qualified(schema, 'svc_comm_process_task');
  return `WITH ours AS (
  UPDATE ${qualified(schema, 'svc_comm_process_instance')}
     SET lease_until = clock_timestamp() + $3::text::float8 * interval '1 ms'
   WHERE id = $1::text::uuid AND owner = $2::text::uuid AND state = 'New'
  RETURNING id, cancel_requested
), ended AS (
  UPDATE ${task} t SET status = $5::text, result = $6::text, error = $7::text, finished_at = clock_timestamp()
    FROM ours WHERE t.instance_id = ours.id AND t.kind = 'sync' AND t.position = $4::text::int
), started AS (
  UPDATE ${task} t SET status = 'STARTED', started_at = clock_timestamp()
    FROM ours WHERE t.instance_id = ours.id AND NOT ours.cancel_requested AND t.kind = 'sync'
     AND t.position = $8::text::int
)
SELECT cancel_requested AS cancelling FROM ours`;
});

export async function advanceInstance(
  db: SqlExecutor,
  schema: string,
  { id, owner, leaseMs }: InstanceLease,
  { ended, starting }: { readonly ended?: EndedStep | undefined; readonly starting?: number | undefined },
): Promise<Advanced> {
  const { sql, name } = advanceStatement(schema);
  const params = [id, owner, String(leaseMs), ...endedParams(ended), starting === undefined ? null : String(starting)];
  const [row] = await db.query<{ cancelling: boolean }>(sql, params, name);
  if (!row) return 'lost';
  return row.cancelling ? 'cancelled' : 'ours';
}

/** Position, status, result and error. */
export const endedParams = (ended: EndedStep | undefined): readonly (string | null)[] => [
  ended ? String(ended.position) : null,
  ended?.status ?? null,
  ended?.result ?? null,
  ended?.error ?? null,
];
