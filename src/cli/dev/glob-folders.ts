import { resolve } from 'node:path';

const SPECIAL = /[*?{}[\]()!]/;

/**
 * The folders that globs start from: `src` for `src/**`, the root for `**`, and of a file that is named its folder, since
 * what it imports stands beside it.
 */
export function globFolders(root: string, globs: readonly string[]): string[] {
  const folders = globs.map((pattern) => {
    const segments = pattern.split('/');
    const special = segments.findIndex((segment) => SPECIAL.test(segment));
    return resolve(root, segments.slice(0, special === -1 ? -1 : special).join('/'));
  });
  return [...new Set(folders)];
}
