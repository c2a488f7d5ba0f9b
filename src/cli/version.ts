import { existsSync, readFileSync } from 'node:fs';

/** The version in package.json, which stands beside `src/` in a checkout and beside `dist/` in the package. */
export function version(): string {
  const places = ['../../package.json', '../../../package.json'].map((path) => new URL(path, import.meta.url));
  const file = places.find((place) => existsSync(place));
  const content: unknown = file && JSON.parse(readFileSync(file, 'utf8'));
  const found = typeof content === 'object' && content !== null && 'version' in content ? content.version : undefined;
  return String(found ?? 'unknown');
}
