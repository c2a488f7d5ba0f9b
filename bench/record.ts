import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { BenchArguments } from './arguments.ts';
import { load, machine, type Versions } from './versions.ts';

const FOLDER = 'docs/records';
/** Sizes of the benches are set by such variables. */
const SIZE = /^SVC_COMM_BENCH_/;

/** @returns the file's name */
export function writeRecord(
  { record, names, isAll }: BenchArguments,
  {
    loadBefore,
    rounds,
    ...results
  }: {
    readonly loadBefore: number;
    readonly rounds: number;
    readonly versions: Versions;
    readonly [part: string]: unknown;
  },
): string {
  const date = new Date().toISOString();
  const file = record || join(FOLDER, `${isAll ? 'bench' : names.join('-')}-${date.slice(0, 10)}.json`);
  const sizes = Object.fromEntries(Object.entries(process.env).filter(([name]) => SIZE.test(name)));
  const content = {
    date,
    machine: machine(),
    load: { before: loadBefore, after: load() },
    rounds,
    sizes,
    ...results,
  };
  if (!record) mkdirSync(FOLDER, { recursive: true });
  writeFileSync(file, `${readable(content)}\n`);
  return file;
}

/** JSON in which each element of a list has a line: hundreds of figures can be read, and a diff shows which changed. */
function readable(value: unknown, indent = ''): string {
  const inner = `${indent}  `;
  if (Array.isArray(value)) {
    if (value.length === 0) return '[]';
    return `[\n${value.map((item) => `${inner}${JSON.stringify(item)}`).join(',\n')}\n${indent}]`;
  }
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const fields = Object.entries(value).filter(([, field]) => field !== undefined);
  if (fields.length === 0) return '{}';
  return `{\n${fields.map(([name, field]) => `${inner}${JSON.stringify(name)}: ${readable(field, inner)}`).join(',\n')}\n${indent}}`;
}
