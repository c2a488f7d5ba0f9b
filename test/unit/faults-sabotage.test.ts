import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { SABOTAGES } from '../faults/sabotages.ts';
import { SCENARIOS } from '../faults/scenarios.ts';

test.each(SABOTAGES)('what "$name" takes away stands once in the sources, and its scenario is there', (sabotage) => {
  expect(SCENARIOS).toHaveProperty([sabotage.scenario]);
  for (const { file, takes } of sabotage.edits) {
    const parts = readFileSync(new URL(`../../src/${file}`, import.meta.url), 'utf8').split(takes);
    expect(parts, `${file}: ${takes}`).toHaveLength(2);
  }
});
