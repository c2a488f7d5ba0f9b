import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { asError } from '../../src/router/middleware/recover.ts';
import { errorType } from '../../src/util/error-type.ts';
import { encodeJson } from '../../src/wire/json.ts';

/** As in Jest, where a file's globals are its own and what Node's modules make is of theirs. */
const elsewhere = (code: string): unknown => runInNewContext(code);

describe('what was made in another realm', () => {
  it('is an error with its code and text, when it is one', () => {
    const thrown = elsewhere("Object.assign(new Error('no such file'), { code: 'ENOENT' })");
    expect(thrown).not.toBeInstanceOf(Error);
    expect(asError(thrown)).toBe(thrown);
    expect(errorType(thrown)).toBe('ENOENT');
  });

  it.each([
    'new Map([[1, 2]])',
    'new Set([1])',
    'Promise.resolve(1)',
    "new Error('x')",
    'new TypeError()',
    '/x/',
    'new ArrayBuffer(1)',
  ])('is refused in a payload when JSON would empty it: %s', (code) => {
    expect(() => encodeJson({ value: elsewhere(code) })).toThrow(/^payload\.value cannot be written as JSON/);
  });

  it('travels when it is plain', () => {
    expect(encodeJson(elsewhere('({ list: [1, { at: new Date(0) }], none: null })'))).toBe(
      '{"list":[1,{"at":"1970-01-01T00:00:00.000Z"}],"none":null}',
    );
    expect(() => encodeJson(elsewhere('new Date(NaN)'))).toThrow('it is an invalid Date');
  });
});
