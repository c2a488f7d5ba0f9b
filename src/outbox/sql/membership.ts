import type { SqlExecutor } from '../../database/executor.ts';
import { qualified } from '../../database/identifier.ts';

export interface Census {
  /** Owners that live, this one included. */
  readonly members: readonly string[];
  /** Partitions whose lease has run out. */
  readonly free: number;
}

export interface MembershipStatements {
  /** Says that the owner lives, for `leaseMs` from now. */
  beat(db: SqlExecutor, owner: string, leaseMs: number): Promise<void>;
  census(db: SqlExecutor): Promise<Census>;
  /** Takes the owner off the list. */
  leave(db: SqlExecutor, owner: string): Promise<void>;
}

export function prepareMembership(schema: string): MembershipStatements {
  const relay = qualified(schema, 'svc_comm_relay');
  const lease = qualified(schema, 'svc_comm_relay_lease');
  const beat = `
WITH dead AS (DELETE FROM ${relay} WHERE owner <> $1::uuid AND until < clock_timestamp() - interval '1 hour')
INSERT INTO ${relay} (owner, until) VALUES ($1::uuid, clock_timestamp() + $2::float8 * interval '1 ms')
ON CONFLICT (owner) DO UPDATE SET until = excluded.until`;
  const census = `
SELECT coalesce((SELECT string_agg(owner::text, ',') FROM ${relay} WHERE until > clock_timestamp()), '') AS members,
       (SELECT count(*)::int FROM ${lease} WHERE until < clock_timestamp()) AS free`;
  return {
    async beat(db, owner, leaseMs) {
      await db.query(beat, [owner, String(leaseMs)], 'svc_comm_beat');
    },
    async census(db) {
      const [row] = await db.query<{ members: string; free: number }>(census, [], 'svc_comm_census');
      return { members: row?.members ? row.members.split(',') : [], free: row?.free ?? 0 };
    },
    async leave(db, owner) {
      await db.query(`DELETE FROM ${relay} WHERE owner = $1::uuid`, [owner]);
    },
  };
}
