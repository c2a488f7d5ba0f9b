// dist/ anew: declarations of src/ and bin/ file by file, by tsc; JavaScript bundled into few files, since of a process's
// start most was spent on finding and reading some 400 small ones. Dependencies stay outside.
// What browsers load is bundled from src/**/browser.
import { spawnSync } from 'node:child_process';
import { chmodSync, cpSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { writeSeed } from './seed.mjs';

const at = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url));

/** What is not imported but run or loaded by its path: see src/util/own-files.ts. */
const RUN_BY_PATH = ['bin/svc-comm.ts', 'src/cli/task-process.ts'];

/** For the benches, where they are (an image has none); package.json leaves it out of the package. */
const MEASURED = ['bench/internals.ts'].filter((file) => existsSync(at(file)));

const { exports } = JSON.parse(readFileSync(at('package.json'), 'utf8'));
const doors = Object.values(exports)
  .map(({ default: file }) => file)
  .filter((file) => file !== undefined)
  .map((file) => file.replace('./dist/', '').replace(/\.js$/, '.ts'));

rmSync(at('dist'), { recursive: true, force: true });
const tsc = at('node_modules/typescript/bin/tsc');
const { status } = spawnSync(process.execPath, [tsc, '-p', at('tsconfig.build.json')], { stdio: 'inherit' });
if (status !== 0) process.exit(status ?? 1);
await build({
  absWorkingDir: at('.'),
  entryPoints: [...new Set(doors), ...RUN_BY_PATH, ...MEASURED],
  outbase: '.',
  outdir: 'dist',
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
for (const door of new Set(doors)) writeFileSync(at(`dist/${door.replace(/\.ts$/, '.cjs')}`), requiredDoor(door));
cpSync(at('src/commonjs'), at('dist/src/commonjs'), { recursive: true });
keepToOneByte(at('dist'));
// npm sets the mode when it installs; this is for a checkout.
chmodSync(at('dist/bin/svc-comm.js'), 0o755);
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

/** What `require` gets of a door: see src/commonjs/load.cjs. */
function requiredDoor(door) {
  const file = `./${basename(door, '.ts')}.js`;
  const load = relative(dirname(door), 'src/commonjs/load.cjs');
  return `'use strict';
const { load } = require('${load.startsWith('.') ? load : `./${load}`}');
module.exports = load(require('node:path').join(__dirname, '${file}'), () => require('${file}'));
`;
}

/**
 * A file with one character beyond Latin-1 is held in memory with two bytes for each of its characters. esbuild escapes them
 * where they are part of the program; those in comments are replaced.
 */
function keepToOneByte(folder) {
  for (const name of readdirSync(folder, { recursive: true }).filter((name) => name.endsWith('.js'))) {
    const file = `${folder}/${name}`;
    const text = readFileSync(file, 'utf8');
    const inComment = /^\s*(?:\/\/|\/?\*).*$/gm;
    const kept = text.replaceAll(inComment, (line) => line.replaceAll(/[^\0-\xff]/g, '-'));
    if (kept !== text) writeFileSync(file, kept);
  }
}
