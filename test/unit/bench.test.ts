import { existsSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { BENCHES, NAMED_ONLY, readArguments } from '../../bench/arguments.ts';
import { leastSquares } from '../../bench/least-squares.ts';

describe('npm run bench', () => {
  it.each([...BENCHES, ...NAMED_ONLY])(
    '%s says the settings of its sides, and what would be cheating',
    async (name) => {
      const { head } = await import(`../../bench/${name}.bench.ts`);
      expect(head).toMatch(/\b(Ours|ours|Both|All)\b/);
      expect(head).toMatch(/Cheating would be: \S/);
    },
  );

  it('runs everything that has a target when it is told no names, and keeps what it is told to keep', () => {
    expect(readArguments([])).toEqual({ names: BENCHES, isAll: true, rounds: 5, minutes: 30, record: undefined });
    expect(readArguments(['relay', '--rounds', '3', '--record'])).toMatchObject({
      names: ['relay'],
      isAll: false,
      rounds: 3,
      record: '',
    });
    expect(readArguments(['soak', '--minutes', '0.5', '--record-to', 'x.json'])).toMatchObject({
      minutes: 0.5,
      record: 'x.json',
    });
  });

  it('refuses benches that there are not, and numbers that are none', () => {
    expect(() => readArguments(['relais'])).toThrow(/no such bench: relais; there are publish, /);
    expect(() => readArguments(['--rounds', '2.5'])).toThrow('--rounds: expected a whole number above 0, got "2.5"');
    expect(() => readArguments(['--minutes', 'long'])).toThrow('--minutes: expected a number above 0, got "long"');
    expect(() => readArguments(['--round', '2'])).toThrow(/--round/);
  });

  it('has its peers in a package of its own, which nobody needs who does not measure', () => {
    expect(existsSync(new URL('../../bench/package-lock.json', import.meta.url))).toBe(true);
  });
});

describe('leastSquares', () => {
  it('finds the line through points, and how sure its slope is', () => {
    expect(leastSquares([0, 1, 2, 3].map((x) => [x, 3 * x + 1]))).toEqual({ slope: 3, intercept: 1, standardError: 0 });
    const noisy = leastSquares([0, 1, 2, 3, 4, 5].map((x) => [x, x + (x % 2 === 0 ? 0.1 : -0.1)]));
    expect(noisy.slope).toBeCloseTo(1, 1);
    expect(noisy.standardError).toBeGreaterThan(0);
  });
});
