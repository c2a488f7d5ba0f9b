import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { conceptsPicture } from '../support/concepts-picture.ts';

const read = (file: string) => readFileSync(new URL(`../../docs/${file}`, import.meta.url), 'utf8');

it('docs/concepts.svg is what docs/concepts.txt says: node scripts/docs.mjs draws it anew', () => {
  expect(read('concepts.svg')).toBe(conceptsPicture(read('concepts.txt')));
});
