import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { SETTINGS } from '../../src/settings/catalogue.ts';
import { settingsMarkdown, settingsTable } from '../../src/settings/table.ts';

describe('docs/settings.md', () => {
  it('has the table that the schema gives', () => {
    const page = readFileSync(new URL('../../docs/settings.md', import.meta.url), 'utf8');
    expect(page).toContain(settingsMarkdown());
  });

  it('says of every setting what it takes, its default and its meaning', () => {
    expect(settingsTable().length).toBeGreaterThan(50);
    for (const row of settingsTable()) {
      expect(row, row.name).toMatchObject({
        type: expect.stringMatching(/./),
        meaning: expect.stringMatching(/./),
      });
      expect(row.default, row.name).not.toContain('undefined');
    }
    expect(new Set(SETTINGS.map((setting) => setting.name)).size).toBe(SETTINGS.length);
  });
});
