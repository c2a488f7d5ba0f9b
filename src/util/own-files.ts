import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

/** A plain error: with the typed ones `svc-comm --help` would load all of them. */
const NOT_FOUND =
  "svc-comm's own files (package.json, migrations) are not above its code, as in a bundle: leave the package out of it " +
  '(esbuild: --packages=external) and install it beside';

let root: string | undefined;

/** The folder of svc-comm's package.json, the same from `src`, from `dist` and from `node_modules`. */
export function packageRoot(): string {
  root ??= findRoot();
  return root;
}

/**
 * Where our code that runs lies, with a separator at the end: `src/` in a checkout, `dist/src/` when built. Two levels
 * up from here in both: bundled, this is in `dist/src/chunks`.
 */
export function ownFolder(): string {
  return dirname(dirname(fileURLToPath(import.meta.url))) + sep;
}

/**
 * A file of ours that is loaded or run by its path. The build makes few files of many: which ones remain says
 * scripts/build.mjs.
 * @param name from the package's root without an extension, as 'src/index'
 */
export function ownFile(name: string): string {
  return isSource() ? join(packageRoot(), `${name}.ts`) : join(packageRoot(), 'dist', `${name}.js`);
}

/** Whether this is TypeScript, run through tsx or a test runner. */
export function isSource(): boolean {
  return import.meta.url.endsWith('.ts');
}

function findRoot(): string {
  for (let folder = dirname(fileURLToPath(import.meta.url)); ; folder = dirname(folder)) {
    const file = join(folder, 'package.json');
    if (existsSync(file) && (JSON.parse(readFileSync(file, 'utf8')) as { name?: unknown }).name === 'svc-comm')
      return folder;
    if (folder === dirname(folder)) throw new Error(NOT_FOUND);
  }
}
