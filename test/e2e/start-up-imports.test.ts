import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { repository } from '../support/cli-project.ts';

const dist = (file: string): string => join(repository, 'dist', file);
/** What stands at the start of a line and is loaded before the module's own code runs. */
const STATIC = /^(?:import|\} from|export .+ from)\s*["']([^"']+)["']|^import .+ from ["']([^"']+)["']/gm;

/** Packages that a built file brings with it, by itself and by what it imports. */
function packagesOf(entry: string): string[] {
  const packages = new Set<string>();
  const seen = new Set<string>();
  const read = (file: string) => {
    if (seen.has(file)) return;
    seen.add(file);
    for (const [, bare, named] of readFileSync(file, 'utf8').matchAll(STATIC)) {
      const name = bare ?? named ?? '';
      if (name.startsWith('.')) read(resolve(dirname(file), name));
      else if (!name.startsWith('node:')) packages.add(name);
    }
  };
  read(entry);
  return [...packages].toSorted();
}

describe('the built package', () => {
  it('brings at its import the packages that every service works with, and leaves the others to what needs them', () => {
    expect(packagesOf(dist('src/index.js'))).toEqual(['@opentelemetry/api', 'amqplib', 'pg', 'pino', 'uuid', 'zod']);
  });

  it('needs no package to print the help', () => {
    expect(packagesOf(dist('bin/svc-comm.js'))).toEqual([]);
  });

  it('is held in memory with one byte a character', () => {
    const files = readdirSync(dist('src'), { recursive: true, encoding: 'utf8' }).filter((name) =>
      name.endsWith('.js'),
    );
    expect(files.length).toBeGreaterThan(20);
    const wide = files.filter((name) => /[^\0-\xff]/.test(readFileSync(dist(join('src', name)), 'utf8')));
    expect(wide).toEqual([]);
  });
});
