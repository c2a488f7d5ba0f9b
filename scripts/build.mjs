// dist/ anew: JavaScript and declarations of src/ and bin/. Imports end in .ts here and in .js there (tsc rewrites them).
// What browsers load is bundled from src/**/browser.
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { writeSeed } from './seed.mjs';

const at = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url));

rmSync(at('dist'), { recursive: true, force: true });
const tsc = at('node_modules/typescript/bin/tsc');
const { status } = spawnSync(process.execPath, [tsc, '-p', at('tsconfig.build.json')], { stdio: 'inherit' });
if (status !== 0) process.exit(status ?? 1);
// npm sets the mode when it installs; this is for a checkout.
const bin = at('dist/bin/svc-comm.js');
if (existsSync(bin)) chmodSync(bin, 0o755);
await build({
  entryPoints: [at('src/documentation/browser/page.ts'), at('src/documentation/browser/page.css')],
  outdir: at('dist/documentation'),
  bundle: true,
  minify: true,
  format: 'iife',
  target: 'es2022',
  logLevel: 'warning',
});
await writeSeed(at('dist/embedded-database.tar.gz')).catch((error) => {
  // PGlite is an optional dependency: without it there is nothing to open the file with.
  console.warn(`no seed for the embedded database: ${error.message}`);
});
