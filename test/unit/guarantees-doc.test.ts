import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { MUTANTS, mutantRow } from '../support/mutants.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const read = (path: string): string => readFileSync(join(root, path), 'utf8');
const page = read('docs/guarantees.md');
/** As it stands in the source, whatever the quotes. */
const hasTitle = (source: string, title: string): boolean =>
  [`'${title}'`, `"${title}"`, `'${title.replaceAll("'", "\\'")}'`].some((literal) => source.includes(literal));

const named = [...page.matchAll(/^- `([^`]+\.test\.ts)` › (.+)$/gm)].map(([, file = '', title = '']) => ({
  file,
  title,
}));

describe('docs/guarantees.md', () => {
  it('names tests that exist', () => {
    expect(named.length).toBeGreaterThan(40);
    expect(named.filter(({ file, title }) => !hasTitle(read(`test/${file}`), title))).toEqual([]);
  });

  it('names files that exist', () => {
    for (const [, path = ''] of page.matchAll(/`((?:src|test)\/[\w./-]+\.ts)`/g)) expect(read(path), path).not.toBe('');
  });

  it('has every mutant of test/support/mutants.ts in its table, and no other', () => {
    const table = page.split('\n').filter((line) => /^\| .* \| `src\//.test(line));
    expect(table).toEqual(MUTANTS.map(mutantRow));
  });
});

it.each(MUTANTS)('the text of the rule "$rule" stands once in its file', ({ file, takes }) => {
  expect(read(`src/${file}`).split(takes)).toHaveLength(2);
});
