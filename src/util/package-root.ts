import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The folder of svc-comm's package.json, the same from `src`, from `dist` and from `node_modules`. */
export function packageRoot(): string {
  for (let folder = dirname(fileURLToPath(import.meta.url)); ; folder = dirname(folder)) {
    const file = join(folder, 'package.json');
    if (existsSync(file) && (JSON.parse(readFileSync(file, 'utf8')) as { name?: unknown }).name === 'svc-comm')
      return folder;
    if (folder === dirname(folder)) throw new Error('package.json of svc-comm was not found above its own code');
  }
}
