import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { packageRoot } from '../util/own-files.ts';

export const PAGE_ASSETS = Object.freeze({
  'page.css': 'text/css; charset=utf-8',
  'page.js': 'text/javascript; charset=utf-8',
} as const);
export type PageAsset = keyof typeof PAGE_ASSETS;

const read = new Map<PageAsset, Promise<string>>();

/** A file that the page loads, as the build made it. */
export function pageAsset(name: PageAsset): Promise<string> {
  let text = read.get(name);
  if (!text) {
    text = readFile(join(packageRoot(), 'dist/documentation', name), 'utf8');
    // A build may be under way.
    text.catch(() => read.delete(name));
    read.set(name, text);
  }
  return text;
}
