// npm test: every stage in order, up to the first that fails. npm test -- unit lint: these stages alone.
// The last line is the sum of all tests: `N passed, N failed, N skipped`. A stage that fails without a failed test
// (lint, a test file that does not load) counts as one failed. Where no RabbitMQ or PostgreSQL can be had, what can run on
// embedded servers runs, and a line says how many test files did not; with CI=true anything skipped is a failure.
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { tsImport } from 'tsx/esm/api';

const root = fileURLToPath(new URL('..', import.meta.url));
const vitestBin = join(root, 'node_modules/vitest/vitest.mjs');
const script = (name) => ['npm', ['run', '--silent', name]];
const STAGES = {
  lint: script('lint'),
  types: script('types'),
  build: script('build'),
  unit: vitest('unit'),
  integration: vitest('integration'),
  e2e: vitest('e2e'),
  faults: ['npm', ['run', '--silent', 'faults', '--', 'ci']],
};
const NEED_SERVERS = ['integration', 'e2e', 'faults'];
/** What is run instead of those, once, where there are no servers. */
const WITHOUT_SERVERS = 'embedded';

const sum = { passed: 0, failed: 0, skipped: 0 };
let servers;
let whyNoServers;
let current;
let stopped = false;
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.on(signal, () => {
    stopped = true;
    current?.kill(signal);
  });
}

const asked = process.argv.slice(2);
const unknown = asked.filter((name) => !(name in STAGES));
if (unknown.length > 0) {
  console.error(`unknown stage ${unknown.join(', ')}; there are: ${Object.keys(STAGES).join(', ')}`);
  process.exit(2);
}
const stages = asked.length > 0 ? asked : Object.keys(STAGES);
try {
  for (const name of stages) {
    if (!(await runStage(name)) || stopped) break;
  }
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  sum.failed += 1;
} finally {
  await servers?.remove();
}
const expectsTests = stages.some((name) => isVitest(name));
if (whyNoServers) {
  console.log(
    `\n${whyNoServers}\nnot run: ${sum.skipped} test files of ${NEED_SERVERS.join(', ')}, which need servers; ` +
      '`npm run test:servers` gets servers or says what is missing',
  );
}
const isComplete = sum.skipped === 0 || process.env.CI !== 'true';
if (!isComplete) console.log('with CI=true nothing may be skipped');
const isGood = !stopped && isComplete && sum.failed === 0 && (sum.passed > 0 || !expectsTests);
console.log(`\n${sum.passed} passed, ${sum.failed} failed, ${sum.skipped} skipped`);
process.exitCode = isGood ? 0 : 1;

async function runStage(name) {
  console.log(`\n— ${name}`);
  // Found once for both stages, so that servers from binaries start once. Whether a stage may harm them: no.
  if (NEED_SERVERS.includes(name) && !servers) {
    // The faults' servers are its own, from the same binaries.
    if (whyNoServers) return true;
    if (!(await findServers())) return runStage(WITHOUT_SERVERS);
  }
  const started = performance.now();
  const ok = isVitest(name) ? await runVitest(command(name)) : await run(command(name));
  if (!ok && sum.failed === 0) sum.failed = 1;
  console.log(`— ${name} ${ok ? 'passed' : 'FAILED'} in ${((performance.now() - started) / 1000).toFixed(1)} s`);
  return ok;
}

/** @returns false where there are none: the tests are told so */
async function findServers() {
  const finder = await support('find-servers');
  try {
    servers = await finder.findServers();
    return true;
  } catch (error) {
    if (!(error instanceof finder.NoServerError)) throw error;
    whyNoServers = error.message;
    process.env.SVC_COMM_TEST_WITHOUT_SERVERS = '1';
    sum.skipped += countFiles(NEED_SERVERS.filter(isVitest)) - countFiles([WITHOUT_SERVERS]);
    return false;
  }
}

function countFiles(projects) {
  const { status, stdout } = spawnSync(
    process.execPath,
    [vitestBin, 'list', '--filesOnly', ...projects.flatMap((project) => ['--project', project])],
    { cwd: root, encoding: 'utf8' },
  );
  if (status !== 0) throw new Error('vitest could not list the test files');
  return new Set(stdout.split('\n').filter((line) => line.includes('.test.ts'))).size;
}

function command(name) {
  return name === WITHOUT_SERVERS ? vitest(name) : STAGES[name];
}

async function runVitest([command, args]) {
  const folder = mkdtempSync(join(tmpdir(), 'svc-comm-report-'));
  const file = join(folder, 'report.json');
  try {
    const ok = await run([command, [...args, '--reporter=default', '--reporter=json', `--outputFile.json=${file}`]]);
    add(JSON.parse(readFileSync(file, 'utf8')));
    return ok;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function add(report) {
  sum.passed += report.numPassedTests;
  sum.failed += report.numFailedTests;
  sum.skipped += report.numPendingTests + report.numTodoTests;
  // A file that does not load, or whose hooks fail, has no failed test of its own.
  for (const file of report.testResults) {
    const hasFailedTest = file.assertionResults.some((test) => test.status === 'failed');
    if (file.status === 'failed' && !hasFailedTest) sum.failed += 1;
  }
}

function run([command, args]) {
  return new Promise((resolve, reject) => {
    current = spawn(command, args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] });
    current.once('error', reject);
    current.once('exit', (code) => resolve(code === 0));
  });
}

function isVitest(name) {
  return command(name)[1].includes('--project');
}

function vitest(project) {
  return [process.execPath, [vitestBin, 'run', '--project', project]];
}

function support(module) {
  return tsImport(`../test/support/servers/${module}.ts`, import.meta.url);
}
