import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { root } from './places.ts';
import type { VitestReport } from './rows-run.ts';
import { SABOTAGES, type Sabotage } from './sabotages.ts';
import { SCENARIOS, type Scenario, type ScenarioName } from './scenarios.ts';

export interface SabotageResult {
  readonly name: string;
  readonly scenario: string;
  /** What the harness said; undefined when it noticed nothing. */
  readonly caughtBy: string | undefined;
  readonly seconds: number;
}

/**
 * Takes the rules away, one at a time, in a copy of the working tree, and asks that the scenario aimed at each finds a
 * violation. Each scenario is run on the whole copy first: one that finds something there proves nothing.
 */
export async function runSabotages(names: readonly string[], say: (line: string) => void): Promise<SabotageResult[]> {
  const copy = new Copy();
  const results: SabotageResult[] = [];
  const falseAlarms = new Map<ScenarioName, string | undefined>();
  try {
    for (const sabotage of SABOTAGES.filter(
      ({ name }) => names.length === 0 || names.some((word) => name.includes(word)),
    )) {
      const { scenario } = sabotage;
      if (!falseAlarms.has(scenario)) {
        falseAlarms.set(scenario, await copy.whole(() => runScenario(copy.folder, scenario)));
        say(`  "${scenario}" with every rule in place: ${falseAlarms.get(scenario) ?? 'nothing found'}`);
      }
      const began = performance.now();
      const found = await copy.sabotaged(sabotage, () => runScenario(copy.folder, scenario));
      const caughtBy = falseAlarms.get(scenario) === undefined ? found : undefined;
      const seconds = Math.round((performance.now() - began) / 1000);
      results.push({ name: sabotage.name, scenario: sabotage.scenario, caughtBy, seconds });
      say(
        `${caughtBy ? '✓' : '✗'} ${sabotage.name}, "${sabotage.scenario}" (${seconds} s): ${caughtBy ?? 'NOT NOTICED'}`,
      );
    }
  } finally {
    copy.remove();
  }
  return results;
}

/** @returns the first problem that it told; undefined when it passed */
async function runScenario(folder: string, name: ScenarioName): Promise<string | undefined> {
  const scenario: Scenario = SCENARIOS[name];
  if (scenario.kind === 'test') return runTest(folder, scenario);
  const args = ['--import', 'tsx', 'test/faults/main.ts', 'scenario', '--name', name, '--seed', '1'];
  const child = spawn(process.execPath, args, { cwd: folder, stdio: ['ignore', 'pipe', 'inherit'] });
  const end = () => child.kill('SIGTERM');
  process.once('exit', end);
  let said = '';
  child.stdout.on('data', (text) => {
    said += text;
  });
  const [code] = await once(child, 'close');
  process.off('exit', end);
  writeFileSync(join(root, '.faults', `sabotage ${name}.log`), said);
  if (code === 0) return undefined;
  const problem = said.split('\n').find((line) => line.startsWith('✗ '));
  if (code !== 1 || problem === undefined)
    throw new Error(`the scenario "${name}" ended with ${code}:\n${said.slice(-3000)}`);
  return problem.slice(2);
}

/** @returns the title of the first test that failed; undefined when all passed */
function runTest(folder: string, { project, file, title }: Scenario & { readonly kind: 'test' }): string | undefined {
  const [vitest, report] = [join(folder, 'node_modules/vitest/vitest.mjs'), join(folder, 'report.json')];
  const args = ['run', '--project', project, '--reporter=json', `--outputFile=${report}`, `test/${file}`, '-t', title];
  spawnSync(process.execPath, [vitest, ...args], { cwd: folder, stdio: 'ignore' });
  const { testResults } = JSON.parse(readFileSync(report, 'utf8')) as VitestReport;
  rmSync(report);
  const run = testResults
    .flatMap(({ assertionResults }) => assertionResults)
    .filter(({ status }) => status !== 'skipped');
  if (run.length === 0) throw new Error(`no test "${title}" in ${file} was run`);
  const failed = run.find(({ status }) => status === 'failed');
  return failed && `failed: ${failed.fullName}`;
}

class Copy {
  readonly folder = mkdtempSync(join(tmpdir(), 'svc-comm-sabotage-'));

  constructor() {
    const listed = spawnSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], { cwd: root });
    if (listed.status !== 0) throw new Error(`git ls-files failed: ${listed.stderr}`);
    for (const path of String(listed.stdout).split('\0').filter(Boolean)) {
      // One that was deleted and not yet committed is listed still; a folder is a link to one.
      if (existsSync(join(root, path)) && path !== 'node_modules')
        cpSync(join(root, path), join(this.folder, path), { recursive: true });
    }
    symlinkSync(join(root, 'node_modules'), join(this.folder, 'node_modules'));
  }

  async whole<T>(work: () => Promise<T>): Promise<T> {
    this.#build('nothing taken away');
    return await work();
  }

  async sabotaged<T>({ name, edits }: Sabotage, work: () => Promise<T>): Promise<T> {
    const sources = new Map<string, string>();
    try {
      for (const { file, takes, puts } of edits) {
        const path = join(this.folder, 'src', file);
        const source = readFileSync(path, 'utf8');
        if (!sources.has(path)) sources.set(path, source);
        const parts = source.split(takes);
        if (parts.length !== 2) throw new Error(`"${name}": its text stands ${parts.length - 1} times in src/${file}`);
        writeFileSync(path, parts.join(puts));
      }
      this.#build(name);
      return await work();
    } finally {
      for (const [path, source] of sources) writeFileSync(path, source);
    }
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }

  #build(name: string): void {
    const built = spawnSync('npm', ['run', '--silent', 'build'], { cwd: this.folder, encoding: 'utf8' });
    if (built.status !== 0) throw new Error(`"${name}" does not compile:\n${built.stdout}${built.stderr}`);
  }
}
