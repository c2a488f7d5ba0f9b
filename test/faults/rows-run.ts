import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { root } from './places.ts';
import { ROWS, type Row, type TestName } from './rows.ts';

export interface TestRun {
  readonly title: string;
  readonly status: string;
  readonly ms: number;
}
export interface RowResult {
  readonly row: Row;
  readonly runs: readonly TestRun[];
  /** Tests that are named and were not found, or failed. */
  readonly problems: readonly string[];
}

export interface VitestReport {
  readonly testResults: readonly {
    readonly name: string;
    readonly assertionResults: readonly { fullName: string; title: string; status: string; duration?: number }[];
  }[];
}

/** Runs the tests that the rows name. @param numbers of the rows; none: all */
export function runRows(numbers: readonly number[], say: (line: string) => void): RowResult[] {
  const rows = ROWS.filter(({ row }) => numbers.length === 0 || numbers.includes(row));
  const results = runTests(rows.flatMap(({ tests }) => tests));
  return rows.map((row) => {
    const found = row.tests.map((test) => ({ test, runs: results(test) }));
    const problems = found.flatMap(({ test: [file, title], runs }) => {
      if (runs.length === 0) return [`no test "${title}" in ${file}`];
      return runs.filter(({ status }) => status !== 'passed').map((run) => `${run.status}: ${run.title} (${file})`);
    });
    const runs = found.flatMap((each) => each.runs);
    const what =
      runs.length === 0 ? row.but : `${runs.length} tests, ${Math.round(runs.reduce((sum, { ms }) => sum + ms, 0))} ms`;
    say(`${problems.length === 0 ? '✓' : '✗'} ${row.row} ${row.mode}: ${what}`);
    for (const problem of problems) say(`    ${problem}`);
    return { row, runs, problems };
  });
}

function runTests(tests: readonly TestName[]): (test: TestName) => TestRun[] {
  const folder = mkdtempSync(join(tmpdir(), 'svc-comm-rows-'));
  const file = join(folder, 'report.json');
  try {
    const files = [...new Set(tests.map(([name]) => `test/${name}`))];
    const titles = tests.map(([, title]) => title.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
    const all = tests.filter(([, title]) => title === '').map(([name]) => `test/${name}`);
    // Those of which all tests count are run whole, beside the others.
    const runs = [
      [files.filter((name) => !all.includes(name)), ['-t', titles.filter((title) => title !== '').join('|')]],
      [files.filter((name) => all.includes(name)), []],
    ] as const;
    // vitest takes no names for all files that there are.
    const reports = runs
      .filter(([names]) => names.length > 0)
      .map(([names, pattern]) => {
        const vitest = join(root, 'node_modules/vitest/vitest.mjs');
        spawnSync(process.execPath, [vitest, 'run', '--reporter=json', `--outputFile=${file}`, ...names, ...pattern], {
          cwd: root,
          stdio: 'ignore',
        });
        return JSON.parse(readFileSync(file, 'utf8')) as VitestReport;
      });
    const found = reports.flatMap(({ testResults }) =>
      testResults.flatMap(({ name, assertionResults }) => assertionResults.map((result) => ({ ...result, name }))),
    );
    return ([name, title]) =>
      found
        .filter((result) => result.name.endsWith(`test/${name}`) && result.fullName.includes(title))
        .filter(({ status }) => status === 'passed' || status === 'failed')
        .map(({ fullName, status, duration = 0 }) => ({ title: fullName.trim(), status, ms: duration }));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const HEAD = '## Known ways to fail';

/** The table at the end of docs/guarantees.md: the lines of these rows anew, the others as they are. */
export function writeTable(results: readonly RowResult[]): void {
  const file = join(root, 'docs/guarantees.md');
  const page = readFileSync(file, 'utf8');
  const end = page.indexOf(`\n${HEAD}`);
  const before = end < 0 ? page.trimEnd() : page.slice(0, end).trimEnd();
  const former = new Map(
    [...page.slice(Math.max(0, end)).matchAll(/^\| (\d+) \|.*$/gm)].map(([line, row]) => [Number(row), line]),
  );
  for (const { row, runs } of results) {
    const tests = row.tests
      .map(([name, title]) => (title === '' ? `\`${name}\`` : `\`${name}\` › ${title}`))
      .join('<br>');
    const ms = Math.round(runs.reduce((sum, run) => sum + run.ms, 0));
    const measured =
      runs.length === 0
        ? ''
        : `${runs.filter(({ status }) => status === 'passed').length} of ${runs.length} passed in ${ms} ms`;
    former.set(
      row.row,
      `| ${row.row} | ${row.mode} | ${row.promise} | ${tests || '–'} | ${[row.n, measured, row.but].filter(Boolean).join('; ')} |`,
    );
  }
  const lines = ROWS.map(({ row }) => former.get(row) ?? '');
  const intro =
    'How systems of this kind are known to lose, double or stop things, and what holds that off here. `npm run faults -- rows`\n' +
    'runs the tests named; `--write` writes this table. What is said of pr runs, scenarios and failpoints is in\n[faults.md](faults.md).';
  const table = [
    '| | what goes wrong | promise | test | n, and what was measured |',
    '| --- | --- | --- | --- | --- |',
    ...lines,
  ];
  writeFileSync(file, `${before}\n\n${HEAD}\n\n${intro}\n\n${table.join('\n')}\n`);
}
