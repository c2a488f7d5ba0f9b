// Before npm publish: the version has its head in CHANGELOG.md, and nothing is pending.
import { readFileSync } from 'node:fs';

const read = (path) => readFileSync(new URL(`../${path}`, import.meta.url), 'utf8');
const { version } = JSON.parse(read('package.json'));
const heads = [...read('CHANGELOG.md').matchAll(/^## \[?([^\]\s]+)/gm)].map(([, head]) => head);
const problems = [];
if (heads.some((head) => /^(pending|unreleased)$/i.test(head)))
  problems.push('something is pending: give it a version');
if (heads[0] !== version) problems.push(`the first head is ${heads[0]}, package.json says ${version}`);
for (const problem of problems) console.error(`CHANGELOG.md: ${problem}`);
process.exitCode = problems.length > 0 ? 1 : 0;
