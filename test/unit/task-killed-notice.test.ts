import { describe, expect, it } from 'vitest';
import { KilledNotice } from '../../src/task/killed-notice.ts';

const NOTICE = 'unshare: sigprocmask unblock failed: Invalid argument\n';

/** @returns what is passed on of `text`, given in pieces cut at `cuts`, and whether it held the notice */
function passed(text: string, cuts: readonly number[]) {
  const notice = new KilledNotice();
  const bytes = Buffer.from(text);
  const edges = [0, ...cuts, bytes.length];
  const parts = edges.slice(1).map((edge, n) => notice.take(bytes.subarray(edges[n], edge)));
  return { own: Buffer.concat([...parts, notice.end()]).toString(), isGiven: notice.isGiven };
}

describe('the notice of unshare that its child was killed', () => {
  it.each([
    ['alone', '', ''],
    ['behind a whole line', 'the last words\n', ''],
    ['behind an unfinished line', 'the last wo', ''],
    ['behind what begins like it', 'unshare: sigproc unun', ''],
    ['before what another still writes', '', 'late\n'],
  ])('is taken out of the output wherever it is cut, %s', (_, before, after) => {
    const text = `${before}${NOTICE}${after}`;
    const expected = { own: `${before}${after}`, isGiven: true };
    for (let first = 0; first <= text.length; first++) {
      expect(passed(text, [first])).toEqual(expected);
      for (let second = first; second <= text.length; second += 3)
        expect(passed(text, [first, second])).toEqual(expected);
    }
    expect(
      passed(
        text,
        Array.from(text, (_sign, at) => at),
      ),
    ).toEqual(expected);
  });

  it.each([
    'u',
    'unshare',
    'unshare: sigprocmask unblock',
    'menu',
    'unshare: unshare failed: Operation not permitted\n',
  ])('is not seen in %j, which is passed on whole', (text) => {
    for (let cut = 0; cut <= text.length; cut++) expect(passed(text, [cut])).toEqual({ own: text, isGiven: false });
  });
});
