import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { AREAS, PROBLEMS } from '../../src/doctor/problems.ts';
import { troubleshootingTables } from '../../src/doctor/troubleshooting.ts';

describe('docs/troubleshooting.md', () => {
  it('has the lines of the doctor (node scripts/docs.mjs writes them)', () => {
    const page = readFileSync(new URL('../../docs/troubleshooting.md', import.meta.url), 'utf8');
    expect(page).toContain(troubleshootingTables());
  });

  it.each(Object.entries(PROBLEMS))('says of %s what it means and what to do', (code, { area, meaning, todo }) => {
    expect(code).toMatch(/^[a-z]+(-[a-z]+)+$/);
    expect(AREAS).toContain(area);
    expect(meaning).toMatch(/\.$/);
    expect(todo).not.toMatch(/\.$|^$/);
  });
});
