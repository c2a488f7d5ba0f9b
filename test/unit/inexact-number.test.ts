import { describe, expect, it } from 'vitest';
import { inexactNumber } from '../../src/wire/inexact-number.ts';

describe('a number that JSON.parse makes another one of', () => {
  it.each([
    ['9007199254740993'],
    ['-9007199254740993'],
    ['12345678901234567890'],
    ['9007199254740993.0'],
    ['1e400'],
    ['-1E309'],
    ['9'.repeat(400)],
  ])('%s is found, wherever it stands', (number) => {
    for (const text of [
      number,
      `[${number}]`,
      `{"a\\"1":[0,"x",{"b": ${number} }],"c":1}`,
      `[1.5,"\\\\",${number},2]`,
    ]) {
      expect(() => JSON.parse(text)).not.toThrow();
      expect(inexactNumber(text)).toBe(number);
    }
  });

  it.each([
    ['9007199254740992'],
    ['-9007199254740991'],
    ['100000000000000000000'],
    ['1e22'],
    ['0.1234567890123456789'],
    ['1234567.1234567890123456'],
    ['1e-400'],
    ['"9007199254740993"'],
    ['{"9007199254740993":"\\"9007199254740993"}'],
    ['"\\\\\\"9007199254740993"'],
    ['true'],
  ])('%s is none', (text) => {
    expect(inexactNumber(text)).toBeUndefined();
    expect(inexactNumber(`[${text}, ${text}]`)).toBeUndefined();
  });

  it('takes a time that grows with the text and no faster', () => {
    const began = performance.now();
    for (const text of [
      '9'.repeat(1_000_000),
      `"${'\\\\'.repeat(500_000)}9999999999999999"`,
      `[${'1e1,'.repeat(250_000)}1]`,
    ]) {
      inexactNumber(text);
    }
    expect(performance.now() - began).toBeLessThan(2_000);
  });
});
