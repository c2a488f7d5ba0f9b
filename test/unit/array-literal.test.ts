import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { arrayLiteral } from '../../src/database/array-literal.ts';

/** As array_in of PostgreSQL reads elements in quotes: a backslash stands for the character behind it. */
function read(literal: string): (string | null)[] {
  const elements = literal.slice(1, -1).matchAll(/"((?:[^"\\]|\\[\s\S])*)"|NULL/g);
  return [...elements].map(([, text]) => text?.replaceAll(/\\([\s\S])/g, '$1') ?? null);
}

describe('arrayLiteral', () => {
  it('is read by PostgreSQL as the texts that it was made of, whatever is in them', () => {
    const anyUnit = fc.nat(0xffff).map((unit) => String.fromCharCode(unit));
    const text = fc.oneof(
      fc.string({ unit: anyUnit }),
      fc.json(),
      fc.string({ unit: fc.constantFrom(...'\\"\n\0{},u0') }),
    );
    fc.assert(
      fc.property(fc.array(fc.option(text), { maxLength: 4 }), (texts) => {
        expect(read(arrayLiteral(texts))).toEqual(texts);
      }),
    );
    expect(arrayLiteral(['a"b\\c', '\n', '😀', null])).toBe('{"a\\"b\\\\c","\n","😀",NULL}');
  });
});
