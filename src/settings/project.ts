import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';

/** The folder of the nearest package.json at or above `from`; `from` itself when there is none. */
export function projectRoot(from: string): string {
  return ancestors(from).find((folder) => existsSync(join(folder, 'package.json'))) ?? resolve(from);
}

/** `name` of the folder's package.json; undefined when it has none or cannot be read. */
export function packageName(root: string): string | undefined {
  try {
    const content: unknown = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
    const name = typeof content === 'object' && content !== null && 'name' in content ? content.name : undefined;
    return typeof name === 'string' && name !== '' ? name : undefined;
  } catch {
    return undefined;
  }
}

/** The folder and those above it, nearest first. */
export function ancestors(from: string): string[] {
  const folder = resolve(from);
  const parent = dirname(folder);
  return parent === folder ? [folder] : [folder, ...ancestors(parent)];
}
