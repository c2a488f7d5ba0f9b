import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';

/** The folder of the nearest package.json at or above `from`; `from` itself when there is none. */
export function projectRoot(from: string): string {
  return ancestors(from).find((folder) => existsSync(join(folder, 'package.json'))) ?? resolve(from);
}

/** `name` of the folder's package.json; undefined when it has none or cannot be read. */
export const packageName = (root: string): string | undefined => packageText(root, 'name');

/** `version` of the folder's package.json; undefined when it has none or cannot be read. */
export const packageVersion = (root: string): string | undefined => packageText(root, 'version');

function packageText(root: string, field: string): string | undefined {
  try {
    const content = parseJsonFile(readFileSync(join(root, 'package.json'), 'utf8'));
    const text = typeof content === 'object' && content !== null ? Reflect.get(content, field) : undefined;
    return typeof text === 'string' && text !== '' ? text : undefined;
  } catch {
    return undefined;
  }
}

/** Editors on Windows begin a file with a byte order mark; npm and Node read such a package.json. */
export const parseJsonFile = (text: string): unknown => JSON.parse(text.replace(/^\uFEFF/, ''));

/** The folder and those above it, nearest first. */
export function ancestors(from: string): string[] {
  const folder = resolve(from);
  const parent = dirname(folder);
  return parent === folder ? [folder] : [folder, ...ancestors(parent)];
}
