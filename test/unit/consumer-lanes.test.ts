import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type LaneItem, Lanes } from '../../src/consumer/lanes.ts';

interface Item extends LaneItem<Item> {
  readonly id: number;
}

const item = (id: number, key?: string): Item => ({ id, key, behind: undefined });

test('at most `concurrency` run at once, those of one key one at a time in the order they came, and all get their turn', () => {
  const script = fc.record({
    concurrency: fc.integer({ min: 1, max: 5 }),
    keys: fc.array(fc.option(fc.constantFrom('a', 'b', 'c'), { nil: undefined }), { maxLength: 60 }),
    choices: fc.infiniteStream(fc.nat(1_000)),
  });
  fc.assert(
    fc.property(script, ({ concurrency, keys, choices }) => {
      const running: Item[] = [];
      const resting: Item[] = [];
      const begun = new Map<string | undefined, number[]>();
      const lanes = new Lanes<Item>(concurrency, (next) => {
        running.push(next);
        if (!rested.has(next)) begun.set(next.key, [...(begun.get(next.key) ?? []), next.id]);
      });
      const rested = new Set<Item>();
      const choose = () => choices.next().value ?? 0;
      const take = (from: Item[]): Item | undefined => from.splice(choose() % Math.max(1, from.length), 1)[0];
      const waiting = keys.map((key, id) => item(id, key));
      let turns = 0;
      while (waiting.length > 0 || running.length > 0 || resting.length > 0) {
        turns += 1;
        expect(turns).toBeLessThan(2_000);
        const action = choose() % 5;
        if (action === 0 || (running.length === 0 && resting.length === 0)) {
          const next = waiting.shift();
          if (next) lanes.enter(next);
        } else if (action === 1 && resting.length > 0) {
          const back = take(resting);
          if (!back) continue;
          rested.add(back);
          if (choose() % 2) lanes.resume(back);
          else lanes.leave(back);
        } else if (action === 2) {
          const one = take(running);
          if (!one) continue;
          resting.push(one);
          lanes.rest();
        } else {
          const one = take(running);
          if (one) lanes.finish(one);
        }
        expect(running.length).toBeLessThanOrEqual(concurrency);
        const busy = [...running, ...resting].flatMap(({ key }) => key ?? []);
        expect(new Set(busy).size).toBe(busy.length);
      }
      for (const [key, ids] of begun) {
        if (key !== undefined) expect(ids).toEqual(ids.toSorted((a, b) => a - b));
      }
      expect([...begun.values()].flat()).toHaveLength(keys.length);
    }),
  );
});

test('a busy key does not starve others: its next message queues up behind those that are ready', () => {
  const order: number[] = [];
  const lanes = new Lanes<Item>(1, ({ id }) => order.push(id));
  const [first, second, free] = [item(1, 'k'), item(2, 'k'), item(3)];
  for (const next of [first, second, free]) lanes.enter(next);
  lanes.finish(first);
  expect(order).toEqual([1, 3]);
  lanes.finish(free);
  expect(order).toEqual([1, 3, 2]);
});

test('a resting message frees its slot and keeps its key', () => {
  const order: number[] = [];
  const lanes = new Lanes<Item>(1, ({ id }) => order.push(id));
  const [first, second, other] = [item(1, 'k'), item(2, 'k'), item(3, 'other')];
  for (const next of [first, second, other]) lanes.enter(next);
  lanes.rest();
  expect(order).toEqual([1, 3]);
  lanes.finish(other);
  lanes.resume(first);
  expect(order).toEqual([1, 3, 1]);
  lanes.finish(first);
  expect(order).toEqual([1, 3, 1, 2]);
});

test('items that end in the call that begins them do not deepen the stack', () => {
  let begun = 0;
  const lanes: Lanes<Item> = new Lanes<Item>(1, (next) => {
    begun += 1;
    if (next.id > 0) lanes.finish(next);
  });
  const first = item(0, 'k');
  lanes.enter(first);
  for (let id = 1; id <= 100_000; id++) lanes.enter(item(id, 'k'));
  lanes.finish(first);
  expect(begun).toBe(100_001);
});

test('after close nothing begins', () => {
  const order: number[] = [];
  const lanes = new Lanes<Item>(1, ({ id }) => order.push(id));
  const [first, second] = [item(1, 'k'), item(2, 'k')];
  for (const next of [first, second]) lanes.enter(next);
  lanes.close();
  lanes.finish(first);
  lanes.enter(item(3));
  lanes.resume(first);
  expect(order).toEqual([1]);
});
