import { expect, test } from 'vitest';
import { dialect, runCases } from './cases.ts';
import expected from './expected.json' with { type: 'json' };

test('the cases come out as expected under vitest', async () => {
  expect(dialect()).toBe(process.env.DIALECT);
  expect(await runCases()).toEqual(expected);
});
