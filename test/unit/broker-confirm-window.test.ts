import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ConfirmWindow } from '../../src/broker/confirm-window.ts';

describe('the window of unconfirmed publishes', () => {
  test('gives each entry back once, whatever mix of single and multiple confirms comes', () => {
    const step = fc.oneof(fc.constant('push' as const), fc.record({ pick: fc.nat(), isMultiple: fc.boolean() }));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 400 }), (steps) => {
        const window = new ConfirmWindow<number>();
        const open = new Set<number>();
        let sent = 0;
        for (const next of steps) {
          if (next === 'push') {
            window.push(++sent);
            open.add(sent);
          } else if (sent > 0) {
            const tag = 1 + (next.pick % sent);
            const expected = [...open].filter((entry) => entry === tag || (next.isMultiple && entry < tag));
            const visited: number[] = [];
            window.confirm(tag, next.isMultiple, (entry) => visited.push(entry));
            expect(visited).toEqual(expected);
            for (const entry of visited) open.delete(entry);
          }
          expect(window.size).toBe(open.size);
          expect(window.entries()).toEqual([...open]);
        }
      }),
      { numRuns: 500 },
    );
  });

  test('lets a visitor push the next message', () => {
    const window = new ConfirmWindow<number>();
    for (let entry = 1; entry <= 3000; entry++) window.push(entry);
    let last = 3000;
    const seen: number[] = [];
    window.confirm(3000, true, (entry) => {
      seen.push(entry);
      window.push(++last);
    });
    expect(seen).toEqual(Array.from({ length: 3000 }, (_, index) => index + 1));
    window.confirm(6000, true, (entry) => seen.push(entry));
    expect(seen.at(-1)).toBe(6000);
    expect(window.size).toBe(0);
  });

  test('matches returns of one id in the order sent', () => {
    const window = new ConfirmWindow<{ id: string; n: number; returned: boolean }>();
    const entries = ['a', 'b', 'a', 'c'].map((id, n) => ({ id, n, returned: false }));
    for (const entry of entries) window.push(entry);
    const take = (id: string) => {
      const entry = window.findReturned((each) => !each.returned && each.id === id);
      if (entry) entry.returned = true;
      return entry?.n;
    };
    expect([take('a'), take('a'), take('c'), take('b'), take('b')]).toEqual([0, 2, 3, 1, undefined]);
  });
});
