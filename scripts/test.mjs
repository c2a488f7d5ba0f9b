// npm test: every stage, up to the first that fails. npm test -- unit lint: these stages alone. Those that need no
// quiet run beside each other (GROUPS): their lines begin with the stage's name.
// The last line is the sum of all tests: `N passed, N failed, N skipped`. A stage that fails without a failed test
// (lint, a test file that does not load) counts as one failed. Where no RabbitMQ or PostgreSQL can be had, what can run on
// embedded servers runs, and a line says how many test files did not; with CI=true anything skipped is a failure.
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { tsImport } from 'tsx/esm/api';

const root = fileURLToPath(new URL('..', import.meta.url));
const vitestBin = join(root, 'node_modules/vitest/vitest.mjs');
const timesReporter = join(root, 'scripts/file-times.mjs');
const script = (name) => ['npm', ['run', '--silent', name]];
const STAGES = {
  lint: script('lint'),
  types: script('types'),
  build: script('build'),
  unit: vitest('unit'),
  integration: vitest('integration'),
  e2e: vitest('e2e'),
  faults: ['npm', ['run', '--silent', 'faults', '--', 'ci']],
  alone: vitest('alone'),
};
/**
 * Stages of a group run at the same time: unit takes the processors, integration waits for servers. Those that kill and
 * measure are by themselves.
 */
const GROUPS = [['lint', 'types', 'build'], ['unit', 'integration'], ['e2e'], ['faults'], ['alone']];
const NEED_SERVERS = ['integration', 'e2e', 'faults', 'alone'];
/** Test files that the end tells of. */
const SLOWEST = 10;
/** What is run instead of those, once, where there are no servers. */
const WITHOUT_SERVERS = 'embedded';

const sum = { passed: 0, failed: 0, skipped: 0 };
const fileTimes = [];
let servers;
let whyNoServers;
const children = new Set();
let stopped = false;
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.on(signal, () => {
    stopped = true;
    for (const child of children) child.kill(signal);
  });
}

const asked = process.argv.slice(2);
const unknown = asked.filter((name) => !(name in STAGES));
if (unknown.length > 0) {
  console.error(`unknown stage ${unknown.join(', ')}; there are: ${Object.keys(STAGES).join(', ')}`);
  process.exit(2);
}
const stages = asked.length > 0 ? asked : Object.keys(STAGES);
const groups = GROUPS.map((group) => group.filter((name) => stages.includes(name))).filter(({ length }) => length > 0);
const began = performance.now();
try {
  for (const group of groups) {
    const chosen = await withoutServers(group);
    const outcomes = await Promise.all(chosen.map((name) => runStage(name, chosen.length > 1)));
    if (outcomes.includes(false) || stopped) break;
  }
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  sum.failed += 1;
} finally {
  await servers?.remove();
}
tellSlowest();
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

/** What is run of a group: where there are no servers, once, what needs none. */
async function withoutServers(group) {
  // Found once for all stages, so that servers from binaries start once. Whether a stage may harm them: no. The faults'
  // servers are its own, from the same binaries.
  if (servers || !group.some((name) => NEED_SERVERS.includes(name))) return group;
  const needless = group.filter((name) => !NEED_SERVERS.includes(name));
  if (whyNoServers) return needless;
  return (await findServers()) ? group : [...needless, WITHOUT_SERVERS];
}

async function runStage(name, isBesideOthers) {
  console.log(`\n— ${name}`);
  const started = performance.now();
  const prefix = isBesideOthers ? `${name} │ ` : undefined;
  const running = isVitest(name) ? runVitest(command(name), prefix) : run(command(name), prefix);
  const ok = await running.catch((error) => {
    // Those beside it go on to their end.
    console.error(error instanceof Error ? error.message : error);
    return false;
  });
  if (!ok && sum.failed === 0) sum.failed = 1;
  console.log(`— ${name} ${ok ? 'passed' : 'FAILED'} in ${seconds(performance.now() - started)}`);
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

async function runVitest([command, args], prefix) {
  const folder = mkdtempSync(join(tmpdir(), 'svc-comm-report-'));
  const file = join(folder, 'report.json');
  const times = join(folder, 'times.jsonl');
  try {
    const reporters = ['--reporter=default', `--reporter=${timesReporter}`, '--reporter=json'];
    const ok = await run([command, [...args, ...reporters, `--outputFile.json=${file}`]], prefix, {
      SVC_COMM_TEST_FILE_TIMES: times,
    });
    add(JSON.parse(readFileSync(file, 'utf8')));
    fileTimes.push(...readFileSync(times, 'utf8').trim().split('\n').map(JSON.parse));
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

function run([command, args], prefix, environment = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd: root,
      env: { ...process.env, ...environment },
      stdio: ['ignore', ...(prefix ? ['pipe', 'pipe'] : ['inherit', 'inherit'])],
    });
    children.add(child);
    for (const stream of [child.stdout, child.stderr]) {
      if (stream) createInterface({ input: stream }).on('line', (line) => console.log(`${prefix}${line}`));
    }
    child.once('error', reject);
    // Not `exit`: its last lines may still be on their way.
    child.once('close', (code) => {
      children.delete(child);
      resolve(code === 0);
    });
  });
}

function tellSlowest() {
  if (fileTimes.length <= SLOWEST) return;
  console.log(`\nslowest of ${fileTimes.length} test files, ${seconds(performance.now() - began)} in all:`);
  for (const { name, ms } of fileTimes.toSorted((a, b) => b.ms - a.ms).slice(0, SLOWEST)) {
    console.log(`${seconds(ms).padStart(8)}  ${name}`);
  }
}

function seconds(ms) {
  return `${(ms / 1000).toFixed(1)} s`;
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
