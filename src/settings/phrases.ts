import type { Description } from './leaf.ts';

/** How settings of one sort are described. */

export const count = (min: number, meaning: string, max?: number): Description => ({
  expected: max === undefined ? `a whole number ≥ ${min}` : `a whole number from ${min} to ${max}`,
  meaning,
  textForm: 'number',
});
export const time = (meaning: string, example: string): Description => ({
  expected: `a duration with its unit, such as '${example}'`,
  meaning,
  textForm: 'text-or-number',
});
export const timeout = (meaning: string, example: string): Description => ({
  expected: `a duration > 0 such as '${example}', or a number of seconds`,
  meaning,
  textForm: 'text-or-number',
});
export const choice = (values: readonly string[], meaning: string): Description => ({
  expected: values.map((value) => `'${value}'`).join(' | '),
  meaning,
  textForm: 'text',
});
export const flag = (meaning: string): Description => ({ expected: 'true | false', meaning, textForm: 'boolean' });
export const text = (expected: string, meaning: string): Description => ({ expected, meaning, textForm: 'text' });
export const json = (expected: string, expectedItem: string, meaning: string): Description => ({
  expected,
  expectedItem,
  meaning,
  textForm: 'json',
});
export const globs = (meaning: string, defaultText?: string): Description => ({
  ...json('a list of globs', 'a glob', meaning),
  ...(defaultText === undefined ? {} : { defaultText }),
});
