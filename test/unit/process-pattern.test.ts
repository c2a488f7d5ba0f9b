import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LinearPattern, MOST_SIGNS } from '../../src/process/core/pattern/linear-pattern.ts';

/** Pieces of patterns that both engines know. */
const atom = fc.oneof(
  fc.constantFrom('a', 'b', '.', '\\d', '\\w', '[ab]', '[^a]', '[a-c]', '\\.', '[\\d-]', '\\u0061'),
  fc.constantFrom('(a|b)', '(?:ab)', '(a|)', '(a*b|c)'),
);
const quantified = fc
  .tuple(atom, fc.constantFrom('', '*', '+', '?', '{2}', '{1,3}', '{2,}', '*?', '+?'))
  .map((parts) => parts.join(''));
const source = fc
  .tuple(
    fc.constantFrom('', '^'),
    fc.array(quantified, { maxLength: 5 }),
    fc.constantFrom('', '|b', '|^c'),
    fc.constantFrom('', '$'),
  )
  .map(([start, parts, other, end]) => start + parts.join('') + other + end);
const text = fc.string({
  unit: fc.constantFrom('a', 'b', 'c', '1', '.', '-', '😀', '\n', '\r', '\u2028', '\u2029'),
  maxLength: 12,
});

describe('a linear pattern', () => {
  it('says what RegExp says', () => {
    fc.assert(
      fc.property(source, text, (pattern, sample) => {
        expect(new LinearPattern(pattern).test(sample), `${pattern} on ${JSON.stringify(sample)}`).toBe(
          new RegExp(pattern, 'u').test(sample),
        );
      }),
      { numRuns: 5_000 },
    );
  });

  it.each(['(a+)+$', '(a|a)*b', 'a*a*a*a*a*a*b', '(a|aa)+$', '(.*)*x', '([a-z]+)*[0-9]$'])(
    'comes to its end on a text that %s is slow on in others',
    (pattern) => {
      const before = performance.now();
      expect(new LinearPattern(pattern).test(`${'a'.repeat(MOST_SIGNS - 1)}!`)).toBe(false);
      // RegExp needs years.
      expect(performance.now() - before).toBeLessThan(2_000);
    },
  );

  it.each(['(a', 'a)', '[a', '*a', 'a**', '\\', '(?=a)', '(?<n>a)', '\\1', '\\b', 'a{2', 'a{3,2}', 'a{9999}', '[b-a]'])(
    'refuses %s',
    (pattern) => {
      expect(() => new LinearPattern(pattern)).toThrow(SyntaxError);
    },
  );

  it('refuses what would be long when its counts are multiplied, and looks at no longer text', () => {
    expect(() => new LinearPattern('((a{100}){100}){100}')).toThrow(/too long/);
    expect(() => new LinearPattern('('.repeat(1000))).toThrow(SyntaxError);
    expect(new LinearPattern('a').test('a'.repeat(MOST_SIGNS + 1))).toBe(false);
  });
});
