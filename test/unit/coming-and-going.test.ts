import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { type Linked, LinkedSet } from '../../src/util/linked-set.ts';
import { ReleasingMap } from '../../src/util/releasing-map.ts';

class Item implements Linked<Item> {
  before: Item | undefined = undefined;
  after: Item | undefined = undefined;
  readonly id: number;
  readonly body: number[];

  constructor(id: number, size = 0) {
    this.id = id;
    this.body = new Array(size).fill(id + 0.5);
  }
}

const ids = (items: Iterable<Item>) => Array.from(items, ({ id }) => id);

describe('a linked set', () => {
  it('holds what a Set of the language holds, in its order, whatever comes and goes', () => {
    const step = fc.record({ kind: fc.constantFrom('add', 'delete', 'clear'), id: fc.nat(9) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const items = Array.from({ length: 10 }, (_, id) => new Item(id));
        const [ours, theirs] = [new LinkedSet<Item>(), new Set<Item>()];
        for (const { kind, id } of steps) {
          const item = items[id] as Item;
          if (kind === 'add' && !theirs.has(item)) {
            ours.add(item);
            theirs.add(item);
          }
          if (kind === 'delete') expect(ours.delete(item)).toBe(theirs.delete(item));
          if (kind === 'clear' && id === 0) {
            ours.clear();
            theirs.clear();
          }
          expect(ids(ours)).toEqual(ids(theirs));
          expect({ size: ours.size, first: ours.first }).toEqual({ size: theirs.size, first: [...theirs][0] });
        }
      }),
      { numRuns: 500 },
    );
  });

  it('goes over what was in it at the beginning, though items go and come meanwhile', () => {
    const set = new LinkedSet<Item>();
    const items = [0, 1, 2, 3].map((id) => new Item(id));
    for (const item of items) set.add(item);
    const seen: number[] = [];
    for (const item of set) {
      seen.push(item.id);
      set.delete(item);
      if (item.id === 0) set.delete(items[1] as Item);
      if (item.id === 2) set.add(new Item(9));
    }
    expect(seen).toEqual([0, 1, 2, 3]);
    expect(ids(set)).toEqual([9]);
  });
});

describe('a releasing map', () => {
  it('answers as a Map of the language does', () => {
    const step = fc.record({ kind: fc.constantFrom('set', 'delete', 'clear'), key: fc.nat(5), id: fc.nat(99) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const [ours, theirs] = [new ReleasingMap<number, Item>(), new Map<number, Item>()];
        for (const { kind, key, id } of steps) {
          if (kind === 'set') {
            const item = new Item(id);
            ours.set(key, item);
            theirs.set(key, item);
          }
          if (kind === 'delete') expect(ours.delete(key)).toBe(theirs.delete(key));
          if (kind === 'clear' && key === 0) {
            ours.clear();
            theirs.clear();
          }
          expect([...ours.entries()]).toEqual([...theirs]);
          expect([...ours.keys()]).toEqual([...theirs.keys()]);
          expect([...ours.values()]).toEqual([...theirs.values()]);
          expect([ours.size, ours.has(key), ours.get(key)]).toEqual([theirs.size, theirs.has(key), theirs.get(key)]);
        }
      }),
      { numRuns: 500 },
    );
  });
});

/** A hundred are there at a time, and each is gone a hundred later: as messages under way are. */
const KINDS: readonly [string, () => (coming: Item, going: Item | undefined) => void][] = [
  [
    'a linked set',
    () => {
      const set = new LinkedSet<Item>();
      return (coming, going) => {
        set.add(coming);
        if (going) set.delete(going);
      };
    },
  ],
  [
    'a releasing map',
    () => {
      const map = new ReleasingMap<number, Item>();
      return (coming, going) => {
        map.set(coming.id, coming);
        if (going) map.delete(going.id);
      };
    },
  ],
];

describe('what has come and gone is let go by the collections of the young generation', () => {
  let collect: (options?: { type: 'minor' }) => void;
  beforeAll(() => {
    setFlagsFromString('--expose-gc');
    collect = runInNewContext('gc') as typeof collect;
  });

  it.each(KINDS)('by %s, also after a full collection', (_name, make) => {
    const UNDER_WAY = 100;
    const KIB = 4;
    const [pass, ring] = [make(), new Array<Item | undefined>(UNDER_WAY)];
    let id = 0;
    const passOn = (count: number) => {
      for (const end = id + count; id < end; id += 1) {
        const item = new Item(id, KIB * 128);
        pass(item, ring[id % UNDER_WAY]);
        ring[id % UNDER_WAY] = item;
      }
    };
    passOn(10 * UNDER_WAY);
    // From here on its table is old.
    collect();
    collect();
    const before = process.memoryUsage().heapUsed;
    let most = 0;
    for (let round = 0; round < 10; round += 1) {
      passOn(10 * UNDER_WAY);
      collect({ type: 'minor' });
      collect({ type: 'minor' });
      most = Math.max(most, process.memoryUsage().heapUsed - before);
    }
    // 40 MiB have passed through. A Set or Map of the language keeps over 20 of them.
    expect(most / 2 ** 20).toBeLessThan(6);
  });
});
