import { PassThrough } from 'node:stream';
import { expect, it } from 'vitest';
import { ask } from '../../src/cli/ask.ts';

/** @param given what is typed before the end of the input */
async function answerTo(given: string, isOpen = true): Promise<boolean> {
  const [input, output] = [new PassThrough(), new PassThrough()];
  const answer = ask('drop 3 dead letters for good?', { input, output });
  if (isOpen) input.write(given);
  else input.end(given);
  return answer;
}

it.each([
  ['y\n', true],
  ['Yes \n', true],
  ['n\n', false],
  ['\n', false],
  ['yes, all\n', false],
])('%j is answered with %j', async (given, expected) => {
  expect(await answerTo(given)).toBe(expected);
});

it('who leaves without an answer has not agreed', async () => {
  expect(await answerTo('', false)).toBe(false);
});
