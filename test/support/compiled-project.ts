import { mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildSync } from 'esbuild';

const root = fileURLToPath(new URL('../../', import.meta.url));

/**
 * A project as a user deploys it, compiled into a folder: `NAME.ts` is `NAME.mjs` there. Tests that start hundreds of
 * processes spare each of them the loader, which takes a third of their start; that TypeScript loads, others show.
 */
export function compileProject(source: string, names: readonly string[], folder: string): void {
  buildSync({
    entryPoints: names.map((name) => join(source, `${name}.ts`)),
    outdir: folder,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    packages: 'external',
    platform: 'node',
    format: 'esm',
    target: 'node20',
    logLevel: 'error',
  });
  mkdirSync(join(folder, 'node_modules'));
  symlinkSync(root, join(folder, 'node_modules/svc-comm'));
  symlinkSync(join(root, 'node_modules/pg'), join(folder, 'node_modules/pg'));
}
