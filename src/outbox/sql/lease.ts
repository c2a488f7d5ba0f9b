import type { SqlExecutor } from '../../database/executor.ts';
import { qualified } from '../../database/identifier.ts';

export interface LeaseRow {
  readonly part: number;
  readonly epoch: string;
}

export interface LeaseStatements {
  /** Extends all partitions of the owner in one statement; those not returned are lost. */
  renew(db: SqlExecutor, owner: string, leaseMs: number): Promise<LeaseRow[]>;
  /** Takes at most `limit` partitions whose lease has run out, chosen at random, without waiting for others who try. */
  acquire(db: SqlExecutor, owner: string, leaseMs: number, limit: number): Promise<LeaseRow[]>;
  /** Gives partitions back and tells the other relays. */
  release(db: SqlExecutor, owner: string, leases: readonly LeaseRow[]): Promise<void>;
  /** Says whether commits shall notify the owner. */
  park(db: SqlExecutor, owner: string, parked: boolean): Promise<void>;
}

export const WAKE_CHANNEL = 'svc_comm_wake';
/** Payload: partitions were given back. */
export const WAKE_LEASES = 'leases';

const until = (parameter: string): string => `clock_timestamp() + ${parameter}::float8 * interval '1 ms'`;

/** The database's clock, never ours; every owner gets an epoch of its own. */
export function prepareLease(schema: string): LeaseStatements {
  const lease = qualified(schema, 'svc_comm_relay_lease');
  const renew = `UPDATE ${lease} SET until = ${until('$2')} WHERE owner = $1::uuid RETURNING part, epoch`;
  const acquire = `
UPDATE ${lease} SET owner = $1::uuid, epoch = epoch + 1, until = ${until('$2')}, parked = false
 WHERE until < clock_timestamp()
   AND part IN (SELECT part FROM ${lease} WHERE until < clock_timestamp() ORDER BY random() LIMIT $3::int FOR UPDATE SKIP LOCKED)
RETURNING part, epoch`;
  const release = `
WITH given AS (
  UPDATE ${lease} l SET owner = NULL, until = '-infinity', parked = false
    FROM unnest($2::smallint[], $3::bigint[]) g(part, epoch)
   WHERE l.part = g.part AND l.epoch = g.epoch AND l.owner = $1::uuid
  RETURNING l.part)
SELECT pg_notify('${WAKE_CHANNEL}', '${WAKE_LEASES}') FROM (SELECT count(*) AS n FROM given) g WHERE g.n > 0`;
  const park = `UPDATE ${lease} SET parked = $2::boolean WHERE owner = $1::uuid AND parked <> $2::boolean`;
  return {
    renew: (db, owner, leaseMs) => db.query(renew, [owner, String(leaseMs)], 'svc_comm_renew'),
    acquire: (db, owner, leaseMs, limit) =>
      db.query(acquire, [owner, String(leaseMs), String(limit)], 'svc_comm_acquire'),
    async release(db, owner, leases) {
      await db.query(release, [owner, `{${leases.map((l) => l.part)}}`, `{${leases.map((l) => l.epoch)}}`]);
    },
    async park(db, owner, parked) {
      await db.query(park, [owner, String(parked)], 'svc_comm_park');
    },
  };
}
