// node scripts/production.mjs: package.json of an image that serves. The optional peers become dependencies, in the
// versions that the tests run with, and the packages for development go. Changes the file: for a copy of the repository.
import { readFileSync, writeFileSync } from 'node:fs';

const file = new URL('../package.json', import.meta.url);
const manifest = JSON.parse(readFileSync(file, 'utf8'));
const { peerDependencies, devDependencies } = manifest;
for (const name of Object.keys(peerDependencies)) manifest.dependencies[name] = devDependencies[name];
for (const field of ['devDependencies', 'peerDependencies', 'peerDependenciesMeta']) delete manifest[field];
writeFileSync(file, `${JSON.stringify(manifest, null, 2)}\n`);
