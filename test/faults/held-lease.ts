import { monitorEventLoopDelay } from 'node:perf_hooks';
import { eventually } from '../support/eventually.ts';
import type { FailpointResult } from './failpoint-run.ts';
import { isDelete, type Witness } from './witness.ts';
import { PATIENCE, type World } from './world.ts';

export interface HeldLeaseOptions {
  readonly world: World;
  readonly witness: Witness;
  readonly times: number;
  readonly leaseMs: number;
}

const WAIT_MS = 60_000 * PATIENCE;
const OWNER = /[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}/;
const isRenewal = (sql = ''): boolean =>
  sql.includes('svc_comm_relay_lease SET until') || /relay_lease"?\s+SET until/.test(sql);
/** Grants partitions from then on, as a renewal does: those are not the last renewal's. */
const isAcquire = (sql = ''): boolean => /relay_lease"?\s+SET owner = \$1::uuid, epoch = epoch \+ 1/.test(sql);

/**
 * R5, which is no kill: a renewal and a delete of a relay are held on the wire until another relay has its partitions.
 * From the time that its last renewal or acquisition granted, it may publish nothing; the delete, when let go, may match no row.
 */
export async function heldLease({ world, witness, times, leaseMs }: HeldLeaseOptions): Promise<FailpointResult> {
  const problems: string[] = [];
  for (let i = 0; i < times; i++) {
    const problem = await holdOnce({ world, witness, leaseMs });
    if (problem !== undefined) problems.push(`R5: ${problem}`);
  }
  return {
    name: 'R5',
    at: 'the renewal of the lease and a delete, held until another relay has taken over',
    expects: 'no publish after the lease, and the delete matches no row',
    kills: times,
    messages: times,
    asExpected: times - problems.length,
    problems: problems.slice(0, 3),
  };
}

async function holdOnce({ world, witness, leaseMs }: Omit<HeldLeaseOptions, 'times'>): Promise<string | undefined> {
  const slot = world.slot('relay-victim');
  const survivor = world.slot('relay-survivor');
  const owned = async (owner: string | undefined) => {
    const sql = `SELECT 1 FROM svc_comm_relay_lease WHERE until > clock_timestamp() ${owner === undefined ? '' : 'AND owner = $1'}`;
    return world.oracle.count(sql, owner === undefined ? [] : [owner]);
  };
  let owner: string | undefined;
  let renewedAtMs = 0;
  // How late this process sees what passes.
  const lag = monitorEventLoopDelay({ resolution: 5 });
  lag.enable();
  let isDeleteHeld = false;
  let tag: string | undefined;
  const isShared = async () => {
    const owners = await world.oracle.query(
      'SELECT 1 FROM svc_comm_relay_lease WHERE until > clock_timestamp() GROUP BY owner',
    );
    return owners.length === 2;
  };
  await eventually('both relays have partitions', isShared, WAIT_MS);
  slot.pg.rule = (frame, direction, wire) => {
    if (frame.kind === 'complete' && (isRenewal(frame.sql) || isAcquire(frame.sql))) renewedAtMs = performance.now();
    if (frame.kind === 'complete' && isDelete(frame.sql) && isDeleteHeld) tag ??= frame.tag;
    // The delete first, so that it is of the epoch whose renewal is held next.
    if (direction === 'to-server' && frame.kind === 'bind' && isDelete(frame.sql) && renewedAtMs > 0 && !isDeleteHeld) {
      isDeleteHeld = true;
      return 'hold';
    }
    if (frame.kind === 'bind' && isRenewal(frame.sql) && isDeleteHeld) {
      owner ??= OWNER.exec(frame.bytes.toString('latin1'))?.[0];
      return 'hold';
    }
    void wire;
    return 'pass';
  };
  // It publishes the same rows again: were they gone by its own delete, the one held here would match none by any rule.
  survivor.pg.rule = (frame, direction) =>
    direction === 'to-server' && frame.kind === 'bind' && isDelete(frame.sql) && isDeleteHeld ? 'hold' : 'pass';
  await eventually('the renewal and a delete are held', async () => owner !== undefined && isDeleteHeld, WAIT_MS);
  await eventually(
    'another relay has all partitions',
    async () => (await owned(owner)) === 0 && (await owned(undefined)) === 64,
  );
  lag.disable();
  const granted = renewedAtMs + leaseMs + lag.max / 1e6;
  const late = [...witness.publishedBy(slot).values()].map((atMs) => atMs - granted).filter((ms) => ms > 0);
  slot.pg.heal();
  // The rule is gone with `heal`; the answer is looked for anew.
  slot.pg.rule = (frame) => {
    if (frame.kind === 'complete' && isDelete(frame.sql)) tag ??= frame.tag;
    return 'pass';
  };
  await eventually('the delete is answered', async () => tag !== undefined, WAIT_MS);
  slot.pg.heal();
  survivor.pg.heal();
  if (late.length > 0)
    return `${late.length} publishes up to ${Math.max(...late).toFixed(0)} ms after the lease had run out`;
  return tag === 'DELETE 0' ? undefined : `the delete under the old epoch was taken: ${tag}`;
}
