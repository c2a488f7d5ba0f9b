import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

/**
 * JavaScript of src/ and bin/ in few files, since of a process's start most was spent on finding and reading some 400
 * small ones. Dependencies stay outside.
 * @param entryPoints what can be imported or run by its path, as 'src/index.ts'
 * @param outdir from the repository's root
 */
export async function bundle(entryPoints, outdir) {
  await build({
    absWorkingDir: fileURLToPath(new URL('..', import.meta.url)),
    entryPoints,
    outbase: '.',
    outdir,
    chunkNames: 'src/chunks/[name]-[hash]',
    bundle: true,
    splitting: true,
    packages: 'external',
    format: 'esm',
    platform: 'node',
    target: 'node20.19',
    sourcemap: true,
    logLevel: 'warning',
  });
}
