import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../util/own-files.ts';

/** The version in package.json. */
export function version(): string {
  const { version } = JSON.parse(readFileSync(join(packageRoot(), 'package.json'), 'utf8')) as { version?: string };
  return version ?? 'unknown';
}
