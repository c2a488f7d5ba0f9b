// npm run mutants: takes the rules of test/support/mutants.ts away, one at a time, in a copy of the working tree, and
// asks that the named test turns red by an assertion of its own. npm run mutants -- lease confirm: those that name one.
import { spawn, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { tsImport } from 'tsx/esm/api';

const root = fileURLToPath(new URL('..', import.meta.url));
/** A hung test is no red one. */
const RUN_TIMEOUT_MS = 120_000;
/** What `expect` throws (its polls and promises as plain errors), and what the tests' own waits for a condition do. */
const ASSERTION = /^(AssertionError: |Error: (.+: )?expected .+ to |Error: not (so )?within \d+ ms: )/;

const { MUTANTS } = await tsImport('../test/support/mutants.ts', import.meta.url);
const { findServers } = await tsImport('../test/support/servers/find-servers.ts', import.meta.url);

const asked = process.argv.slice(2);
const mutants = MUTANTS.filter(({ rule, file }) => asked.every((word) => `${rule} ${file}`.includes(word)));
if (mutants.length === 0) {
  console.error(`no mutant has all of ${asked.join(', ')} in its rule or file`);
  process.exit(2);
}

const clone = mkdtempSync(join(tmpdir(), 'svc-comm-mutants-'));
let current;
let isStopped = false;
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.on(signal, () => {
    isStopped = true;
    current?.kill(signal);
  });
}

const sum = { passed: 0, failed: 0 };
let servers;
try {
  copyWorkingTree();
  for (const mutant of mutants) mutated(mutant);
  servers = await findServers();
  for (const file of new Set(mutants.map(({ testFile }) => testFile))) {
    const ofFile = mutants.filter(({ testFile }) => testFile === file);
    const titles = [...new Set(ofFile.map(({ title }) => title))];
    const before = await run(file, titles);
    for (const mutant of ofFile) if (!isStopped) tell(mutant, await judge(mutant, before));
  }
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  sum.failed += 1;
} finally {
  rmSync(clone, { recursive: true, force: true });
  await servers?.remove();
}
console.log(`\n${sum.passed} passed, ${sum.failed} failed`);
process.exitCode = !isStopped && sum.failed === 0 ? 0 : 1;

function copyWorkingTree() {
  const listed = spawnSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], { cwd: root });
  if (listed.status !== 0) throw new Error(`git ls-files failed: ${listed.stderr}`);
  for (const path of String(listed.stdout).split('\0').filter(Boolean)) {
    // One that was deleted and not yet committed is listed still.
    if (existsSync(join(root, path))) cpSync(join(root, path), join(clone, path), { recursive: true });
  }
  symlinkSync(join(root, 'node_modules'), join(clone, 'node_modules'));
}

/** The source without the rule. */
function mutated({ rule, file, takes, puts }) {
  const source = readFileSync(join(clone, 'src', file), 'utf8');
  const parts = source.split(takes);
  if (parts.length !== 2) {
    throw new Error(
      `"${rule}": its text stands ${parts.length - 1} times in src/${file}; adapt test/support/mutants.ts`,
    );
  }
  return { source, text: parts.join(puts) };
}

/** @returns why the mutant is not dead; undefined when it is, with what the test said in `said` */
async function judge(mutant, before) {
  const { testFile, title } = mutant;
  const green = before.get(title);
  if (green?.status !== 'passed') return { problem: `not green before: ${green?.said ?? 'no such test'}` };
  const { source, text } = mutated(mutant);
  const path = join(clone, 'src', mutant.file);
  writeFileSync(path, text);
  try {
    const red = (await run(testFile, [title])).get(title);
    if (!red) return { problem: 'the test file did not load' };
    if (red.status === 'passed') return { problem: 'SURVIVED: the test stays green' };
    if (!ASSERTION.test(red.said)) return { problem: `not red by an assertion: ${red.said}` };
    return { said: red.said };
  } finally {
    writeFileSync(path, source);
  }
}

function tell({ rule, file, testFile, title }, { problem, said }) {
  sum[problem ? 'failed' : 'passed'] += 1;
  console.log(`${problem ? '✗' : '✓'} ${rule} (src/${file})\n    test/${testFile}: ${title}\n    ${problem ?? said}`);
}

/** Runs these tests of a file. @returns by title: status, and the first line of what a failure says */
async function run(file, titles) {
  const report = join(clone, 'report.json');
  rmSync(report, { force: true });
  const pattern = `^(${titles.map((title) => title.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('|')})$`;
  const project = file.split('/')[0];
  await vitest([
    '--project',
    project === 'wire' ? 'unit' : project,
    '--project',
    'alone',
    `test/${file}`,
    '-t',
    pattern,
    `--outputFile=${report}`,
  ]);
  const results = new Map();
  try {
    const { testResults } = JSON.parse(readFileSync(report, 'utf8'));
    for (const { fullName, status, failureMessages } of testResults.flatMap((each) => each.assertionResults)) {
      if (status === 'passed' || status === 'failed') {
        results.set(fullName.trim(), { status, said: failureMessages[0]?.split('\n')[0] ?? '' });
      }
    }
  } catch {
    // No report: it was killed, or never came to its tests.
  }
  return results;
}

function vitest(args) {
  return new Promise((resolve, reject) => {
    const command = [join(clone, 'node_modules/vitest/vitest.mjs'), 'run', '--reporter=json', ...args];
    current = spawn(process.execPath, command, { cwd: clone, stdio: 'ignore', timeout: RUN_TIMEOUT_MS });
    current.once('error', reject);
    current.once('exit', resolve);
  });
}
