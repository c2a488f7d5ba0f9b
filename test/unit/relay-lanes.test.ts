import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LeaseGrant } from '../../src/outbox/lease-grant.ts';
import { type LaneRow, RelayLanes } from '../../src/outbox/relay-lanes.ts';

const grant = new LeaseGrant(0, '1', Number.POSITIVE_INFINITY);
const row = (id: number, key: string | null, under = grant): LaneRow => ({ id, key, grant: under, body: 'x' });
const lanesOf = (...rows: LaneRow[]) => {
  const lanes = new RelayLanes<LaneRow>({ laneLimit: 3 });
  for (const each of rows) lanes.add(each);
  return lanes;
};
const take = (lanes: RelayLanes<LaneRow>): number[] => {
  const ids: number[] = [];
  for (let next = lanes.next(); next; next = lanes.next()) ids.push(next.id);
  return ids;
};

describe('lanes of the relay', () => {
  it('lets one row of a key go at a time, and the others in id order', () => {
    const [a1, a3, a2] = [row(1, 'a'), row(3, 'a'), row(2, 'a')];
    const lanes = lanesOf(a1, a3, a2, row(4, null), row(5, null));
    expect(take(lanes)).toEqual([1, 4, 5]);
    lanes.confirmed(a1);
    expect(take(lanes)).toEqual([2]);
    lanes.confirmed(a2);
    expect(take(lanes)).toEqual([3]);
  });

  it('holds a confirmed row until its delete, so that no read brings it again', () => {
    const a1 = row(1, 'a');
    const lanes = lanesOf(a1);
    take(lanes);
    lanes.confirmed(a1);
    expect([...lanes.ids()]).toEqual([1]);
    expect(lanes.add(row(1, 'a'))).toBe(false);
    lanes.settled(a1);
    expect(lanes.size).toBe(0);
  });

  it('skips a key after a failure until the failure is recorded and the table is read from its start', () => {
    const a1 = row(1, 'a');
    const lanes = lanesOf(a1, row(2, 'a'));
    take(lanes);
    lanes.failed(a1);
    expect(lanes.add(row(2, 'a'))).toBe(false);
    lanes.beginFullRead();
    expect(lanes.add(row(2, 'a'))).toBe(false);
    lanes.settled(a1);
    expect(lanes.add(row(2, 'a'))).toBe(false);
    lanes.beginFullRead();
    expect(lanes.add(row(2, 'a'))).toBe(true);
  });

  it('asks for a read from the start after an unknown outcome, and skips the key until then', () => {
    const a1 = row(1, 'a');
    const lanes = lanesOf(a1, row(2, 'a'));
    take(lanes);
    lanes.forget(a1);
    expect(lanes.wantsFullRead).toBe(true);
    expect(lanes.add(row(2, 'a'))).toBe(false);
    lanes.beginFullRead();
    expect(lanes.add(row(1, 'a'))).toBe(true);
    expect(lanes.add(row(2, 'a'))).toBe(true);
    expect(take(lanes)).toEqual([1]);
  });

  it('passes over what a full lane cannot hold, until it has drained and the table is read from its start', () => {
    const rows = [1, 2, 3, 4].map((id) => row(id, 'a'));
    const lanes = lanesOf(...rows);
    expect(lanes.add(row(5, 'a'))).toBe(false);
    expect([...lanes.skippedKeys()]).toEqual(['a']);
    for (const each of rows) {
      take(lanes);
      lanes.confirmed(each);
    }
    expect(lanes.add(row(6, 'a'))).toBe(false);
    expect(lanes.wantsFullRead).toBe(true);
    lanes.beginFullRead();
    expect(lanes.add(row(5, 'a'))).toBe(true);
  });

  it('forgets unsent rows of a revoked grant, and takes none that was read under it', () => {
    const old = new LeaseGrant(0, '1', 0);
    const a1 = row(1, 'a', old);
    const lanes = lanesOf(a1, row(2, 'a', old), row(3, null, old));
    lanes.next();
    old.revoke();
    lanes.dropRevoked();
    expect([...lanes.ids()]).toEqual([1]);
    expect(take(lanes)).toEqual([]);
    expect(lanes.add(row(4, null, old))).toBe(false);
    expect(lanes.add(row(2, 'a', new LeaseGrant(0, '3', 0)))).toBe(true);
    expect(take(lanes)).toEqual([]);
    lanes.confirmed(a1);
    expect(take(lanes)).toEqual([2]);
    expect(lanes.unsettled(0)).toBe(2);
  });
});

// ------------------------------------------------------------------------------------------------------------------

type Step =
  | { readonly kind: 'insert'; readonly key: number }
  | { readonly kind: 'late'; readonly key: number }
  | { readonly kind: 'commit' }
  | { readonly kind: 'read'; readonly limit: number }
  | { readonly kind: 'arrive' }
  | { readonly kind: 'send'; readonly count: number }
  | { readonly kind: 'outcome'; readonly which: number; readonly as: 'confirmed' | 'failed' | 'unknown' }
  | { readonly kind: 'write' }
  | { readonly kind: 'due' }
  | { readonly kind: 'takeover' };

const keyOf = (key: number): string | null => (key === 0 ? null : `k${key}`);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('insert' as const), key: fc.nat(2) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('late' as const), key: fc.nat(2) }) },
  { weight: 2, arbitrary: fc.constant({ kind: 'commit' as const }) },
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('read' as const), limit: fc.integer({ min: 1, max: 6 }) }) },
  { weight: 5, arbitrary: fc.constant({ kind: 'arrive' as const }) },
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('send' as const), count: fc.integer({ min: 1, max: 4 }) }) },
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant('outcome' as const),
      which: fc.nat(5),
      as: fc.constantFrom('confirmed' as const, 'confirmed' as const, 'failed' as const, 'unknown' as const),
    }),
  },
  { weight: 4, arbitrary: fc.constant({ kind: 'write' as const }) },
  { weight: 2, arbitrary: fc.constant({ kind: 'due' as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'takeover' as const }) },
);

