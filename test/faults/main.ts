/**
 * npm run faults -- --tier pr|ci|record [--seed N] [--replay FILE] [--events N] [--faults N] [--out FILE]
 * npm run faults -- failpoints [--times N] [--names P1,R2] [--seed N] [--out FILE]
 * npm run faults -- sabotage [--names lane,mark] [--out FILE]
 * npm run faults -- scenario --name NAME [--seed N]: one of scenarios.ts, as sabotage runs them
 * npm run faults -- rows [--names 6,15] [--write]: the tests behind the last table of docs/guarantees.md
 * npm run faults -- peers [--names amqplib,svc-comm] [--events N] [--faults N]: others beside ours
 * npm run faults -- ci: what `npm test` runs of it, the tier pr and the failpoints × 5
 * Exit 0: nothing lost, doubled, invented, reordered or stuck. 1: a problem. 2: wrong usage, or no fault met a message.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { compare, comparisonTable, PEERS } from './comparison.ts';
import { runFailpoints } from './failpoint-run.ts';
import { root } from './places.ts';
import { machine, writeReport } from './report.ts';
import { runRows, writeTable } from './rows-run.ts';
import { runSabotages } from './sabotage-run.ts';
import { SCENARIOS, type Scenario, type ScenarioName } from './scenarios.ts';
import { readPlan, runTier, TIERS, type TierOptions } from './tier.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    tier: { type: 'string', default: 'pr' },
    seed: { type: 'string' },
    replay: { type: 'string' },
    events: { type: 'string' },
    faults: { type: 'string' },
    rate: { type: 'string' },
    times: { type: 'string' },
    name: { type: 'string' },
    names: { type: 'string' },
    out: { type: 'string' },
    write: { type: 'boolean', default: false },
  },
});

type Outcome = 'passed' | 'failed' | 'not run';
const EXIT_CODES = { passed: 0, failed: 1, 'not run': 2 } as const satisfies Record<Outcome, number>;
const COMMANDS: Readonly<Record<string, () => Promise<Outcome>>> = {
  tier,
  failpoints: () => failpoints(),
  ci,
  sabotage,
  scenario,
  rows,
  peers,
};
const folder = join(root, '.faults');
const seed = number('seed') ?? Math.floor(Math.random() * 1e6);
const say = (line: string) => console.log(line);

const [command = 'tier'] = positionals;
const run = Object.hasOwn(COMMANDS, command) ? COMMANDS[command] : undefined;
if (!run) usage(`no command ${command}; there are: ${Object.keys(COMMANDS).join(', ')}`);
mkdirSync(folder, { recursive: true });
// A connection that is still on its way somewhere holds nobody up.
process.exit(EXIT_CODES[await run()]);

async function tier(): Promise<Outcome> {
  const name = values.tier as keyof typeof TIERS;
  if (!Object.hasOwn(TIERS, name)) usage(`no tier ${name}; there are: ${Object.keys(TIERS).join(', ')}`);
  const size = TIERS[name];
  const logFile = join(folder, `${name}-${seed}.faults.jsonl`);
  const changes = { events: number('events') ?? size.events, faults: number('faults') ?? size.faults };
  const replay = values.replay && { replay: readPlan(values.replay) };
  const outcome = await judged({
    ...size,
    ...changes,
    rate: number('rate') ?? size.rate,
    ...replay,
    name,
    seed,
    say,
    logFile,
  });
  say(`again: npm run faults -- --tier ${name} --seed ${seed} --replay ${logFile}`);
  return outcome;
}

async function scenario(): Promise<Outcome> {
  const name = values.name as ScenarioName;
  if (!Object.hasOwn(SCENARIOS, name)) usage(`no scenario ${name}; there are: ${Object.keys(SCENARIOS).join(', ')}`);
  const chosen: Scenario = SCENARIOS[name];
  if (chosen.kind === 'failpoints') return failpoints(number('times') ?? 3, chosen.names);
  if (chosen.kind === 'test') usage(`"${name}" is a test: ${chosen.file}`);
  const { kind: _, ...options } = chosen;
  return judged({ ...options, name, seed, say, logFile: join(folder, 'scenario.faults.jsonl') });
}

async function sabotage(): Promise<Outcome> {
  const results = await runSabotages(values.names?.split(',') ?? [], say);
  const caught = results.filter(({ caughtBy }) => caughtBy !== undefined).length;
  const seconds = results.reduce((sum, result) => sum + result.seconds, 0);
  say(`${caught} of ${results.length} noticed after ${seconds} s`);
  tell({ machine: machine(), seconds, results }, 'sabotage');
  return caught === results.length ? 'passed' : 'failed';
}

async function peers(): Promise<Outcome> {
  const names = values.names?.split(',') ?? ['svc-comm', ...PEERS];
  const logFile = join(folder, 'peers.faults.jsonl');
  const size = { events: number('events') ?? TIERS.pr.events, faults: number('faults') ?? TIERS.pr.faults };
  const reports = await compare({ ...size, seed, names, say, logFile });
  say(comparisonTable(reports));
  tell({ seed, reports: reports.map(({ evidence: _, ...report }) => report) }, `peers-${seed}`);
  return reports.find(({ tier: name }) => name === 'svc-comm')?.outcome === 'failed' ? 'failed' : 'passed';
}

async function rows(): Promise<Outcome> {
  const results = runRows(values.names?.split(',').map(Number) ?? [], say);
  if (values.write) writeTable(results);
  return results.every(({ problems }) => problems.length === 0) ? 'passed' : 'failed';
}

async function judged(options: TierOptions): Promise<Outcome> {
  const report = await runTier(options);
  const { outcome, problems, evidence, verdict, seconds, faults, faultsWithMessagesInFlight } = report;
  say(JSON.stringify(verdict));
  for (const problem of problems) say(`✗ ${problem}`);
  for (const line of evidence.slice(0, 200)) say(`    ${line}`);
  say(`${outcome} after ${seconds} s, ${faultsWithMessagesInFlight} of ${faults} faults met messages on their way`);
  tell(report, `${options.name}-${seed}`);
  return outcome === 'passed' || outcome === 'failed' ? outcome : 'not run';
}

async function failpoints(
  times = number('times') ?? 20,
  names: readonly string[] | undefined = values.names?.split(','),
): Promise<Outcome> {
  const report = await runFailpoints({ times, seed, say, ...(names && { names }) });
  for (const { name, at, expects, kills, messages, asExpected } of report.results) {
    say(`${asExpected === messages ? '✓' : '✗'} ${name} × ${kills}, ${at}: ${asExpected} of ${messages} ${expects}`);
  }
  for (const problem of report.problems) say(`✗ ${problem}`);
  const { kills, lost, stuck, problems, seconds } = report;
  say(`${kills} kills, ${lost} lost, ${stuck} stuck, ${problems.length} problems after ${seconds} s`);
  tell(report, `failpoints-${seed}`);
  return problems.length === 0 ? 'passed' : 'failed';
}

async function ci(): Promise<Outcome> {
  const first = await tier();
  return first === 'passed' ? failpoints(5) : first;
}

function tell(report: object, name: string): void {
  const file = values.out ?? join(folder, `${name}.json`);
  writeReport(report, file);
  say(`report: ${file}`);
}

function number(name: 'seed' | 'events' | 'faults' | 'rate' | 'times'): number | undefined {
  const text = values[name];
  if (text === undefined) return undefined;
  if (!/^\d+$/.test(text)) usage(`--${name} takes a whole number, not ${text}`);
  return Number(text);
}

function usage(problem: string): never {
  console.error(
    `${problem}\nusage: npm run faults -- [failpoints|ci] [--tier pr|ci|record] [--seed N] [--replay FILE]`,
  );
  process.exit(2);
}
