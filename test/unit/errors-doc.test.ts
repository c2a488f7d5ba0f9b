import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import * as errors from '../../src/errors.ts';
import { documentedErrors, errorsPage, remedies } from '../support/errors-page.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));

describe('docs/errors.md', () => {
  it('is equal to src/errors.ts (node scripts/docs.mjs writes it)', () => {
    expect(readFileSync(join(root, 'docs/errors.md'), 'utf8')).toBe(errorsPage());
  });

  it('has every class that src/errors.ts exports', () => {
    const roots: readonly unknown[] = [errors.SvcCommError, errors.RestApiError];
    const classes = Object.entries(errors).filter(([, value]) => !roots.includes(value));
    const subclasses = classes.filter(
      ([, value]) => typeof value === 'function' && value.prototype instanceof errors.SvcCommError,
    );
    expect(documentedErrors().map((error) => error.className)).toEqual(
      expect.arrayContaining(subclasses.map(([name]) => name)),
    );
  });

  it.each(documentedErrors())('says of $code what it means and what to do', ({ code, meaning }) => {
    expect(code).toMatch(/^SVC_COMM_[A-Z_]+$/);
    expect(meaning).not.toBe('');
    expect(remedies().get(code), 'write it after "What to do:" in docs/errors.md').toMatch(/\w/);
  });

  it('has no code twice', () => {
    const codes = documentedErrors().map((error) => error.code);
    expect(codes.filter((code, index) => codes.indexOf(code) !== index)).toEqual([]);
  });

  it('knows every class of ours: none is defined elsewhere', () => {
    const files = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' });
    const elsewhere = files
      .filter((file) => file.endsWith('.ts') && file !== 'errors.ts')
      .filter((file) => /extends SvcCommError|code = 'SVC_COMM_/.test(readFileSync(join(root, 'src', file), 'utf8')));
    expect(elsewhere).toEqual([]);
  });
});