interface TableRow {
  readonly id: number;
  readonly key: string | null;
  /** Its transaction is open: nobody sees it, and no other row of its key can be written. */
  isOpen: boolean;
  isBackingOff: boolean;
  isConfirmed: boolean;
}

/** Table, statement and relay as a model: reads see a snapshot and arrive later; writes follow outcomes later. */
class Model {
  readonly table = new Map<number, TableRow>();
  lanes = new RelayLanes<LaneRow>({ laneLimit: 2 });
  under = new LeaseGrant(0, '1', Number.POSITIVE_INFINITY);
  inFlight: LaneRow[] = [];
  toDelete: LaneRow[] = [];
  toRecord: LaneRow[] = [];
  reading: LaneRow[] | undefined;
  #nextId = 1;

  insert(key: string | null, isOpen: boolean): void {
    if ([...this.table.values()].some((each) => each.isOpen && each.key === key && key !== null)) return;
    const id = this.#nextId++;
    this.table.set(id, { id, key, isOpen, isBackingOff: false, isConfirmed: false });
  }

  commit(): void {
    for (const each of this.table.values()) each.isOpen = false;
  }

  read(limit: number): void {
    if (this.reading) return;
    this.lanes.beginFullRead();
    const held = new Set(this.lanes.ids());
    const visible = [...this.table.values()].filter((each) => !each.isOpen);
    const rows = visible.filter(
      (each) =>
        !held.has(each.id) &&
        !each.isBackingOff &&
        (each.key === null || !this.lanes.isSkipped(each.key)) &&
        !visible.some((p) => p.key !== null && p.key === each.key && p.id < each.id && p.isBackingOff),
    );
    this.reading = rows.slice(0, limit).map((each) => row(each.id, each.key, this.under));
  }

  arrive(): void {
    for (const each of this.reading ?? []) this.lanes.add(each);
    this.reading = undefined;
  }

  send(count: number): void {
    for (let n = 0; n < count; n++) {
      const next = this.lanes.next();
      if (!next) return;
      if (next.key !== null) {
        const before = [...this.table.values()].filter((p) => p.key === next.key && p.id < next.id && !p.isConfirmed);
        expect(
          before.map((p) => p.id),
          `row ${next.id} overtakes`,
        ).toEqual([]);
        expect(
          this.inFlight.filter((other) => other.key === next.key),
          'two of a key in flight',
        ).toEqual([]);
      }
      expect(this.inFlight.some((other) => other.id === next.id)).toBe(false);
      this.inFlight.push(next);
    }
  }

  outcome(which: number, as: 'confirmed' | 'failed' | 'unknown'): void {
    const [sent] = this.inFlight.splice(which % Math.max(1, this.inFlight.length), 1);
    if (!sent) return;
    if (as === 'unknown') this.lanes.forget(sent);
    if (as === 'failed') {
      this.lanes.failed(sent);
      this.toRecord.push(sent);
    }
    if (as === 'confirmed') {
      const found = this.table.get(sent.id);
      if (found) found.isConfirmed = true;
      this.lanes.confirmed(sent);
      this.toDelete.push(sent);
    }
  }

  write(): void {
    for (const each of this.toDelete.splice(0)) {
      this.table.delete(each.id);
      this.lanes.settled(each);
    }
    for (const each of this.toRecord.splice(0)) {
      const found = this.table.get(each.id);
      if (found) found.isBackingOff = true;
      this.lanes.settled(each);
    }
  }

  due(): void {
    for (const each of this.table.values()) each.isBackingOff = false;
  }

  /** The partition is lost and comes back: unsent rows are void, a read under way as well. */
  takeover(): void {
    this.under.revoke();
    this.lanes.dropRevoked();
    this.under = new LeaseGrant(0, '2', Number.POSITIVE_INFINITY);
  }

  run(step: Step): void {
    switch (step.kind) {
      case 'insert':
        this.insert(keyOf(step.key), false);
        break;
      case 'late':
        this.insert(keyOf(step.key), true);
        break;
      case 'commit':
        this.commit();
        break;
      case 'read':
        this.read(step.limit);
        break;
      case 'arrive':
        this.arrive();
        break;
      case 'send':
        this.send(step.count);
        break;
      case 'outcome':
        this.outcome(step.which, step.as);
        break;
      case 'write':
        this.write();
        break;
      case 'due':
        this.due();
        break;
      case 'takeover':
        this.takeover();
        break;
      default:
        step satisfies never;
    }
  }

  drain(): void {
    this.commit();
    for (let round = 0; round < 500 && this.table.size > 0; round++) {
      this.arrive();
      this.due();
      this.read(3);
      this.arrive();
      this.send(10);
      while (this.inFlight.length > 0) this.outcome(0, 'confirmed');
      this.write();
    }
  }
}

describe('lanes, whatever happens', () => {
  it('never let a row overtake an earlier one of its key, never send two of a key at once, and forget none', () => {
    fc.assert(
      // long runs: shrinking finds the short ones, random search does not
      fc.property(fc.array(step, { minLength: 100, maxLength: 200, size: 'max' }), (steps) => {
        const model = new Model();
        for (const each of steps) model.run(each);
        model.drain();
        expect(model.table.size).toBe(0);
        expect(model.lanes.size).toBe(0);
        expect(model.lanes.bytes).toBe(0);
        expect(model.lanes.readyCount).toBe(0);
      }),
      { numRuns: 1000 },
    );
  });
});
