import type { SqlExecutor } from '../../database/executor.ts';
import { qualified } from '../../database/identifier.ts';

/** What a relay said last. */
export interface Beat {
  readonly owner: string;
  /** As the database writes it: it is another one with each beat. */
  readonly until: string;
  /** How far `until` lies ahead; below 0 when it has run out. */
  readonly leftMs: number;
}

export interface Census {
  /** Of all owners, this one and dead ones included. */
  readonly beats: readonly Beat[];
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
SELECT coalesce((SELECT json_agg(json_build_object('owner', owner, 'until', until,
                   'leftMs', extract(epoch FROM until - clock_timestamp())::float8 * 1000)) FROM ${relay}), '[]')::text AS beats,
       (SELECT count(*)::int FROM ${lease} WHERE until < clock_timestamp()) AS free`;
  return {
    async beat(db, owner, leaseMs) {
      await db.query(beat, [owner, String(leaseMs)], 'svc_comm_beat');
    },
    async census(db) {
      const [row] = await db.query<{ beats: string; free: number }>(census, [], 'svc_comm_census');
      return { beats: JSON.parse(row?.beats ?? '[]'), free: row?.free ?? 0 };
    },
    async leave(db, owner) {
      await db.query(`DELETE FROM ${relay} WHERE owner = $1::uuid`, [owner]);
    },
  };
}
